//! The classes of errors, as gRPC numbers them; a type of our own, so that callers see no transport.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)+) => {
        /// The class of an error; the numbers are gRPC's.
        ///
        /// ```
        /// use payload_manager_client::Code;
        ///
        /// assert_eq!(Code::NotFound.to_string(), "NOT_FOUND");
        /// assert_eq!(Code::NotFound as i32, 5);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Code {
            /// Every class, in the order of their numbers.
            ///
            /// ```
            /// assert_eq!(payload_manager_client::Code::ALL.len(), 16);
            /// ```
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in the contract.
            ///
            /// ```
            /// assert_eq!(payload_manager_client::Code::DataLoss.as_str(), "DATA_LOSS");
            /// ```
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

codes! {
    /// The call was given up by its caller.
    Cancelled = 1 "CANCELLED",
    /// An error of nobody's making that says nothing.
    Unknown = 2 "UNKNOWN",
    /// The request itself is wrong.
    InvalidArgument = 3 "INVALID_ARGUMENT",
    /// The deadline came first; the work may still finish.
    DeadlineExceeded = 4 "DEADLINE_EXCEEDED",
    /// No such payload, stream or lease.
    NotFound = 5 "NOT_FOUND",
    /// It is there already.
    AlreadyExists = 6 "ALREADY_EXISTS",
    /// This user may not talk to this daemon.
    PermissionDenied = 7 "PERMISSION_DENIED",
    /// Something is full.
    ResourceExhausted = 8 "RESOURCE_EXHAUSTED",
    /// Right request, wrong state.
    FailedPrecondition = 9 "FAILED_PRECONDITION",
    /// A lease is in the way.
    Aborted = 10 "ABORTED",
    /// A position that is gone or not yet there.
    OutOfRange = 11 "OUT_OF_RANGE",
    /// The daemon does not know this call.
    Unimplemented = 12 "UNIMPLEMENTED",
    /// A bug of the daemon's.
    Internal = 13 "INTERNAL",
    /// Out of reach for now.
    Unavailable = 14 "UNAVAILABLE",
    /// Bytes are gone, or not those that were committed.
    DataLoss = 15 "DATA_LOSS",
    /// Nobody knows who is asking.
    Unauthenticated = 16 "UNAUTHENTICATED",
}

impl Code {
    /// The class of that number; 0 is success and no class, and what gRPC does not define is [`Self::Unknown`].
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        match number {
            0 => None,
            n => Some(Self::ALL.iter().copied().find(|code| *code as i32 == n).unwrap_or(Self::Unknown)),
        }
    }

    /// What a class says about trying again when nobody gave a reason.
    pub(super) fn retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::DeadlineExceeded | Self::Aborted)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
