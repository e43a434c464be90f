//! Which way a client reaches payloads, as it tells its callers.

/// How a client takes leases: [`Client::path`](crate::Client::path).
///
/// ```
/// use payload_manager_client::DataPath;
///
/// fn show(path: &DataPath) -> String {
///     match path {
///         DataPath::Session => "leases take no call".to_owned(),
///         other => format!("slow: {other}"),
///     }
/// }
/// # assert_eq!(show(&DataPath::Session), "leases take no call");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataPath {
    /// In memory shared with the daemon: no call and no system call for what is in RAM and mapped already.
    Session,
    /// By a call each.
    Calls {
        /// Why not the fast way.
        why: String,
    },
}

impl std::fmt::Display for DataPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session => f.write_str("leases in shared memory"),
            Self::Calls { why } => write!(f, "a call for each lease: {why}"),
        }
    }
}
