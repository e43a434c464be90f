//! What becomes of copies when the way to the store, or the store, fails: either it comes right by trying again, or the
//! error says what it was; and nothing is left behind.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use parking_lot::Mutex;
use payload_manager_types::{Checksum, PayloadId, Place, Tier};

use super::moto::{BUCKET, Moto};
use super::proxy::{Fault, Proxy};
use super::rig;
use super::{archive, put};
use crate::conformance::bytes::{checksum_of, new_id, pattern};
use crate::conformance::{ObjectRig, Rig};
use crate::copy::{self, Job};
use crate::object::{ObjectOptions, ObjectTier};
use crate::{TierError, TierStore};

/// Three parts.
const SIZE: usize = 20 << 20;

/// Waits little between tries, and gives up on what stalls.
fn hasty(fault: Fault, retries: usize) -> ObjectOptions {
    let patience = match (fault, retries) {
        (Fault::Stall, 10..) => 2,
        (Fault::Stall, _) => 5,
        _ => 120,
    };
    let request_timeout = Duration::from_secs(patience);
    ObjectOptions { retries, backoff: Duration::from_millis(1), request_timeout, ..rig::options() }
}

/// OBJECT on `moto`, by way of a proxy that follows `rule`.
fn behind(
    moto: &Moto,
    options: ObjectOptions,
    rule: impl Fn(&str) -> Fault + Send + Sync + 'static,
) -> (Proxy, ObjectRig) {
    let proxy = Proxy::start(&moto.host, rule);
    let rig = rig::rig(&proxy.host, BUCKET, &format!("{}", new_id()), options);
    (proxy, rig)
}

fn write(tier: &ObjectTier, id: PayloadId, bytes: &[u8]) -> Result<(), TierError> {
    let mut sink = tier.sink(id, bytes.len() as u64)?;
    for (n, piece) in bytes.chunks(1 << 20).enumerate() {
        sink.write_at((n as u64) << 20, piece)?;
    }
    sink.finish(checksum_of(bytes), &archive).map(drop)
}

fn read(tier: &ObjectTier, id: PayloadId, size: usize) -> Result<Checksum, TierError> {
    let size = size as u64;
    let mut source = tier.source(id, Place::OWN, size)?;
    copy::hash(Job { id, from: Tier::Object, size }, &mut *source, &|_| true)
}

#[test]
fn what_fails_once_comes_right_by_trying_again() {
    let Some(moto) = Moto::start("what_fails_once_comes_right_by_trying_again") else { return };
    let faults = [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Stall,
        Fault::Half,
    ];
    for fault in faults {
        let seen = Mutex::new(HashSet::new());
        let (_proxy, rig) = behind(&moto, hasty(fault, 10), move |line| {
            // Carried out and not answered, these two are another matter.
            let once = line.starts_with("POST") && matches!(fault, Fault::CutAfter | Fault::Half);
            if !once && seen.lock().insert(line.to_owned()) { fault } else { Fault::Pass }
        });
        let (id, bytes) = (new_id(), pattern(SIZE));
        write(&rig.tier, id, &bytes).unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        let found = read(&rig.tier, id, SIZE).unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(found, checksum_of(&bytes), "{fault:?}");
        assert_eq!(rig.archive(id).as_deref(), Some(&b"{}"[..]), "{fault:?}");
        rig.tier.free(id, Place::OWN).unwrap();
        assert_eq!((rig.leftovers(), moto.unfinished_uploads()), (Vec::new(), 0), "{fault:?}");
        assert!(rig.tier.peak_held_bytes() <= 32 << 20, "{fault:?}: {}", rig.tier.peak_held_bytes());
    }
}

#[test]
fn a_write_that_fails_for_good_leaves_nothing_and_may_work_later() {
    let Some(moto) = Moto::start("a_write_that_fails_for_good_leaves_nothing_and_may_work_later") else { return };
    let cases: [(&str, &str, Fault); 8] = [
        ("POST", "uploads", Fault::Status(503)),
        ("PUT", "partNumber=2", Fault::CutBefore),
        ("PUT", "partNumber=2", Fault::Status(500)),
        ("PUT", "partNumber=3", Fault::Stall),
        ("PUT", ".meta.json", Fault::Status(503)),
        ("PUT", ".meta.json", Fault::CutAfter),
        ("POST", "uploadId", Fault::Status(500)),
        ("POST", "uploadId", Fault::CutAfter),
    ];
    for (method, part, fault) in cases {
        let (_proxy, rig) = behind(&moto, hasty(fault, 2), move |line| {
            if line.starts_with(method) && line.contains(part) { fault } else { Fault::Pass }
        });
        let id = new_id();
        let error = write(&rig.tier, id, &pattern(SIZE)).unwrap_err();
        assert!(matches!(error, TierError::Unavailable { .. }), "{method} {part} {fault:?}: {error}");
        assert!(error.to_string().contains(&id.to_string()), "{error}");
        assert_eq!((rig.leftovers(), moto.unfinished_uploads()), (Vec::new(), 0), "{method} {part} {fault:?}");
    }
}

#[test]
fn a_read_that_fails_for_good_gives_no_bytes_and_says_why() {
    let Some(moto) = Moto::start("a_read_that_fails_for_good_gives_no_bytes_and_says_why") else { return };
    let faults = [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Status(500),
        Fault::Status(503),
        Fault::Stall,
        Fault::Half,
        Fault::Short,
    ];
    for fault in faults {
        let (_proxy, rig) = behind(&moto, hasty(fault, 2), move |line| {
            if line.starts_with("GET") && line.contains(".bin") { fault } else { Fault::Pass }
        });
        let id = put(&rig.tier, &pattern(9 << 20));
        let error = read(&rig.tier, id, 9 << 20).unwrap_err();
        assert!(matches!(error, TierError::Unavailable { .. }), "{fault:?}: {error}");
    }
}

#[test]
fn a_bit_that_flips_on_the_way_changes_the_checksum() {
    let Some(moto) = Moto::start("a_bit_that_flips_on_the_way_changes_the_checksum") else { return };
    let (_proxy, rig) = behind(&moto, hasty(Fault::Flip, 2), |line| {
        if line.starts_with("GET") && line.contains(".bin") { Fault::Flip } else { Fault::Pass }
    });
    let bytes = pattern(9 << 20);
    let id = put(&rig.tier, &bytes);
    assert_ne!(read(&rig.tier, id, bytes.len()).unwrap(), checksum_of(&bytes));
}

#[test]
fn a_store_that_refuses_says_that_it_is_the_credentials() {
    let Some(moto) = Moto::start("a_store_that_refuses_says_that_it_is_the_credentials") else { return };
    for status in [401, 403] {
        let (_proxy, rig) = behind(&moto, hasty(Fault::Pass, 2), move |_| Fault::Status(status));
        let id = new_id();
        for error in [
            rig.tier.check().unwrap_err(),
            rig.tier.source(id, Place::OWN, 5).map(drop).unwrap_err(),
            write(&rig.tier, id, b"12345").unwrap_err(),
            rig.tier.free(id, Place::OWN).unwrap_err(),
        ] {
            assert!(error.to_string().contains("credentials"), "{error}");
            let TierError::Io { source, .. } = error else { panic!("{error}") };
            assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
        }
    }
}
