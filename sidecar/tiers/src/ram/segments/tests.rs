//! Segments from the daemon's end: what lies where, how much memory is behind it, and that all of it goes back.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::space::SHARED_BYTES;
use super::*;
use crate::conformance::bytes::{new_id, pattern};
use crate::conformance::{RamRig, Rig};
use crate::{Room, TierStore, Unlimited};

const MIB: u64 = 1 << 20;

struct Bed {
    tier: RamTier,
    segments: Segments,
    rig: RamRig,
}

/// A tier of its own; everything goes with it.
fn bed() -> Bed {
    bed_with(Arc::new(Unlimited))
}

fn bed_with(gauge: Arc<dyn MemoryGauge>) -> Bed {
    let rig = RamRig::with(gauge);
    let segments = Segments::of(&rig.tier, &base(&rig));
    segments.number_from(7);
    Bed { tier: rig.tier.clone().with_segments(segments.clone()), segments, rig }
}

fn base(rig: &RamRig) -> String {
    rig.tier.name(PayloadId::from_words(0, 1))
}

impl Bed {
    /// A block with memory behind it.
    fn make(&self, session: u32, size: u64) -> Place {
        let place = self.segments.place(session, size).unwrap().unwrap();
        self.segments.back(place, size).unwrap();
        place
    }

    /// Memory of all segments together, as the file system counts it.
    fn taken(&self) -> u64 {
        let names = self.rig.leftovers();
        names.iter().map(|name| fs::metadata(name).unwrap().blocks() * 512).sum()
    }

    fn end(&self, session: u32) {
        self.segments.end(session).into_iter().for_each(|unit| self.segments.empty_out(unit).unwrap());
    }

    fn restarted(&self) -> Segments {
        let segments = Segments::of(&self.tier, &base(&self.rig));
        segments.number_from(8);
        segments
    }
}

#[test]
fn what_its_producer_writes_is_read_from_its_place_and_from_nowhere_else() {
    let bed = bed();
    bed.segments.begin(3);
    let (one, other) = (bed.make(3, 5000), bed.make(3, 9000));
    let mapped = bed.segments.share(one.unit, 3).unwrap().unwrap();
    assert!(mapped.writable && mapped.bytes == SHARED_BYTES && one.unit == other.unit && one != other);
    let (id, bytes) = (new_id(), pattern(5000));
    mapped.file.write_all_at(&[0xff; 14_000], one.offset.min(other.offset)).unwrap();
    mapped.file.write_all_at(&bytes, one.offset).unwrap();
    bed.tier.seal(id, one, 5000, &|_| Vec::new()).unwrap();
    let mut read = vec![0; 8192];
    let found = bed.tier.source(id, one, 5000).unwrap().read_at(0, &mut read).unwrap();
    assert_eq!((found, &read[..found]), (5000, &bytes[..]));
    let location = Location::SharedMemory { name: mapped.name, offset: one.offset, object_bytes: Some(SHARED_BYTES) };
    assert_eq!(bed.tier.location(id, one), location);
}

#[test]
fn immutable_only_its_own_session_gets_a_segment_for_writing() {
    let bed = bed();
    bed.segments.begin(3);
    bed.segments.begin(4);
    let place = bed.make(3, 5000);
    let other = bed.segments.share(place.unit, 4).unwrap().unwrap();
    assert!(!other.writable && other.file.write_all_at(&[1], 0).is_err());
    assert!(bed.segments.place(5, 1).unwrap().is_none(), "no session");
    assert_ne!(bed.make(4, 5000).unit, place.unit);
    bed.end(3);
    assert!(!bed.segments.share(place.unit, 3).unwrap().unwrap().writable);
    assert!(bed.segments.place(3, 5000).unwrap().is_none() && bed.segments.place_at_once(3, 1).is_none());
    bed.segments.begin(3);
    assert_ne!(bed.make(3, 5000).unit, place.unit, "another session under the same number");
}

#[test]
fn small_ones_share_pages_but_no_line_and_large_ones_share_no_page() {
    let bed = bed();
    bed.segments.begin(0);
    let (a, b) = (bed.make(0, 1), bed.make(0, 65));
    assert_eq!((a.unit, a.offset % 64, b.offset % 64), (b.unit, 0, 0));
    assert!(a.offset / 64 != b.offset / 64 && a.offset / PAGE == b.offset / PAGE);
    let (c, d) = (bed.make(0, PAGE), bed.make(0, PAGE + 1));
    assert_eq!((c.unit, c.offset % PAGE, d.offset % PAGE), (d.unit, 0, 0));
    assert_ne!(a.unit, c.unit);
    let big = bed.make(0, 40 * MIB);
    assert_eq!(big.offset, 0);
    assert!(big.unit != c.unit && bed.make(0, 16 * MIB).unit != big.unit);
    assert_eq!(bed.taken(), 4 * PAGE + 56 * MIB);
    assert_eq!(bed.segments.warm(), 0);
}

#[test]
fn memory_that_is_left_behind_is_at_hand_for_the_next_one() {
    let bed = bed();
    bed.segments.begin(0);
    assert!(bed.segments.place_at_once(0, 20 * MIB).is_none(), "nothing is at hand yet");
    for size in [1000, 2 * MIB, 20 * MIB] {
        let (first, charge, before) = (bed.make(0, size), size.next_multiple_of(PAGE), bed.taken());
        bed.segments.free(first).unwrap();
        assert_eq!((bed.segments.warm(), bed.taken(), bed.segments.bytes_of(0)), (charge, before, before));
        assert_eq!(bed.segments.place_at_once(0, size), Some(first));
        assert_eq!((bed.segments.warm(), bed.taken()), (0, before));
    }
    let other = bed.make(0, 2 * MIB);
    assert!(bed.segments.place_at_once(0, 2 * MIB).is_none());
    bed.segments.warm_up(other.unit, 3 * MIB).unwrap();
    assert_eq!(bed.segments.warm(), 3 * MIB);
    assert_eq!(bed.segments.place_at_once(0, 2 * MIB).map(|place| place.unit), Some(other.unit));
    assert!(bed.segments.place_at_once(0, 20 * MIB).is_none());
}

#[test]
fn no_leak_memory_that_nobody_pays_for_goes_back_when_it_is_too_much() {
    let bed = bed();
    bed.segments.begin(0);
    let kept = bed.make(0, 3 * MIB);
    let left: Vec<Place> = (0..5).map(|_| bed.make(0, MIB)).collect();
    left.iter().for_each(|place| bed.segments.free(*place).unwrap());
    assert_eq!((bed.segments.warm(), bed.taken()), (5 * MIB, 8 * MIB));
    bed.segments.cool_to(6 * MIB).unwrap();
    assert_eq!(bed.segments.warm(), 5 * MIB);
    bed.segments.cool_to(2 * MIB).unwrap();
    assert!(bed.segments.warm() <= 2 * MIB && bed.taken() == 3 * MIB + bed.segments.warm());
    bed.segments.cool_to(0).unwrap();
    assert_eq!((bed.segments.warm(), bed.taken()), (0, 3 * MIB));
    bed.segments.free(kept).unwrap();
    bed.segments.free(kept).unwrap();
    bed.segments.cool_to(0).unwrap();
    assert_eq!(bed.rig.leftovers(), Vec::<String>::new(), "an empty segment goes");
    bed.make(0, MIB);
}

#[test]
fn pages_that_were_given_out_since_they_were_looked_for_are_left_alone() {
    let bed = bed();
    bed.segments.begin(0);
    let place = bed.make(0, 3 * MIB);
    for (first, last) in [(1, 2), (0, 1000), (700, 1024)] {
        let pages = place.offset / PAGE + first..place.offset / PAGE + last;
        bed.segments.cool(place.unit, &pages).unwrap();
    }
    assert_eq!((bed.segments.warm(), bed.taken()), (0, 3 * MIB));
}

#[test]
fn no_leak_a_session_that_is_over_keeps_what_is_alive_and_nothing_else() {
    let bed = bed();
    bed.segments.begin(0);
    let places: Vec<Place> = [1, 100, 5000, 70_000, 20 * MIB].map(|size| bed.make(0, size)).into();
    bed.segments.free(places[3]).unwrap();
    bed.segments.free(places[4]).unwrap();
    bed.end(0);
    assert_eq!((bed.segments.warm(), bed.taken(), bed.segments.bytes_of(0)), (0, 3 * PAGE, 0));
    bed.segments.free(places[0]).unwrap();
    assert_eq!(bed.taken(), 3 * PAGE, "its page is another's too");
    bed.segments.free(places[1]).unwrap();
    assert_eq!(bed.taken(), 2 * PAGE);
    bed.segments.free(places[2]).unwrap();
    assert_eq!(bed.rig.leftovers(), Vec::<String>::new());
}

#[test]
fn survives_kill_what_the_records_name_stays_and_the_rest_of_its_segment_goes() {
    let bed = bed();
    bed.segments.begin(0);
    let (kept, lost, own) = (bed.make(0, 9000), bed.make(0, 3 * MIB), bed.make(0, 20 * MIB));
    let (id, bytes) = (new_id(), pattern(9000));
    bed.segments.share(kept.unit, 0).unwrap().unwrap().file.write_all_at(&bytes, kept.offset).unwrap();
    let again = bed.restarted();
    assert!(again.adopt(kept, 9000));
    assert!(!again.adopt(Place { unit: 12345, offset: 0 }, 1), "there is none");
    assert!(!again.adopt(Place { offset: SHARED_BYTES, ..kept }, 1), "beyond its end");
    again.settle().unwrap();
    assert_eq!((bed.taken(), again.warm(), bed.rig.leftovers().len()), (3 * PAGE, 0, 1));
    assert!(
        bed.rig.leftovers()[0].ends_with(&kept.unit.to_string()) && lost.unit == kept.unit && own.unit != kept.unit
    );
    let mut read = vec![0; 9000];
    assert_eq!(again.source(id, kept, 9000).unwrap().read_at(0, &mut read).unwrap(), 9000);
    assert_eq!(read, bytes);
    assert!(!again.share(kept.unit, 0).unwrap().unwrap().writable, "nobody fills it any more");
    again.begin(0);
    let next = again.place(0, 9000).unwrap().unwrap();
    assert_ne!(next.unit, kept.unit);
    again.free(kept).unwrap();
    assert_eq!(bed.rig.leftovers().len(), 1);
}

#[test]
fn a_producer_that_resizes_its_segment_is_told_at_commit_and_read_short() {
    let bed = bed();
    bed.segments.begin(0);
    let place = bed.make(0, 5000);
    let mapped = bed.segments.share(place.unit, 0).unwrap().unwrap();
    mapped.file.set_len(place.offset + 100).unwrap();
    bed.segments.warm_up(place.unit, MIB).unwrap();
    let (id, mut read) = (new_id(), vec![0; 5000]);
    let error = bed.tier.seal(id, place, 5000, &|_| Vec::new()).unwrap_err();
    assert!(matches!(error, TierError::WrongSize { expected: SHARED_BYTES, .. }), "{error}");
    assert_eq!(bed.tier.source(id, place, 5000).unwrap().read_at(0, &mut read).unwrap(), 100);
    let gone = Place { unit: 99, offset: 0 };
    assert!(matches!(bed.tier.source(id, gone, 1).err(), Some(TierError::Missing { .. })));
    assert!(matches!(bed.tier.seal(id, gone, 1, &|_| Vec::new()), Err(TierError::Missing { .. })));
    bed.tier.free(id, gone).unwrap();
}

/// So many bytes, and no more.
#[derive(Debug)]
struct Meagre(u64);

impl MemoryGauge for Meagre {
    fn room(&self, _: u64) -> Room {
        Room { free: self.0, bound_by: "the test's limit".to_owned() }
    }
}

#[test]
fn honest_full_memory_that_is_short_is_an_error_with_numbers() {
    let bed = bed_with(Arc::new(Meagre(5 * MIB)));
    bed.segments.begin(0);
    let place = bed.segments.place(0, 6 * MIB).unwrap().unwrap();
    let error = bed.segments.back(place, 6 * MIB).unwrap_err();
    assert!(matches!(&error, TierError::Full { asked, free, .. } if (*asked, *free) == (6 * MIB, 5 * MIB)), "{error}");
    bed.segments.free(place).unwrap();
    bed.make(0, 4 * MIB);
}

/// What lies where, by a model that knows no allocator: whatever is placed, freed, cooled and ended in whatever order, no
/// two blocks overlap, bytes stay, and memory is what blocks and warmth say.
#[test]
fn blocks_never_overlap_and_memory_is_accounted_for_whatever_happens() {
    for seed in 1..6u64 {
        let bed = bed();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |most: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % most
        };
        let mut blocks: HashMap<Place, (u64, u8)> = HashMap::new();
        let mut owners = HashMap::new();
        bed.segments.begin(0);
        bed.segments.begin(1);
        for step in 0..400u64 {
            match next(10) {
                0..=4 => {
                    let session = u32::try_from(next(2)).unwrap();
                    let size = [1, 63, 700, 4096, 5001, 300_000][usize::try_from(next(6)).unwrap()];
                    let at_once = bed.segments.place_at_once(session, size);
                    let place = at_once.unwrap_or_else(|| bed.make(session, size));
                    let mark = u8::try_from(step % 251).unwrap() + 1;
                    owners
                        .entry(place.unit)
                        .or_insert_with(|| bed.segments.share(place.unit, session).unwrap().unwrap());
                    let filled = vec![mark; usize::try_from(size).unwrap()];
                    owners[&place.unit].file.write_all_at(&filled, place.offset).unwrap();
                    assert!(blocks.insert(place, (size, mark)).is_none(), "{place:?} twice");
                }
                5..=7 => {
                    let some = blocks.keys().min_by_key(|place| (place.offset ^ step, place.unit)).copied();
                    if let Some(place) = some {
                        blocks.remove(&place);
                        bed.segments.free(place).unwrap();
                    }
                }
                8 => bed.segments.cool_to(next(MIB)).unwrap(),
                _ => {
                    let session = u32::try_from(next(2)).unwrap();
                    if next(5) == 0 {
                        bed.end(session);
                        bed.segments.begin(session);
                    }
                }
            }
            let paid: u64 = blocks.values().map(|(size, _)| size.div_ceil(PAGE) * PAGE).sum();
            assert!(bed.taken() <= paid + bed.segments.warm(), "step {step} of {seed}");
        }
        for (place, (size, mark)) in &blocks {
            let mut read = vec![0; usize::try_from(*size).unwrap()];
            bed.segments.source(new_id(), *place, *size).unwrap().read_at(0, &mut read).unwrap();
            assert!(read.iter().all(|byte| byte == mark), "{place:?} of {seed}");
        }
        bed.end(0);
        bed.end(1);
        blocks.keys().for_each(|place| bed.segments.free(*place).unwrap());
        assert_eq!((bed.segments.warm(), bed.rig.leftovers()), (0, Vec::new()));
    }
}

#[test]
fn what_was_idle_and_is_covered_by_a_block_now_is_left_alone() {
    let bed = bed();
    bed.segments.begin(3);
    let place = bed.make(3, 8 * MIB);
    let idle = bed.segments.change(place.unit, |space| {
        let page = place.offset / 4096;
        // Inside a block, from before it to inside it, and from inside it on.
        [page + 1..page + 2, page..page + 3, page + 5..page + 6].map(|pages| space.idle_in(&pages))
    });
    assert!(idle.unwrap().iter().flatten().all(std::ops::Range::is_empty));
}

#[test]
fn a_segment_that_nobody_fills_is_sparse_once_an_eighth_of_it_or_less_is_used() {
    let bed = bed();
    bed.segments.begin(1);
    let one = bed.make(1, 6 * MIB);
    let other = bed.make(1, 3 * MIB);
    assert_eq!(other.unit, one.unit);
    assert!(bed.segments.sparse().is_empty(), "its session fills it");
    bed.end(1);
    assert!(bed.segments.sparse().is_empty(), "more than an eighth");
    bed.segments.free(other).unwrap();
    assert_eq!(bed.segments.sparse(), [one.unit]);
    bed.segments.free(one).unwrap();
    assert!(bed.segments.sparse().is_empty() && bed.rig.leftovers().is_empty(), "none is left");
}
