//! The numbers that every call answers with. A number is for ever: none is changed, and none is used again.

use std::ffi::CStr;

use payload_manager_client::{Code, Reason};

/// What a call answers. 0 is success; 1 to 9 are answers that are no errors; 10 to 99 are this library's own; 101 to 116
/// are gRPC's codes, for errors without a reason that this library knows; from 1000 on are the daemon's reasons. Numbers
/// never change their meaning. A newer library may answer with numbers that are not listed here.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::upper_case_acronyms, reason = "as C has them")]
pub enum pm_status {
    /// It worked.
    PM_OK = 0,
    /// There is no more: no error, and the last answer of a cursor.
    PM_END = 1,
    /// Nothing came within the time given: no error, ask again.
    PM_TIMEOUT = 2,
    /// There is nothing of that kind to answer with: no error.
    PM_NOTHING = 3,
    /// A handle that is null, closed, of another type, or never was one.
    PM_INVALID_HANDLE = 10,
    /// Another thread is in a call with this handle, which only one may be at a time.
    PM_HANDLE_BUSY = 11,
    /// A pointer is null that may not be.
    PM_NULL_ARGUMENT = 12,
    /// An argument is not what it must be: the message says which.
    PM_BAD_ARGUMENT = 13,
    /// As many handles of a type are open as there can be: 4,194,304.
    PM_TOO_MANY_HANDLES = 14,
    /// The handle is of the process that this one was forked from: connect anew.
    PM_FORKED = 15,
    /// A bug of this library's. The call may have had part of its effect.
    PM_INTERNAL = 16,
    /// There is no daemon at that address, or the connection broke. What was asked may have happened.
    PM_UNREACHABLE = 20,
    /// That is no address of a daemon on this host.
    PM_BAD_ADDRESS = 21,
    /// The daemon answered, but the bytes can't be opened from this process.
    PM_PLACE = 22,
    /// The daemon's answer is not one that the contract allows.
    PM_BAD_ANSWER = 23,
    /// A GPU or its driver can't do it, or there is none that this process can use.
    PM_DEVICE_FAILED = 24,
    /// The call was given up by its caller. Without a reason that this library knows.
    PM_CODE_CANCELLED = 101,
    /// An error of nobody's making that says nothing. Without a reason that this library knows.
    PM_CODE_UNKNOWN = 102,
    /// The request itself is wrong. Without a reason that this library knows.
    PM_CODE_INVALID_ARGUMENT = 103,
    /// The deadline came first; the work may still finish. Without a reason that this library knows.
    PM_CODE_DEADLINE_EXCEEDED = 104,
    /// No such payload, stream or lease. Without a reason that this library knows.
    PM_CODE_NOT_FOUND = 105,
    /// It is there already. Without a reason that this library knows.
    PM_CODE_ALREADY_EXISTS = 106,
    /// This user may not talk to this daemon. Without a reason that this library knows.
    PM_CODE_PERMISSION_DENIED = 107,
    /// Something is full. Without a reason that this library knows.
    PM_CODE_RESOURCE_EXHAUSTED = 108,
    /// Right request, wrong state. Without a reason that this library knows.
    PM_CODE_FAILED_PRECONDITION = 109,
    /// A lease is in the way. Without a reason that this library knows.
    PM_CODE_ABORTED = 110,
    /// A position that is gone or not yet there. Without a reason that this library knows.
    PM_CODE_OUT_OF_RANGE = 111,
    /// The daemon does not know this call. Without a reason that this library knows.
    PM_CODE_UNIMPLEMENTED = 112,
    /// A bug of the daemon's. Without a reason that this library knows.
    PM_CODE_INTERNAL = 113,
    /// Out of reach for now. Without a reason that this library knows.
    PM_CODE_UNAVAILABLE = 114,
    /// Bytes are gone, or not those that were committed. Without a reason that this library knows.
    PM_CODE_DATA_LOSS = 115,
    /// Nobody knows who is asking. Without a reason that this library knows.
    PM_CODE_UNAUTHENTICATED = 116,
    /// The bytes are no message of the expected type.
    PM_MESSAGE_UNDECODABLE = 1000,
    /// An id is not exactly 16 bytes, or missing.
    PM_ID_LENGTH = 1001,
    /// A size of 0.
    PM_SIZE_ZERO = 1002,
    /// A size above the configured limit.
    PM_SIZE_LIMIT = 1003,
    /// An enum number that the contract does not know.
    PM_UNKNOWN_ENUM = 1004,
    /// No tier where one is needed.
    PM_TIER_REQUIRED = 1005,
    /// VOID where a place is needed.
    PM_VOID_IS_NO_PLACE = 1006,
    /// An alignment that is no power of two, or too large.
    PM_BAD_ALIGNMENT = 1007,
    /// A stream's name or namespace: empty, over 255 bytes, or with control characters.
    PM_BAD_STREAM_NAME = 1008,
    /// A consumer group's name, by the same rules.
    PM_BAD_GROUP_NAME = 1009,
    /// A page token that this daemon did not make, or for another question.
    PM_BAD_PAGE_TOKEN = 1010,
    /// A resume token that this daemon did not make.
    PM_BAD_RESUME_TOKEN = 1011,
    /// Metadata, a tag or another label over its limit.
    PM_METADATA_TOO_LARGE = 1012,
    /// An id inside the message is not the request's.
    PM_ID_MISMATCH = 1013,
    /// A time that is malformed, or before 1970.
    PM_BAD_TIME = 1014,
    /// A time beyond the year 9999.
    PM_TIME_TOO_LATE = 1015,
    /// A range that ends before it starts.
    PM_BAD_RANGE = 1016,
    /// A payload as its own parent.
    PM_SELF_PARENT = 1017,
    /// More items than one call may have.
    PM_BATCH_TOO_LARGE = 1018,
    /// Retention has removed that position of a stream.
    PM_OFFSET_REMOVED = 1019,
    /// That position of a stream is not yet to be written.
    PM_OFFSET_BEYOND_END = 1020,
    /// The daemon no longer has what followed that resume token.
    PM_RESUME_TOKEN_TOO_OLD = 1021,
    /// There is no such session to be taken up: it has ended, or is in use.
    PM_SESSION_NOT_FOUND = 1022,
    /// There is no such segment: it is gone, or never was.
    PM_SEGMENT_NOT_FOUND = 1023,
    /// No such payload, or it is deleted or expired.
    PM_PAYLOAD_NOT_FOUND = 1024,
    /// No such stream, or it is deleted.
    PM_STREAM_NOT_FOUND = 1025,
    /// The lease is over, or never was.
    PM_LEASE_OVER = 1026,
    /// A stream of that name is there.
    PM_STREAM_EXISTS = 1027,
    /// Committed once already.
    PM_ALREADY_COMMITTED = 1028,
    /// Not committed yet.
    PM_NOT_COMMITTED = 1029,
    /// The daemon has no such tier.
    PM_TIER_NOT_CONFIGURED = 1030,
    /// Client and daemon share no layout of the shared pages.
    PM_LAYOUT_NOT_SHARED = 1031,
    /// No copy is fast enough, and the call was not to wait; one is being made.
    PM_MIN_TIER_NOT_MET = 1032,
    /// A spill to a tier faster than where it is.
    PM_SPILL_TO_FASTER = 1033,
    /// A promotion to a tier slower than where it is.
    PM_PROMOTE_TO_SLOWER = 1034,
    /// The edge would close a cycle.
    PM_LINEAGE_CYCLE = 1035,
    /// Import of what is no OBJECT allocation, or not in the bucket with that size.
    PM_IMPORT_MISMATCH = 1036,
    /// The client's object or file does not have the size it asked for.
    PM_SIZE_MISMATCH = 1037,
    /// The producer of a SEALED payload still has its memory mapped: unmap it first.
    PM_STILL_MAPPED = 1038,
    /// SEALED over plain gRPC.
    PM_SEALED_NEEDS_SESSION = 1039,
    /// A protection that the daemon does not offer for that tier.
    PM_PROTECTION_NOT_OFFERED = 1040,
    /// Pinned: unpin it first.
    PM_PINNED = 1041,
    /// The policy's `min_residency_tier` forbids it.
    PM_MIN_RESIDENCY = 1042,
    /// The policy's `require_durable` forbids it.
    PM_REQUIRE_DURABLE = 1043,
    /// Retention has cut into the range.
    PM_RANGE_CUT = 1044,
    /// A live lease is in the way.
    PM_LEASED = 1045,
    /// The user has as many sessions as it may have.
    PM_SESSION_LIMIT = 1046,
    /// The tier is full and nothing may be evicted.
    PM_TIER_FULL = 1047,
    /// As many payloads as the daemon is made for.
    PM_PAYLOAD_LIMIT = 1048,
    /// As many SEALED payloads as the daemon has descriptors for.
    PM_SEALED_LIMIT = 1049,
    /// As many leases as the daemon is made for.
    PM_LEASE_LIMIT = 1050,
    /// The answer would not fit a message; the message says how to ask for less.
    PM_ANSWER_TOO_LARGE = 1051,
    /// The bytes are gone.
    PM_BYTES_LOST = 1052,
    /// The bytes are not those that were committed.
    PM_CHECKSUM_MISMATCH = 1053,
    /// A tier's storage is out of reach for now.
    PM_STORE_UNAVAILABLE = 1054,
    /// The catalog is out of reach for now.
    PM_CATALOG_UNAVAILABLE = 1055,
    /// The daemon is stopping.
    PM_SHUTTING_DOWN = 1056,
    /// The caller's deadline came first; the work may still finish.
    PM_DEADLINE = 1057,
    /// The peer's uid or gid is not allowed on this socket.
    PM_PEER_NOT_ALLOWED = 1058,
    /// Not the session's secret, or not its user.
    PM_SESSION_SECRET = 1059,
    /// This daemon does not know the call.
    PM_NOT_IMPLEMENTED = 1060,
    /// A bug of the daemon's.
    PM_BUG = 1061,
}

macro_rules! names {
    ($($name:ident)+) => {
        /// Every status with its name.
        const ALL: &[(pm_status, &str)] = &[$((pm_status::$name, concat!(stringify!($name), "\0")),)+];
    };
}

names! {
    PM_OK PM_END PM_TIMEOUT PM_NOTHING PM_INVALID_HANDLE PM_HANDLE_BUSY PM_NULL_ARGUMENT PM_BAD_ARGUMENT
    PM_TOO_MANY_HANDLES PM_FORKED PM_INTERNAL PM_UNREACHABLE PM_BAD_ADDRESS PM_PLACE PM_BAD_ANSWER PM_DEVICE_FAILED PM_CODE_CANCELLED
    PM_CODE_UNKNOWN PM_CODE_INVALID_ARGUMENT PM_CODE_DEADLINE_EXCEEDED PM_CODE_NOT_FOUND PM_CODE_ALREADY_EXISTS
    PM_CODE_PERMISSION_DENIED PM_CODE_RESOURCE_EXHAUSTED PM_CODE_FAILED_PRECONDITION PM_CODE_ABORTED
    PM_CODE_OUT_OF_RANGE PM_CODE_UNIMPLEMENTED PM_CODE_INTERNAL PM_CODE_UNAVAILABLE PM_CODE_DATA_LOSS
    PM_CODE_UNAUTHENTICATED PM_MESSAGE_UNDECODABLE PM_ID_LENGTH PM_SIZE_ZERO PM_SIZE_LIMIT PM_UNKNOWN_ENUM
    PM_TIER_REQUIRED PM_VOID_IS_NO_PLACE PM_BAD_ALIGNMENT PM_BAD_STREAM_NAME PM_BAD_GROUP_NAME PM_BAD_PAGE_TOKEN
    PM_BAD_RESUME_TOKEN PM_METADATA_TOO_LARGE PM_ID_MISMATCH PM_BAD_TIME PM_TIME_TOO_LATE PM_BAD_RANGE
    PM_SELF_PARENT PM_BATCH_TOO_LARGE PM_OFFSET_REMOVED PM_OFFSET_BEYOND_END PM_RESUME_TOKEN_TOO_OLD
    PM_SESSION_NOT_FOUND PM_SEGMENT_NOT_FOUND PM_PAYLOAD_NOT_FOUND PM_STREAM_NOT_FOUND PM_LEASE_OVER
    PM_STREAM_EXISTS PM_ALREADY_COMMITTED PM_NOT_COMMITTED PM_TIER_NOT_CONFIGURED PM_LAYOUT_NOT_SHARED
    PM_MIN_TIER_NOT_MET PM_SPILL_TO_FASTER PM_PROMOTE_TO_SLOWER PM_LINEAGE_CYCLE PM_IMPORT_MISMATCH PM_SIZE_MISMATCH
    PM_STILL_MAPPED PM_SEALED_NEEDS_SESSION PM_PROTECTION_NOT_OFFERED PM_PINNED PM_MIN_RESIDENCY PM_REQUIRE_DURABLE
    PM_RANGE_CUT PM_LEASED PM_SESSION_LIMIT PM_TIER_FULL PM_PAYLOAD_LIMIT PM_SEALED_LIMIT PM_LEASE_LIMIT
    PM_ANSWER_TOO_LARGE PM_BYTES_LOST PM_CHECKSUM_MISMATCH PM_STORE_UNAVAILABLE PM_CATALOG_UNAVAILABLE
    PM_SHUTTING_DOWN PM_DEADLINE PM_PEER_NOT_ALLOWED PM_SESSION_SECRET PM_NOT_IMPLEMENTED PM_BUG
}

impl pm_status {
    /// The status of that name, after its prefix.
    fn named(prefix: &str, name: &str) -> Option<Self> {
        let same = |full: &str| full.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('\0')) == Some(name);
        ALL.iter().find(|(_, full)| same(full)).map(|(status, _)| *status)
    }

    /// The number of a reason; `None` for one that is newer than this list.
    pub(crate) fn of_reason(reason: Reason) -> Option<Self> {
        Self::named("PM_", reason.as_str())
    }

    /// The number of a class of errors.
    pub(crate) fn of_code(code: Code) -> Self {
        Self::named("PM_CODE_", code.as_str()).unwrap_or(Self::PM_CODE_UNKNOWN)
    }

    /// The name of a number; `None` if there is no such.
    pub(crate) fn name(number: i32) -> Option<&'static CStr> {
        let (_, name) = ALL.iter().find(|(status, _)| *status as i32 == number)?;
        CStr::from_bytes_with_nul(name.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_every_code_has_a_number() {
        for reason in Reason::ALL {
            assert!(pm_status::of_reason(*reason).is_some_and(|status| status as i32 >= 1000), "{reason}");
        }
        for code in Code::ALL {
            assert_eq!(pm_status::of_code(*code) as i32, 100 + *code as i32);
        }
    }

    #[test]
    fn numbers_are_those_that_were_given_once() {
        let given = include_str!("../../tests/status_numbers.txt");
        let now: String =
            ALL.iter().map(|(status, name)| format!("{} {}\n", *status as i32, name.trim_end_matches('\0'))).collect();
        assert_eq!(now, given, "add new ones at the end of their hundred; change none");
    }
}
