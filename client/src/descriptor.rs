//! What a payload is and where its bytes are, as the daemon told it. Facts of a moment: nothing here follows along.

use std::collections::BTreeMap;

use payload_manager_api::runtime::v1;

use crate::error::{Error, Result};

/// A payload, as it was when the daemon answered.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use payload_manager_client::{Client, PayloadState, Tier};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// let client = Client::connect(daemon.socket()).await?;
/// let descriptor = client.create(4096).await?.commit().await?;
/// assert_eq!((descriptor.size, descriptor.tier), (4096, Tier::Ram));
/// assert_eq!(descriptor.state, PayloadState::Active);
/// # Ok(())
/// # }
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Descriptor;
/// Where bytes can be opened. [`Client::read`](crate::Client::read) does it; this is for those who look.
///
/// ```
/// use payload_manager_client::Location;
///
/// let place = Location::File { path: "/data/0/x.bin".into(), offset: 0, length: 4096 };
/// assert!(matches!(place, Location::File { length: 4096, .. }));
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Location;
/// One line of a listing: [`Client::list`](crate::Client::list).
///
/// ```
/// use payload_manager_client::Summary;
///
/// fn line(row: &Summary) -> String {
///     format!("{} {:<6} {:>12}", row.id, row.tier, row.size)
/// }
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Summary;
#[doc(inline)]
pub use payload_manager_types::{
    Checksum, EvictionPolicy, LeaseId, PayloadId, PayloadState, Priority, Protection, SpillTarget, Tier, TierSet,
    Timestamp, UnixMillis,
};

/// All that the daemon knows of a payload: [`Client::get`](crate::Client::get).
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use payload_manager_client::{Client, CreateOptions};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// let client = Client::connect(daemon.socket()).await?;
/// let options = CreateOptions { dataset: "faces".into(), ..CreateOptions::default() };
/// let id = client.create_with(4096, options).await?.commit().await?.id;
/// assert_eq!(client.get(id).await?.dataset, "faces");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PayloadInfo {
    /// What every call says of it.
    pub descriptor: Descriptor,
    /// Whether it was made never to be evicted.
    pub no_evict: bool,
    /// Live leases on it.
    pub active_leases: u32,
    /// Whether its fastest copy is pinned, and how long.
    pub pinned: Option<Pinned>,
    /// What it belongs to, as its producer said.
    pub dataset: String,
    /// Who made it, as its producer said.
    pub producer: String,
    /// Free-form tags of its producer.
    pub tags: BTreeMap<String, String>,
}

/// How long a pin lasts.
///
/// ```
/// use payload_manager_client::Pinned;
///
/// let for_good = Pinned { until: None };
/// assert!(for_good.until.is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// The end; `None` until somebody unpins it.
    pub until: Option<UnixMillis>,
}

impl TryFrom<v1::GetPayloadResponse> for PayloadInfo {
    type Error = Error;

    fn try_from(wire: v1::GetPayloadResponse) -> Result<Self> {
        let until = wire.pinned_until.map(UnixMillis::try_from).transpose().map_err(|e| Error::bad(e.to_string()))?;
        Ok(Self {
            descriptor: descriptor(wire.payload_descriptor)?,
            no_evict: wire.no_evict,
            active_leases: wire.active_leases,
            pinned: wire.pinned.then_some(Pinned { until }),
            dataset: wire.dataset,
            producer: wire.producer,
            tags: wire.tags.into_iter().collect(),
        })
    }
}

/// The descriptor of an answer, which must have one.
pub(crate) fn descriptor(wire: Option<payload_manager_api::core::v1::PayloadDescriptor>) -> Result<Descriptor> {
    Ok(payload_manager_api::convert::descriptor(wire)?)
}

/// The time of an answer, which must have one.
pub(crate) fn time(wire: Option<payload_manager_api::Timestamp>) -> Result<UnixMillis> {
    let wire = wire.ok_or_else(|| Error::bad("a time is missing"))?;
    UnixMillis::try_from(wire).map_err(|error| Error::bad(error.to_string()))
}
