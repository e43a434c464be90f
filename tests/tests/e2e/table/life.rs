//! Rows: allocate, commit, delete, get, list, count.

use payload_manager_api::Reason;
use payload_manager_api::admin::v1::{StatsRequest, StatsResponse};
use payload_manager_api::core::v1::payload_descriptor::Location;
use payload_manager_api::core::v1::{PayloadState, Protection, Tier};
use payload_manager_api::runtime::v1::{
    AllocatePayloadRequest, AllocatePayloadResponse, CommitPayloadRequest, CommitPayloadResponse, DeleteRequest,
    GetPayloadRequest, GetPayloadResponse, ListPayloadsRequest, ListPayloadsResponse,
};
use payload_manager_tests::v1;
use tonic::Code;

use super::row::{Row, good, refused};
use super::world::{Given, SIZE, World};

const INVALID: Code = Code::InvalidArgument;
const WRONG_STATE: Code = Code::FailedPrecondition;
const GONE: (Code, Reason) = (Code::NotFound, Reason::PayloadNotFound);

pub(super) fn rows() -> Vec<Row> {
    [allocations(), refused_allocations(), commits(), deletions(), lookups(), counts()].into_iter().flatten().collect()
}

fn in_tier(tier: Tier) -> AllocatePayloadRequest {
    AllocatePayloadRequest { size_bytes: SIZE, preferred_tier: tier as i32, ..Default::default() }
}

fn strict(tier: Tier) -> AllocatePayloadRequest {
    AllocatePayloadRequest { protection: Protection::Strict as i32, ..in_tier(tier) }
}

fn of_protection(protection: Protection) -> impl Fn(&World, AllocatePayloadResponse) {
    move |_, answer| assert_eq!(answer.payload_descriptor.unwrap().protection(), protection)
}

fn allocations() -> Vec<Row> {
    let call = "AllocatePayload";
    vec![
        good(
            call,
            "in RAM",
            Given::Nothing,
            |_| in_tier(Tier::Ram),
            |_, answer: AllocatePayloadResponse| {
                let made = answer.payload_descriptor.unwrap();
                assert_eq!((made.tier(), made.state(), made.version), (Tier::Ram, PayloadState::Allocated, 1));
                assert_eq!((made.size_bytes, made.expires_at, answer.object_upload_path.as_str()), (SIZE, None, ""));
                let Some(Location::Ram(ram)) = &made.location else { panic!("{made:?}") };
                assert_eq!(ram.length_bytes, SIZE);
                assert_eq!(std::fs::metadata(v1::place(&made).0).unwrap().len(), SIZE, "an object of its own");
            },
        ),
        good(
            call,
            "in DISK",
            Given::Nothing,
            |_| in_tier(Tier::Disk),
            |_, answer: AllocatePayloadResponse| {
                let made = answer.payload_descriptor.unwrap();
                assert_eq!((made.tier(), made.state(), made.version), (Tier::Disk, PayloadState::Allocated, 1));
                let (path, offset, length) = v1::place(&made);
                assert!(path.is_absolute() && path.exists() && offset.is_multiple_of(4096), "{path:?} {offset}");
                assert_eq!(length, SIZE);
            },
        ),
        good(
            call,
            "with a time to live",
            Given::Nothing,
            |_| AllocatePayloadRequest { ttl_ms: 3_600_000, ..in_tier(Tier::Ram) },
            |_, answer: AllocatePayloadResponse| {
                let made = answer.payload_descriptor.unwrap();
                let (created, expires) = (made.created_at.unwrap(), made.expires_at.unwrap());
                assert_eq!(expires.seconds - created.seconds, 3600);
            },
        ),
        good(call, "STRICT in RAM", Given::Nothing, |_| strict(Tier::Ram), of_protection(Protection::Strict)),
        good(call, "STRICT in DISK", Given::Nothing, |_| strict(Tier::Disk), of_protection(Protection::Strict)),
        good(
            call,
            "1 byte",
            Given::Nothing,
            |_| AllocatePayloadRequest { size_bytes: 1, ..in_tier(Tier::Disk) },
            |_, answer: AllocatePayloadResponse| assert_eq!(answer.payload_descriptor.unwrap().size_bytes, 1),
        ),
        good(
            call,
            "evicting what may go",
            Given::Active,
            |_| AllocatePayloadRequest { size_bytes: 4 << 20, ..in_tier(Tier::Ram) },
            |_, answer: AllocatePayloadResponse| assert_eq!(answer.payload_descriptor.unwrap().size_bytes, 4 << 20),
        ),
    ]
}

fn refused_allocations() -> Vec<Row> {
    let asks = |case: &str, ask: AllocatePayloadRequest, why: (Code, Reason)| {
        refused("AllocatePayload", case, Given::Nothing, move |_| ask.clone(), why)
    };
    let ram = || in_tier(Tier::Ram);
    let sized = |size_bytes| AllocatePayloadRequest { size_bytes, ..in_tier(Tier::Ram) };
    let protected = |protection: Protection| AllocatePayloadRequest { protection: protection as i32, ..ram() };
    let tags = [("key".to_owned(), "x".repeat(64 << 10))].into();
    vec![
        asks("of nothing", sized(0), (INVALID, Reason::SizeZero)),
        asks("over 128 GiB", sized((128 << 30) + 1), (INVALID, Reason::SizeLimit)).saying(&["max-payload"]),
        asks("of 2^63 bytes", sized(1 << 63), (INVALID, Reason::SizeLimit)),
        asks("of 2^64 - 1 bytes", sized(u64::MAX), (INVALID, Reason::SizeLimit)),
        asks("nowhere", in_tier(Tier::Unspecified), (INVALID, Reason::TierRequired)),
        asks("in VOID", in_tier(Tier::Void), (INVALID, Reason::VoidIsNoPlace)),
        asks("in GPU", in_tier(Tier::Gpu), (WRONG_STATE, Reason::TierNotConfigured)).saying(&["GPU"]),
        asks("in OBJECT", in_tier(Tier::Object), (WRONG_STATE, Reason::TierNotConfigured)).saying(&["OBJECT"]),
        asks(
            "for ever and a day",
            AllocatePayloadRequest { ttl_ms: u64::MAX, ..ram() },
            (INVALID, Reason::TimeTooLate),
        ),
        asks(
            "beyond the year 9999",
            AllocatePayloadRequest { ttl_ms: 8_100 * 365 * 24 * 3_600_000, ..ram() },
            (INVALID, Reason::TimeTooLate),
        )
        .saying(&["9999"]),
        asks("aligned to 3", AllocatePayloadRequest { alignment_bytes: 3, ..ram() }, (INVALID, Reason::BadAlignment)),
        asks(
            "with too long a dataset",
            AllocatePayloadRequest { dataset: "x".repeat(1025), ..ram() },
            (INVALID, Reason::MetadataTooLarge),
        ),
        asks("with too many tags", AllocatePayloadRequest { tags, ..ram() }, (INVALID, Reason::MetadataTooLarge)),
        asks("SEALED", protected(Protection::Sealed), (WRONG_STATE, Reason::SealedNeedsSession)),
        asks("STRICT in GPU", strict(Tier::Gpu), (WRONG_STATE, Reason::ProtectionNotOffered))
            .saying(&["STRICT", "GPU"]),
        asks("larger than RAM", sized((4 << 20) + 1), (Code::ResourceExhausted, Reason::TierFull))
            .saying(&["RAM", "4194305", "4194304"]),
        refused("AllocatePayload", "no room in RAM", Given::RamFull, |_| in_tier(Tier::Ram), full()).saying(&[
            "RAM",
            "5000 bytes asked",
            "0 of 4194304 free",
        ]),
        refused("AllocatePayload", "no room in DISK", Given::DiskFull, |_| in_tier(Tier::Disk), full()).saying(&[
            "DISK",
            "5000 bytes asked",
            "free",
        ]),
        refused(
            "AllocatePayload",
            "one too many",
            Given::NoMorePayloads,
            |_| in_tier(Tier::Ram),
            (Code::ResourceExhausted, Reason::PayloadLimit),
        )
        .saying(&["24", "max-payloads"]),
    ]
}

fn full() -> (Code, Reason) {
    (Code::ResourceExhausted, Reason::TierFull)
}

fn commit(world: &World) -> CommitPayloadRequest {
    CommitPayloadRequest { id: Some(world.subject.clone()) }
}

fn commits() -> Vec<Row> {
    let call = "CommitPayload";
    let becomes = |case: &'static str, tier: Tier, state: PayloadState| {
        good(call, case, Given::Allocated(tier), commit, move |world, answer: CommitPayloadResponse| {
            let now = answer.payload_descriptor.unwrap();
            assert_eq!((now.tier(), now.state()), (tier, state));
            assert_eq!((now.payload_id.clone(), now.size_bytes), (Some(world.subject.clone()), SIZE));
            assert!(now.version > world.before.version, "{now:?}");
            assert_eq!(v1::read(&now).unwrap(), v1::pattern(1, 5000));
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(v1::place(&now).0).unwrap().permissions());
            assert_eq!(mode & 0o222, 0, "it loses its write bits (promise: immutable)");
        })
    };
    vec![
        becomes("in RAM", Tier::Ram, PayloadState::Active),
        becomes("in DISK", Tier::Disk, PayloadState::Durable),
        refused(call, "unknown", Given::Nothing, commit, GONE),
        refused(call, "deleted", Given::Deleted, commit, GONE),
        refused(call, "twice in RAM", Given::Active, commit, (WRONG_STATE, Reason::AlreadyCommitted))
            .saying(&["ACTIVE"]),
        refused(call, "twice in DISK", Given::Durable, commit, (WRONG_STATE, Reason::AlreadyCommitted)),
        refused(call, "cut in RAM", Given::Truncated(Tier::Ram), commit, (WRONG_STATE, Reason::SizeMismatch)),
        refused(call, "cut in DISK", Given::Truncated(Tier::Disk), commit, (WRONG_STATE, Reason::SizeMismatch)),
    ]
}

fn deletions() -> Vec<Row> {
    let call = "Delete";
    let ask = |world: &World| DeleteRequest { id: Some(world.subject.clone()), force: false };
    let force = |world: &World| DeleteRequest { id: Some(world.subject.clone()), force: true };
    let fine = |_: &World, (): ()| {};
    vec![
        good(call, "an allocation", Given::Allocated(Tier::Disk), ask, fine),
        good(call, "in RAM", Given::Active, ask, fine),
        good(call, "in DISK", Given::Durable, ask, fine),
        good(call, "in both", Given::Both, ask, fine),
        good(call, "lost", Given::Lost, ask, fine),
        good(call, "leased, with force", Given::Leased, force, fine),
        refused(call, "leased", Given::Leased, ask, (Code::Aborted, Reason::Leased)).saying(&["1 live lease"]),
        refused(call, "leased behind", Given::LeasedBehind, ask, (Code::Aborted, Reason::Leased)),
        refused(call, "unknown", Given::Nothing, ask, GONE),
        refused(call, "unknown, with force", Given::Nothing, force, GONE),
        refused(call, "twice", Given::Deleted, ask, GONE),
        refused(call, "expired", Given::Expired, ask, GONE),
    ]
}

fn lookups() -> Vec<Row> {
    let get = |world: &World| GetPayloadRequest { id: Some(world.subject.clone()) };
    let list = |page_size: i32, token: &'static str| {
        move |_: &World| ListPayloadsRequest { page_size, page_token: token.to_owned(), ..Default::default() }
    };
    let bad_token = (INVALID, Reason::BadPageToken);
    let mut rows = vec![
        good("GetPayload", "leased", Given::Leased, get, |world, answer: GetPayloadResponse| {
            assert_eq!(answer.payload_descriptor.as_ref(), Some(&world.before));
            assert_eq!((answer.active_leases, answer.pinned, answer.no_evict), (1, false, false));
        }),
        good("GetPayload", "lost", Given::Lost, get, |_, answer: GetPayloadResponse| {
            assert_eq!(answer.payload_descriptor.unwrap().location, None, "it is listed, and nowhere to be found");
        }),
        refused("GetPayload", "unknown", Given::Nothing, get, GONE),
        refused("GetPayload", "expired", Given::Expired, get, GONE),
        good("ListPayloads", "one", Given::Leased, list(0, ""), |world, answer: ListPayloadsResponse| {
            assert_eq!((answer.payloads.len(), answer.total_count, answer.next_page_token.as_str()), (1, 1, ""));
            let row = &answer.payloads[0];
            assert_eq!((row.id.as_ref(), row.size_bytes, row.active_leases), (Some(&world.subject), SIZE, 1));
            assert_eq!((row.tier(), row.state(), row.expires_at_ms), (Tier::Ram, PayloadState::Active, 0));
        }),
        good("ListPayloads", "none", Given::Nothing, list(-1, ""), |_, answer: ListPayloadsResponse| {
            assert_eq!(answer, ListPayloadsResponse::default());
        }),
        good("ListPayloads", "lost", Given::Lost, list(1, ""), |_, answer: ListPayloadsResponse| {
            assert_eq!(answer.total_count, 1, "it can be seen, and deleted");
        }),
    ];
    for token in ["x", "0", "ä", "zzzzzzzzzzzz0123456789abcdef0123456789abcdef"] {
        rows.push(refused("ListPayloads", "garbage token", Given::Active, list(10, token), bad_token));
    }
    rows
}

fn counts() -> Vec<Row> {
    vec![
        good(
            "Stats",
            "in both",
            Given::Both,
            |_| StatsRequest {},
            |_, answer: StatsResponse| {
                assert_eq!((answer.payloads_ram, answer.bytes_ram), (1, SIZE), "counted where it is fastest");
                assert_eq!((answer.payloads_disk, answer.bytes_disk), (0, 0));
                let tiers: Vec<Tier> = answer.tiers.iter().map(|usage| usage.tier()).collect();
                assert_eq!(tiers, [Tier::Ram, Tier::Disk]);
                assert!(answer.tiers.iter().all(|usage| usage.free_bytes + SIZE <= usage.capacity_bytes), "{answer:?}");
            },
        ),
        good(
            "Stats",
            "leased",
            Given::Leased,
            |_| StatsRequest {},
            |_, answer: StatsResponse| {
                assert_eq!((answer.live_leases, answer.backlog_blocks, answer.sessions), (1, 0, 0));
            },
        ),
        good(
            "Stats",
            "leased behind",
            Given::LeasedBehind,
            |_| StatsRequest {},
            |_, answer: StatsResponse| {
                assert_eq!((answer.backlog_blocks, answer.backlog_bytes, answer.payloads_disk), (1, SIZE, 1));
            },
        ),
    ]
}
