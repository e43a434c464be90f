//! Which gRPC code each error gets: the only file that names one (promise: one-truth). Its inverse is the client's
//! `error`.

use payload_manager_api::Reason;
use payload_manager_api::convert::Invalid;
use payload_manager_api::reason::status;
use payload_manager_core::Refusal;
use payload_manager_tiers::TierError;
use tonic::{Code, Status};

use crate::engine::Error;

/// The facts of an error, for programs.
type Facts = Vec<(&'static str, String)>;

/// A message that breaks the contract.
pub(crate) fn invalid(error: Invalid) -> Status {
    let (reason, facts) = (error.reason, error.facts());
    status(Code::InvalidArgument, reason, error.to_string(), facts)
}

/// A token that this daemon never made.
pub(super) fn bad_page_token() -> Status {
    let message = "page_token: not one of this daemon's; send next_page_token as it came, or none for the first page";
    status(Code::InvalidArgument, Reason::BadPageToken, message, [("field", "page_token".to_owned())])
}

/// One lease of a batch whose answer is full.
pub(super) fn answer_full(id: payload_manager_types::PayloadId) -> Status {
    let message = format!("payload {id}: not leased, for the answer is full at 3 MiB; ask for fewer at once");
    status(Code::ResourceExhausted, Reason::AnswerTooLarge, message, about(&id))
}

/// An answer that would be larger than any may be; `instead` says how to ask for less.
pub(super) fn too_large(what: &str, instead: &str) -> Status {
    let message = format!("{what} are more than fit an answer of 3 MiB; {instead}");
    status(Code::ResourceExhausted, Reason::AnswerTooLarge, message, [])
}

/// The caller's deadline came first.
pub(super) fn too_late() -> Status {
    let message = "the deadline of the call is over; what it began may still finish: ask again, or give it more time";
    status(Code::DeadlineExceeded, Reason::Deadline, message, [])
}

/// A peer that may not come in.
pub(crate) fn peer_not_allowed(uid: u32, gid: u32) -> Status {
    let message = format!(
        "user {uid} with group {gid} may not use this socket; add it to allow-uids or allow-gids of the daemon"
    );
    status(
        Code::PermissionDenied,
        Reason::PeerNotAllowed,
        message,
        [("uid", uid.to_string()), ("gid", gid.to_string())],
    )
}

/// A session is asked for something that only a call can do.
pub(crate) fn memory_alone() -> Status {
    let message = "preferred_tier: a session allocates in RAM and on GPUs alone; call AllocatePayload for the rest";
    status(Code::InvalidArgument, Reason::TierRequired, message, [("field", "preferred_tier".to_owned())])
}

/// A client that can't read the shared pages.
pub(crate) fn layout_not_shared(offered: &[u32], own: u32) -> Status {
    let some = offered.get(..offered.len().min(16)).unwrap_or_default();
    let message = format!("the shared pages have layout {own}, and the client reads {some:?}; use gRPC alone");
    status(Code::FailedPrecondition, Reason::LayoutNotShared, message, [("layout", own.to_string())])
}

/// One session too many.
pub(crate) fn session_limit(uid: u32, limit: usize) -> Status {
    let message = format!("user {uid} has {limit} sessions, as many as it may; share one, or raise sessions-per-uid");
    status(Code::ResourceExhausted, Reason::SessionLimit, message, [("limit", limit.to_string())])
}

/// A session that can't be taken up.
pub(crate) fn session_not_found(session: u64) -> Status {
    let message = format!("session {session}: there is none to be taken up; start a new one");
    status(Code::NotFound, Reason::SessionNotFound, message, [("session_id", session.to_string())])
}

/// A segment that nobody can map any more.
pub(crate) fn segment_not_found(segment: u32) -> Status {
    let message = format!("segment {segment}: there is none of this number; ask for the payload anew");
    status(Code::NotFound, Reason::SegmentNotFound, message, [("segment", segment.to_string())])
}

/// A session of somebody else.
pub(crate) fn session_secret(session: u64) -> Status {
    let message = format!("session {session}: not its secret, or not its user; start a new one");
    status(Code::PermissionDenied, Reason::SessionSecret, message, [("session_id", session.to_string())])
}

/// What the engine failed with.
pub(crate) fn failed(error: Error) -> Status {
    let (code, reason, facts) = judge(&error);
    if code == Code::Internal {
        tracing::error!(%error, "a call failed for a reason of ours");
    }
    status(code, reason, error.to_string(), facts)
}

fn judge(error: &Error) -> (Code, Reason, Facts) {
    match error {
        Error::Refused(refusal) => refused(refusal),
        Error::Tier(error) => tier(error),
        Error::Resized { id, .. } => (Code::FailedPrecondition, Reason::SizeMismatch, about(id)),
        Error::NotUploaded { id, .. } => (Code::FailedPrecondition, Reason::ImportMismatch, about(id)),
        Error::Corrupt { id, tier, expected, found } => {
            let mut facts = about(id);
            facts.push(("tier", tier.to_string()));
            facts.extend([("expected", expected.to_string()), ("found", found.to_string())]);
            (Code::DataLoss, Reason::ChecksumMismatch, facts)
        }
        Error::Catalog(_) => (Code::Unavailable, Reason::CatalogUnavailable, Vec::new()),
        Error::NoSuchStream(name) => (Code::NotFound, Reason::StreamNotFound, vec![("stream", name.to_string())]),
        Error::StreamExists(name) => (Code::AlreadyExists, Reason::StreamExists, vec![("stream", name.to_string())]),
        Error::Offset { stream, asked, first, next } => {
            let reason = if asked < first { Reason::OffsetRemoved } else { Reason::OffsetBeyondEnd };
            let facts = vec![
                ("stream", stream.to_string()),
                ("asked", asked.to_string()),
                ("first", first.to_string()),
                ("next", next.to_string()),
            ];
            (Code::OutOfRange, reason, facts)
        }
        Error::LineageCycle { child, via } => {
            let mut facts = about(child);
            facts.push(("parent", via.to_string()));
            (Code::FailedPrecondition, Reason::LineageCycle, facts)
        }
        Error::LineageTooLarge { id } => (Code::ResourceExhausted, Reason::AnswerTooLarge, about(id)),
        Error::BadResumeToken => {
            (Code::InvalidArgument, Reason::BadResumeToken, vec![("field", "resume_token".to_owned())])
        }
        Error::ResumeTooOld { .. } => (Code::OutOfRange, Reason::ResumeTokenTooOld, Vec::new()),
        Error::RangeCut { stream, asked, first } => {
            let facts = [("stream", stream.to_string()), ("asked", asked.to_string()), ("first", first.to_string())];
            (Code::FailedPrecondition, Reason::RangeCut, facts.into())
        }
        Error::StillLeased { id, tier } => {
            let mut facts = about(id);
            facts.push(("tier", tier.to_string()));
            (Code::Aborted, Reason::Leased, facts)
        }
        Error::ShuttingDown => (Code::Unavailable, Reason::ShuttingDown, Vec::new()),
        Error::Bug(_) => (Code::Internal, Reason::Bug, Vec::new()),
    }
}

fn about(id: &payload_manager_types::PayloadId) -> Facts {
    vec![("payload_id", id.to_string())]
}

fn refused(refusal: &Refusal) -> (Code, Reason, Facts) {
    let wrong_state = Code::FailedPrecondition;
    match refusal {
        Refusal::NotFound { id } | Refusal::Expired { id, .. } => (Code::NotFound, Reason::PayloadNotFound, about(id)),
        Refusal::NotConfigured { tier } => (wrong_state, Reason::TierNotConfigured, vec![("tier", tier.to_string())]),
        Refusal::SizeLimit { asked, limit } => {
            let facts = vec![("asked_bytes", asked.to_string()), ("limit_bytes", limit.to_string())];
            (Code::InvalidArgument, Reason::SizeLimit, facts)
        }
        Refusal::TimeTooLate { .. } => (Code::InvalidArgument, Reason::TimeTooLate, Vec::new()),
        Refusal::PinTooLong { id, .. } => (Code::InvalidArgument, Reason::TimeTooLate, about(id)),
        Refusal::NothingToImport { id, tier } => {
            let mut facts = about(id);
            facts.push(("tier", tier.to_string()));
            (wrong_state, Reason::ImportMismatch, facts)
        }
        Refusal::ImportSize { id, asked, allocated } => {
            let mut facts = about(id);
            facts.extend([("asked_bytes", asked.to_string()), ("allocated_bytes", allocated.to_string())]);
            (wrong_state, Reason::ImportMismatch, facts)
        }
        Refusal::SealedNeedsSession => (wrong_state, Reason::SealedNeedsSession, Vec::new()),
        Refusal::SealedReader { id } => (wrong_state, Reason::SealedNeedsSession, about(id)),
        Refusal::SealedLimit { limit } => limited(Reason::SealedLimit, *limit),
        Refusal::ProtectionNotOffered { tier, .. } => {
            (wrong_state, Reason::ProtectionNotOffered, vec![("tier", tier.to_string())])
        }
        Refusal::TierFull { tier, asked, free, capacity } => {
            let facts = vec![
                ("tier", tier.to_string()),
                ("asked_bytes", asked.to_string()),
                ("free_bytes", free.to_string()),
                ("capacity_bytes", capacity.to_string()),
            ];
            (Code::ResourceExhausted, Reason::TierFull, facts)
        }
        Refusal::PagesFull => (Code::ResourceExhausted, Reason::TierFull, vec![("tier", "RAM".to_owned())]),
        Refusal::PayloadLimit { limit } => limited(Reason::PayloadLimit, *limit),
        Refusal::LeaseLimit { limit } => limited(Reason::LeaseLimit, *limit),
        Refusal::AlreadyCommitted { id, .. } => (wrong_state, Reason::AlreadyCommitted, about(id)),
        Refusal::NotCommitted { id } => (wrong_state, Reason::NotCommitted, about(id)),
        Refusal::Leased { id, leases } => {
            let mut facts = about(id);
            facts.push(("leases", leases.to_string()));
            (Code::Aborted, Reason::Leased, facts)
        }
        Refusal::MinTierNotMet { id, have, want } => (wrong_state, Reason::MinTierNotMet, between(id, have, want)),
        Refusal::SpillToFaster { id, have, want } => (wrong_state, Reason::SpillToFaster, between(id, have, want)),
        Refusal::PromoteToSlower { id, have, want } => (wrong_state, Reason::PromoteToSlower, between(id, have, want)),
        Refusal::Pinned { id } => (wrong_state, Reason::Pinned, about(id)),
        Refusal::MinResidency { id, floor } => {
            let mut facts = about(id);
            facts.push(("floor", floor.to_string()));
            (wrong_state, Reason::MinResidency, facts)
        }
        Refusal::RequireDurable { id } => (wrong_state, Reason::RequireDurable, about(id)),
        Refusal::BytesLost { id } => (Code::DataLoss, Reason::BytesLost, about(id)),
        Refusal::LeaseOver => (Code::NotFound, Reason::LeaseOver, Vec::new()),
    }
}

fn limited(reason: Reason, limit: u64) -> (Code, Reason, Facts) {
    (Code::ResourceExhausted, reason, vec![("limit", limit.to_string())])
}

fn between(
    id: &payload_manager_types::PayloadId,
    have: &payload_manager_types::Tier,
    want: &payload_manager_types::Tier,
) -> Facts {
    let mut facts = about(id);
    facts.extend([("have", have.to_string()), ("want", want.to_string())]);
    facts
}

fn tier(error: &TierError) -> (Code, Reason, Facts) {
    match error {
        TierError::StillMapped { id } => (Code::FailedPrecondition, Reason::StillMapped, about(id)),
        TierError::Full { tier, asked, free, .. } => {
            let facts =
                vec![("tier", tier.to_string()), ("asked_bytes", asked.to_string()), ("free_bytes", free.to_string())];
            (Code::ResourceExhausted, Reason::TierFull, facts)
        }
        TierError::Missing { id, tier, .. }
        | TierError::WrongSize { id, tier, .. }
        | TierError::Damaged { id, tier, .. } => {
            let mut facts = about(id);
            facts.push(("tier", tier.to_string()));
            (Code::DataLoss, Reason::BytesLost, facts)
        }
        TierError::Unavailable { tier, .. } | TierError::Io { tier, .. } => {
            (Code::Unavailable, Reason::StoreUnavailable, vec![("tier", tier.to_string())])
        }
        TierError::Cancelled { .. } => (Code::Unavailable, Reason::ShuttingDown, Vec::new()),
    }
}

/// How a request ended, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The code's name in gRPC.
    pub(crate) code: &'static str,
    /// Whether it is the daemon's fault, or the machine's, and not the caller's.
    pub(crate) is_fault: bool,
}

/// Its caller did not wait for the end.
pub(crate) const HUNG_UP: Ended = Ended { code: "CANCELLED", is_fault: false };

/// How a request ended that was answered with this number of a code.
pub(crate) fn ended(code: i32) -> Ended {
    let fault = |code| Ended { code, is_fault: true };
    let caller = |code| Ended { code, is_fault: false };
    match Code::from(code) {
        Code::Ok => caller("OK"),
        Code::Cancelled => HUNG_UP,
        Code::Unknown => fault("UNKNOWN"),
        Code::InvalidArgument => caller("INVALID_ARGUMENT"),
        Code::DeadlineExceeded => fault("DEADLINE_EXCEEDED"),
        Code::NotFound => caller("NOT_FOUND"),
        Code::AlreadyExists => caller("ALREADY_EXISTS"),
        Code::PermissionDenied => caller("PERMISSION_DENIED"),
        Code::ResourceExhausted => caller("RESOURCE_EXHAUSTED"),
        Code::FailedPrecondition => caller("FAILED_PRECONDITION"),
        Code::Aborted => caller("ABORTED"),
        Code::OutOfRange => caller("OUT_OF_RANGE"),
        Code::Unimplemented => fault("UNIMPLEMENTED"),
        Code::Internal => fault("INTERNAL"),
        Code::Unavailable => fault("UNAVAILABLE"),
        Code::DataLoss => fault("DATA_LOSS"),
        Code::Unauthenticated => caller("UNAUTHENTICATED"),
    }
}
