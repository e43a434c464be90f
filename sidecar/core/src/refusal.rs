//! Why the rules say no. One enum for the ledger's boundary, with the facts in it; the words a person reads are here, the
//! codes on the wire are the shell's (promise: one-truth).

use payload_manager_types::{PayloadId, PayloadState, Tier, UnixMillis};

/// A command that the rules refuse. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such payload, or it is deleted, or its time is over.
    #[error("payload {id}: not found; it was deleted, has expired, or never was")]
    NotFound {
        /// Which.
        id: PayloadId,
    },
    /// A tier this daemon does not have.
    #[error("tier {tier} is not configured on this daemon; ask for one that is")]
    NotConfigured {
        /// Which.
        tier: Tier,
    },
    /// Larger than a payload may be.
    #[error("{asked} bytes are more than a payload may have ({limit}); split it, or raise max-payload")]
    SizeLimit {
        /// Bytes asked for.
        asked: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A time to live that ends beyond the year 9999.
    #[error("a time to live of {ttl_ms} ms ends beyond the year 9999; use 0 to keep the payload until it is deleted")]
    TimeTooLate {
        /// Milliseconds asked for.
        ttl_ms: u64,
    },
    /// A pin that ends beyond the year 9999.
    #[error("payload {id}: a pin of {duration_ms} ms ends beyond the year 9999; use 0 to pin it until it is unpinned")]
    PinTooLong {
        /// Which.
        id: PayloadId,
        /// Milliseconds asked for.
        duration_ms: u64,
    },
    /// Nothing that a client has uploaded to a bucket.
    #[error(
        "payload {id}: allocated in {tier}, not in OBJECT, so there is nothing to import; write to its location and call CommitPayload"
    )]
    NothingToImport {
        /// Which.
        id: PayloadId,
        /// Where it was allocated.
        tier: Tier,
    },
    /// An import of another length than was allocated.
    #[error(
        "payload {id}: allocated with {allocated} bytes, imported with {asked}; say the length of the object, and allocate anew for another"
    )]
    ImportSize {
        /// Which.
        id: PayloadId,
        /// Bytes said to be there.
        asked: u64,
        /// Bytes allocated.
        allocated: u64,
    },
    /// Sealed memory is handed over as a file descriptor, which gRPC can't carry.
    #[error("protection SEALED passes a file descriptor and needs a session; use SHARED or STRICT over plain gRPC")]
    SealedNeedsSession,
    /// The same, of one that is to be read.
    #[error(
        "payload {id}: SEALED memory is passed as a file descriptor, which this call can't carry; read it over a session, or spill it first"
    )]
    SealedReader {
        /// Which.
        id: PayloadId,
    },
    /// Each takes a descriptor of the daemon's.
    #[error(
        "this daemon already keeps as many SEALED payloads as it has descriptors for ({limit}); delete or spill some, use STRICT, or raise the daemon's limit of open files"
    )]
    SealedLimit {
        /// How many.
        limit: u64,
    },
    /// A protection this daemon does not offer for that tier.
    #[error("protection {what} is not offered for tier {tier} by this daemon; use SHARED")]
    ProtectionNotOffered {
        /// Which protection.
        what: &'static str,
        /// For which tier.
        tier: Tier,
    },
    /// A tier is full and nothing may be evicted.
    #[error(
        "tier {tier} is full: {asked} bytes asked, {free} of {capacity} free, and nothing in it may be evicted now; delete, spill or release payloads, or give the tier more"
    )]
    TierFull {
        /// Which.
        tier: Tier,
        /// Bytes asked for.
        asked: u64,
        /// Bytes free.
        free: u64,
        /// Bytes it may hold.
        capacity: u64,
    },
    /// As many payloads as this daemon can list.
    #[error("this daemon already holds as many payloads as it may ({limit}); delete some, or raise max-payloads")]
    PayloadLimit {
        /// How many.
        limit: u64,
    },
    /// The memory that the daemon's own pages live in is used up.
    #[error(
        "shared memory has no room for one more entry of this daemon's own pages, which say where payloads are and who leases them; give /dev/shm or the daemon's cgroup more memory, or delete payloads"
    )]
    PagesFull,
    /// As many leases as this daemon can give out.
    #[error("all {limit} leases that may be held over gRPC at once are taken; release some, or raise max-leases")]
    LeaseLimit {
        /// How many.
        limit: u64,
    },
    /// Committed before, or being committed now.
    #[error("payload {id}: already {state}; a payload is committed once")]
    AlreadyCommitted {
        /// Which.
        id: PayloadId,
        /// What it is.
        state: PayloadState,
    },
    /// Something only a committed payload can have done to it.
    #[error("payload {id}: not committed yet; its producer must call CommitPayload first")]
    NotCommitted {
        /// Which.
        id: PayloadId,
    },
    /// A lease is in the way.
    #[error("payload {id}: {leases} live lease(s) on it; release them, wait for them to run out, or use force")]
    Leased {
        /// Which.
        id: PayloadId,
        /// How many leases.
        leases: u32,
    },
    /// No copy is fast enough, and the caller did not want to wait for one.
    #[error(
        "payload {id}: its fastest copy is in {have}, slower than {want}; a promotion has been started, ask again or with BLOCKING"
    )]
    MinTierNotMet {
        /// Which.
        id: PayloadId,
        /// Where it is.
        have: Tier,
        /// What was asked for.
        want: Tier,
    },
    /// A spill that would go up.
    #[error(
        "payload {id}: a spill goes to a slower tier, but its fastest copy is in {have} and the target is {want}; use Promote"
    )]
    SpillToFaster {
        /// Which.
        id: PayloadId,
        /// Where it is.
        have: Tier,
        /// Where it should go.
        want: Tier,
    },
    /// A promotion that would go down.
    #[error(
        "payload {id}: a promotion goes to a faster tier, but its fastest copy is in {have} and the target is {want}; use Spill"
    )]
    PromoteToSlower {
        /// Which.
        id: PayloadId,
        /// Where it is.
        have: Tier,
        /// Where it should go.
        want: Tier,
    },
    /// A pin keeps the fastest copy.
    #[error("payload {id}: pinned; unpin it first")]
    Pinned {
        /// Which.
        id: PayloadId,
    },
    /// Its policy keeps a copy at least that fast.
    #[error("payload {id}: its eviction policy keeps a copy in {floor} or faster, so it can't go below")]
    MinResidency {
        /// Which.
        id: PayloadId,
        /// The floor.
        floor: Tier,
    },
    /// Its policy wants a durable copy before anything is dropped.
    #[error("payload {id}: its eviction policy requires a durable copy, so it can't be spilled to VOID; use Delete")]
    RequireDurable {
        /// Which.
        id: PayloadId,
    },
    /// No copy is left.
    #[error("payload {id}: its bytes are lost (no tier holds a good copy); it stays listed until it is deleted")]
    BytesLost {
        /// Which.
        id: PayloadId,
    },
    /// The lease is over, or never was.
    #[error("this lease is over (released, expired or revoked); acquire a new one")]
    LeaseOver,
    /// Expired at the very moment it was made.
    #[error("payload {id}: its time was over at {at:?} before it could be committed")]
    Expired {
        /// Which.
        id: PayloadId,
        /// When.
        at: UnixMillis,
    },
}
