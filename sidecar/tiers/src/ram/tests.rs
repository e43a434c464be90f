//! That a full RAM tier is an error with numbers, and grows in steps that are looked at before they are taken.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use payload_manager_types::Place;

use crate::conformance::bytes::{new_id, pattern};
use crate::conformance::space::{with_small_file_systems, with_small_memory};
use crate::conformance::{RamRig, Rig};
use crate::{CgroupGauge, Location, MemoryGauge, Room, TierError, TierStore};

/// A gauge that goes down in front of the tier's eyes: one answer after the other, the last one again and again.
#[derive(Debug)]
struct Script(Mutex<Vec<u64>>);

impl MemoryGauge for Script {
    fn room(&self, _: u64) -> Room {
        let mut answers = self.0.lock();
        let free = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        Room { free, bound_by: "the test's limit".to_owned() }
    }
}

fn script(answers: &[u64]) -> Arc<Script> {
    Arc::new(Script(Mutex::new(answers.to_vec())))
}

fn assert_full_and_clean(rig: &RamRig, size: u64, free: u64) {
    let error = rig.tier.allocate(new_id(), size).unwrap_err();
    assert!(matches!(&error, TierError::Full { asked, free: f, .. } if (*asked, *f) == (size, free)), "{error}");
    assert!(error.to_string().contains("the test's limit"), "{error}");
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

#[test]
fn a_memory_limit_is_full_and_not_a_kill() {
    let rig = RamRig::with(script(&[1000]));
    assert_full_and_clean(&rig, 1001, 1000);
    rig.tier.allocate(new_id(), 1000).unwrap();
}

#[test]
fn a_small_cgroup_limit_is_full_and_not_a_kill() {
    let test = "ram::tests::a_small_cgroup_limit_is_full_and_not_a_kill";
    let ran = with_small_memory(test, 192 << 20, || {
        let rig = RamRig::with(Arc::new(CgroupGauge::default()));
        let full = (0..100).find_map(|_| rig.tier.allocate(new_id(), 5 << 20).err()).unwrap();
        let TierError::Full { free, what, .. } = full else { panic!("{full}") };
        assert!(free < 5 << 20 && what.contains(&format!("= {}", 192 << 20)), "{free} {what}");
        let held = rig.leftovers().len();
        assert!(held >= 10, "{held} objects of 5 MiB fit under 192 MiB less headroom");
    });
    if !ran {
        eprintln!("no memory cgroup to be had here: only a gauge of our own making says that memory is short");
        assert_full_and_clean(&RamRig::with(script(&[1 << 20])), 5 << 20, 1 << 20);
    }
}

#[test]
fn the_gauge_is_asked_before_every_step_of_growth() {
    // Asked for the whole first, then for each 12 MiB: memory that went elsewhere meanwhile is noticed.
    assert_full_and_clean(&RamRig::with(script(&[1 << 40, 1 << 40, 5])), 40 << 20, 5);
    let gauge = script(&[1 << 40, 13 << 20, 13 << 20, 13 << 20, 9 << 20, 0]);
    let rig = RamRig::with(Arc::clone(&gauge) as Arc<dyn MemoryGauge>);
    rig.tier.allocate(new_id(), 40 << 20).unwrap();
    assert_eq!(*gauge.0.lock(), [0], "five looks: the whole, thrice 12, and 4 MiB");
}

#[test]
fn a_copy_takes_memory_as_its_bytes_come_and_leaves_none_when_there_is_no_more() {
    // The whole first, then a step when the first byte comes and another after 12 MiB.
    let rig = RamRig::with(script(&[1 << 40, 1 << 40, 5]));
    let (id, piece) = (new_id(), pattern(4 << 20));
    let mut sink = rig.tier.sink(id, 40 << 20).unwrap();
    for offset in [0, 4 << 20, 8 << 20] {
        sink.write_at(offset, &piece).unwrap();
    }
    assert_eq!(fs::metadata(rig.path(id).unwrap()).unwrap().len(), 12 << 20);
    let error = sink.write_at(12 << 20, &piece).unwrap_err();
    assert!(matches!(error, TierError::Full { asked, free: 5, .. } if asked == 40 << 20), "{error}");
    drop(sink);
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

#[test]
fn small_objects_share_a_look() {
    let gauge = script(&[1 << 30, 0]);
    let rig = RamRig::with(Arc::clone(&gauge) as Arc<dyn MemoryGauge>);
    let made = (0..10).take_while(|_| rig.tier.allocate(new_id(), 1 << 20).is_ok()).count();
    assert_eq!(made, 5, "one MiB with the look, four on what it left");
}

#[test]
fn an_object_has_its_memory_from_the_start() {
    use std::os::unix::fs::MetadataExt;
    let (rig, id) = (RamRig::new(), new_id());
    rig.tier.allocate(id, 100_000).unwrap();
    let meta = fs::metadata(rig.path(id).unwrap()).unwrap();
    assert_eq!((meta.len(), meta.blocks() * 512 >= 100_000), (100_000, true));
}

#[test]
fn holes_that_a_producer_made_are_filled_again_or_full() {
    use std::os::unix::fs::MetadataExt;
    const SIZE: u64 = 5 << 20;
    let gauge = script(&[100 << 20, 100 << 20, 7]);
    let (rig, sealed, refused) = (RamRig::with(gauge), new_id(), new_id());
    for id in [sealed, refused] {
        rig.tier.allocate(id, SIZE).unwrap();
        rig.resize(id, 0);
        rig.resize(id, usize::try_from(SIZE).unwrap());
    }
    // Each allocation looks once; so the first look at a hole finds 7 bytes.
    let error = rig.tier.seal(refused, Place::OWN, SIZE, &|_| Vec::new()).unwrap_err();
    assert!(matches!(error, TierError::Full { free: 7, .. }), "{error}");
    assert_eq!(rig.mode(refused), Some(0o600), "the producer may still write");

    let roomy = crate::RamTier { gauge: Arc::new(crate::Unlimited), ..rig.tier.clone() };
    roomy.seal(sealed, Place::OWN, SIZE, &|_| Vec::new()).unwrap();
    assert!(fs::metadata(rig.path(sealed).unwrap()).unwrap().blocks() * 512 >= SIZE);
}

#[test]
fn a_reader_of_a_replaced_object_keeps_what_it_opened() {
    let (rig, id) = (RamRig::new(), new_id());
    rig.tier.allocate(id, 4096).unwrap();
    rig.write(id, &pattern(4096));
    let mut old = rig.tier.source(id, Place::OWN, 4096).unwrap();
    rig.tier.allocate(id, 10).unwrap();
    assert_eq!(old.read_at(0, &mut [0; 4096]).unwrap(), 4096, "unlinked, not truncated");
}

#[test]
fn clients_find_the_object_under_one_slash_prefix_and_uuid() {
    let (rig, id) = (RamRig::new(), new_id());
    let place = rig.tier.allocate(id, 1).unwrap();
    let Location::SharedMemory { name, offset, .. } = rig.tier.location(id, place) else { panic!("no shared memory") };
    assert!(name.starts_with("/pmtest") && name.ends_with(&format!("-{id}")) && offset == 0, "{name}");
    let path = Path::new("/dev/shm").join(&name[1..]);
    assert!(OpenOptions::new().read(true).write(true).open(path).is_ok());
}

/// A gauge that lets somebody else fill `/dev/shm` between two looks.
#[derive(Debug)]
struct Neighbour(Mutex<u32>);

impl MemoryGauge for Neighbour {
    fn room(&self, _: u64) -> Room {
        let mut looks = self.0.lock();
        *looks += 1;
        if *looks == 3 {
            fs::write("/dev/shm/neighbour", vec![1; 10 << 20]).unwrap();
        }
        Room { free: u64::MAX, bound_by: String::new() }
    }
}

#[test]
fn a_full_dev_shm_is_full_with_numbers() {
    with_small_file_systems("ram::tests::a_full_dev_shm_is_full_with_numbers", |_| {
        let rig = RamRig::new();
        rig.tier.allocate(new_id(), 20 << 20).unwrap();
        let error = rig.tier.allocate(new_id(), 13 << 20).unwrap_err();
        assert!(matches!(error, TierError::Full { asked: 13_631_488, free: 12_582_912, .. }), "{error}");
        assert_eq!(rig.leftovers().len(), 1);
        rig.tier.allocate(new_id(), 12 << 20).unwrap();
        drop(rig);

        let rig = RamRig::with(Arc::new(Neighbour(Mutex::default())));
        let error = rig.tier.allocate(new_id(), 30 << 20).unwrap_err();
        assert!(error.to_string().contains("/dev/shm is full"), "{error}");
        assert_eq!(rig.leftovers(), Vec::<String>::new(), "what was taken before it filled up is given back");
    });
}

#[test]
fn a_replacement_is_never_open_to_be_written_by_name_and_what_a_crash_leaves_of_it_goes() {
    let (rig, id) = (RamRig::new(), new_id());
    let place = rig.tier.allocate(id, 100).unwrap();
    let mut sink = rig.tier.replacement(id, 100).unwrap();
    sink.write_at(0, &pattern(100)).unwrap();
    let made = Path::new("/dev/shm").join(format!("{}.tmp", &rig.tier.name(id)[1..]));
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o400);
    // A crash runs no destructor.
    std::mem::forget(sink);
    rig.tier.remove_unfinished(id).unwrap();
    assert!(!made.exists());
    rig.tier.remove_unfinished(id).unwrap();
    rig.tier.free(id, place).unwrap();
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}
