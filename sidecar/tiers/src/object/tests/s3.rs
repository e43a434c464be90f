//! OBJECT on a server that speaks S3.

use std::io;

use super::moto::{BUCKET, Moto};
use super::rig;
use super::{archive, put};
use crate::conformance::bytes::{new_id, pattern};
use crate::conformance::{Rig, SUITE};
use crate::notes::tests::notes_come_back_whole_until_they_are_removed;
use crate::object::{ObjectOptions, Settings, aside};
use crate::{Notes, TierError, TierStore};
use payload_manager_types::{InstanceId, Place};

#[test]
fn every_promise_of_a_tier_holds_on_s3() {
    let Some(moto) = Moto::start("every_promise_of_a_tier_holds_on_s3") else { return };
    for (name, test) in SUITE {
        eprintln!("{name}");
        test(&rig::rig(&moto.host, BUCKET, &format!("suite/{name}"), rig::options()));
    }
    assert_eq!(moto.unfinished_uploads(), 0);
}

#[test]
fn a_prefix_on_s3_is_checked_claimed_and_its_copies_set_aside() {
    let Some(moto) = Moto::start("a_prefix_on_s3_is_checked_claimed_and_its_copies_set_aside") else { return };
    let rig = rig::rig(&moto.host, BUCKET, "some/prefix", rig::options());
    let tier = &rig.tier;
    tier.check().unwrap();
    assert_eq!(rig.leftovers(), Vec::<String>::new());
    let (ours, other) = (InstanceId::from_bytes([1; 16]), InstanceId::from_bytes([2; 16]));
    tier.claim(ours).unwrap();
    tier.claim(ours).unwrap();
    let error = tier.claim(other).unwrap_err();
    assert!(matches!(&error, TierError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists), "{error}");
    for copy_max in [u64::MAX, 0] {
        let id = put(tier, &pattern(9 << 20));
        aside::move_pair(&tier.remote, id, copy_max).unwrap();
        let aside = tier.remote.layout.key(&format!("set-aside/{id}.bin"));
        assert_eq!(tier.remote.head(&aside).unwrap().unwrap().size, 9 << 20);
    }
    notes_come_back_whole_until_they_are_removed(tier);
    tier.put_note("0a/head.json", b"x").unwrap();
    assert_eq!(tier.survey().count(), 0);
    tier.remove_note("0a/head.json").unwrap();
    assert_eq!(rig.leftovers(), Vec::<String>::new());
    // A sibling whose name begins with ours is not ours.
    let sibling = rig::rig(&moto.host, BUCKET, "some/prefix-2", rig::options());
    put(&sibling.tier, b"12345");
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

#[test]
fn what_was_begun_and_dropped_is_given_up_on_s3() {
    let Some(moto) = Moto::start("what_was_begun_and_dropped_is_given_up_on_s3") else { return };
    let rig = rig::rig(&moto.host, BUCKET, "p", rig::options());
    let mut sink = rig.tier.sink(new_id(), 40 << 20).unwrap();
    sink.write_at(0, &pattern(20 << 20)).unwrap();
    assert_eq!(moto.unfinished_uploads(), 1);
    drop(sink);
    assert_eq!((moto.unfinished_uploads(), rig.leftovers()), (0, Vec::new()));
}

#[test]
fn what_a_person_has_to_put_right_is_said_by_name() {
    let Some(moto) = Moto::start("what_a_person_has_to_put_right_is_said_by_name") else { return };
    let error = rig::rig(&moto.host, "nowhere", "p", rig::options()).tier.check().unwrap_err();
    assert!(error.to_string().contains("the bucket or container does not exist"), "{error}");
    assert!(matches!(error, TierError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound));

    let wrong = Settings(vec![("aws_no_such_thing".to_owned(), "hush".to_owned())]);
    let options = ObjectOptions { settings: wrong, ..ObjectOptions::default() };
    assert!(!format!("{options:?}").contains("hush"));
    let address = crate::object::Address::parse("s3://b/p").unwrap();
    let error = crate::ObjectTier::open(address, options).unwrap_err();
    assert!(error.to_string().contains("aws_no_such_thing"), "{error}");

    let once = ObjectOptions { retries: 0, ..rig::options() };
    let host = moto.host.clone();
    drop(moto);
    let gone = rig::rig(&host, BUCKET, "p", once);
    let id = new_id();
    for error in [
        gone.tier.check().unwrap_err(),
        gone.tier.seal(id, Place::OWN, 5, &archive).unwrap_err(),
        gone.tier.source(id, Place::OWN, 5).map(drop).unwrap_err(),
        gone.tier.free(id, Place::OWN).unwrap_err(),
    ] {
        assert!(matches!(error, TierError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("s3://payloads/p"), "{error}");
    }
}
