//! Every reason, with its name on the wire. Names are for ever; new ones may be added.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $($retry:ident)?,)+) => {
        /// Why a call failed. Clients get ones they do not know as text, and go by the status code then.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the contract's table of codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Whether the same call, unchanged, may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self {
                    $(Self::$variant => reasons!(@retry $($retry)?),)+
                }
            }
        }
    };
    (@retry retry) => { true };
    (@retry) => { false };
}

reasons! {
    // INVALID_ARGUMENT: the request itself is wrong.
    /// The bytes are no message of the expected type.
    MessageUndecodable = "MESSAGE_UNDECODABLE",
    /// An id is not exactly 16 bytes, or missing.
    IdLength = "ID_LENGTH",
    /// A size of 0.
    SizeZero = "SIZE_ZERO",
    /// A size above the configured limit.
    SizeLimit = "SIZE_LIMIT",
    /// An enum number that the contract does not know.
    UnknownEnum = "UNKNOWN_ENUM",
    /// No tier where one is needed.
    TierRequired = "TIER_REQUIRED",
    /// VOID where a place is needed.
    VoidIsNoPlace = "VOID_IS_NO_PLACE",
    /// An alignment that is no power of two, or too large.
    BadAlignment = "BAD_ALIGNMENT",
    /// A stream's name or namespace: empty, over 255 bytes, or with control characters.
    BadStreamName = "BAD_STREAM_NAME",
    /// A consumer group's name, by the same rules.
    BadGroupName = "BAD_GROUP_NAME",
    /// A page token that this daemon did not make, or for another question.
    BadPageToken = "BAD_PAGE_TOKEN",
    /// A resume token that this daemon did not make.
    BadResumeToken = "BAD_RESUME_TOKEN",
    /// Metadata, a tag or another label over its limit.
    MetadataTooLarge = "METADATA_TOO_LARGE",
    /// An id inside the message is not the request's.
    IdMismatch = "ID_MISMATCH",
    /// A time that is malformed, or before 1970.
    BadTime = "BAD_TIME",
    /// A time beyond the year 9999.
    TimeTooLate = "TIME_TOO_LATE",
    /// A range that ends before it starts.
    BadRange = "BAD_RANGE",
    /// A payload as its own parent.
    SelfParent = "SELF_PARENT",
    /// More items than one call may have.
    BatchTooLarge = "BATCH_TOO_LARGE",

    // OUT_OF_RANGE.
    /// Retention has removed that position of a stream.
    OffsetRemoved = "OFFSET_REMOVED",
    /// That position of a stream is not yet to be written.
    OffsetBeyondEnd = "OFFSET_BEYOND_END",
    /// The daemon no longer has what followed that resume token.
    ResumeTokenTooOld = "RESUME_TOKEN_TOO_OLD",

    // NOT_FOUND.
    /// There is no such session to be taken up: it has ended, or is in use.
    SessionNotFound = "SESSION_NOT_FOUND",
    /// There is no such segment: it is gone, or never was.
    SegmentNotFound = "SEGMENT_NOT_FOUND",
    /// No such payload, or it is deleted or expired.
    PayloadNotFound = "PAYLOAD_NOT_FOUND",
    /// No such stream, or it is deleted.
    StreamNotFound = "STREAM_NOT_FOUND",
    /// The lease is over, or never was.
    LeaseOver = "LEASE_OVER",

    // ALREADY_EXISTS.
    /// A stream of that name is there.
    StreamExists = "STREAM_EXISTS",

    // FAILED_PRECONDITION: right request, wrong state.
    /// Committed once already.
    AlreadyCommitted = "ALREADY_COMMITTED",
    /// Not committed yet.
    NotCommitted = "NOT_COMMITTED",
    /// The daemon has no such tier.
    TierNotConfigured = "TIER_NOT_CONFIGURED",
    /// Client and daemon share no layout of the shared pages.
    LayoutNotShared = "LAYOUT_NOT_SHARED",
    /// No copy is fast enough, and the call was not to wait; one is being made.
    MinTierNotMet = "MIN_TIER_NOT_MET" retry,
    /// A spill to a tier faster than where it is.
    SpillToFaster = "SPILL_TO_FASTER",
    /// A promotion to a tier slower than where it is.
    PromoteToSlower = "PROMOTE_TO_SLOWER",
    /// The edge would close a cycle.
    LineageCycle = "LINEAGE_CYCLE",
    /// Import of what is no OBJECT allocation, or not in the bucket with that size.
    ImportMismatch = "IMPORT_MISMATCH",
    /// The client's object or file does not have the size it asked for.
    SizeMismatch = "SIZE_MISMATCH",
    /// The producer of a SEALED payload still has its memory mapped: unmap it first.
    StillMapped = "STILL_MAPPED" retry,
    /// SEALED over plain gRPC.
    SealedNeedsSession = "SEALED_NEEDS_SESSION",
    /// A protection that the daemon does not offer for that tier.
    ProtectionNotOffered = "PROTECTION_NOT_OFFERED",
    /// Pinned: unpin it first.
    Pinned = "PINNED",
    /// The policy's `min_residency_tier` forbids it.
    MinResidency = "MIN_RESIDENCY",
    /// The policy's `require_durable` forbids it.
    RequireDurable = "REQUIRE_DURABLE",
    /// Retention has cut into the range.
    RangeCut = "RANGE_CUT",

    // ABORTED.
    /// A live lease is in the way.
    Leased = "LEASED" retry,

    // RESOURCE_EXHAUSTED.
    /// The user has as many sessions as it may have.
    SessionLimit = "SESSION_LIMIT" retry,
    /// The tier is full and nothing may be evicted.
    TierFull = "TIER_FULL" retry,
    /// As many payloads as the daemon is made for.
    PayloadLimit = "PAYLOAD_LIMIT" retry,
    /// As many SEALED payloads as the daemon has descriptors for.
    SealedLimit = "SEALED_LIMIT" retry,
    /// As many leases as the daemon is made for.
    LeaseLimit = "LEASE_LIMIT" retry,
    /// The answer would not fit a message; the message says how to ask for less.
    AnswerTooLarge = "ANSWER_TOO_LARGE",

    // DATA_LOSS.
    /// The bytes are gone.
    BytesLost = "BYTES_LOST",
    /// The bytes are not those that were committed.
    ChecksumMismatch = "CHECKSUM_MISMATCH",

    // UNAVAILABLE.
    /// A tier's storage is out of reach for now.
    StoreUnavailable = "STORE_UNAVAILABLE" retry,
    /// The catalog is out of reach for now.
    CatalogUnavailable = "CATALOG_UNAVAILABLE" retry,
    /// The daemon is stopping.
    ShuttingDown = "SHUTTING_DOWN" retry,

    // DEADLINE_EXCEEDED.
    /// The caller's deadline came first; the work may still finish.
    Deadline = "DEADLINE" retry,

    // PERMISSION_DENIED.
    /// The peer's uid or gid is not allowed on this socket.
    PeerNotAllowed = "PEER_NOT_ALLOWED",

    /// Not the session's secret, or not its user.
    SessionSecret = "SESSION_SECRET",

    // UNIMPLEMENTED.
    /// This daemon does not know the call.
    NotImplemented = "NOT_IMPLEMENTED",

    // INTERNAL.
    /// A bug of the daemon's.
    Bug = "BUG",
}

impl Reason {
    /// The reason of that name on the wire; `None` for one of a newer daemon.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
