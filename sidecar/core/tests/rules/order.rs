//! The order of eviction within a class: a long scan of things that are read once does not push out what is read again
//! and again. First in, first out and least recently used, simulated beside it over the same trace, are pushed out.

use std::collections::VecDeque;

use payload_manager_core::ledger::AllocateRequest;
use payload_manager_core::queue::{End, EvictionQueue, Place, Seat};
use payload_manager_types::{EvictionPolicy, PayloadId, Priority, SpillTarget, Tier};
use proptest::prelude::*;

use crate::board::Room;
use crate::world::{World, id, limits, request};

const HOT: u64 = 40;
const HELD: u64 = 100;
const SCANNED: u64 = 2_000;

/// Hot payloads in turn, five scanned ones between any two of them: between two reads of a hot one lie many more others
/// than there is room for.
fn trace() -> Vec<u64> {
    let mut trace: Vec<u64> = (0..4).flat_map(|_| 1..=HOT).collect();
    for n in 0..SCANNED {
        trace.push(1_000 + n);
        if n % 5 == 4 {
            trace.push(1 + (n / 5) % HOT);
        }
    }
    trace
}

/// Hits on the hot ones, in percent, when the one that `evict` says goes.
fn simulated(evict: impl Fn(&mut VecDeque<u64>, u64, bool)) -> u64 {
    let (mut held, mut hits, mut asked) = (VecDeque::new(), 0, 0);
    for n in trace() {
        let hit = held.contains(&n);
        (hits, asked) = (hits + u64::from(hit && n <= HOT), asked + u64::from(n <= HOT));
        evict(&mut held, n, hit);
    }
    hits * 100 / asked
}

fn fifo() -> u64 {
    simulated(|held, n, hit| {
        if !hit {
            held.push_back(n);
        }
        push_out(held);
    })
}

fn lru() -> u64 {
    simulated(|held, n, _| {
        held.retain(|other| *other != n);
        held.push_back(n);
        push_out(held);
    })
}

/// The first ones go, until there are no more than can be held.
fn push_out(held: &mut VecDeque<u64>) {
    while held.len() as u64 > HELD {
        held.pop_front();
    }
}

/// The ledger itself: a payload is made, or promoted where it was evicted from, and read.
fn ours() -> u64 {
    let room = Room { entries: 200, records: 400, leases: 40 };
    let mut w =
        World::with(payload_manager_core::ledger::Limits { max_payloads: 200, ..limits([0, HELD, 10_000, 0]) }, room);
    let (mut hits, mut asked) = (0, 0);
    for n in trace() {
        let hot = n <= HOT;
        let hit = w.ledger.descriptor(id(n), w.now).is_ok_and(|d| d.copies.contains(Tier::Ram));
        (hits, asked) = (hits + u64::from(hit && hot), asked + u64::from(hot));
        if !hit {
            make_room(&mut w);
            come(&mut w, n);
        }
        let lease = w.lease(n);
        w.release(lease);
    }
    hits * 100 / asked
}

fn make_room(w: &mut World) {
    while w.make_room(Tier::Ram, 1).unwrap() > 0 {
        work(w);
    }
}

/// Scanned ones go for good, so that the model stays small.
fn come(w: &mut World, n: u64) {
    if w.ledger.knows(id(n)) {
        w.promote(n, Tier::Ram).unwrap();
        return work(w);
    }
    let target = (n > HOT).then_some(SpillTarget::Void);
    let policy = EvictionPolicy { spill_target: target, ..EvictionPolicy::default() };
    w.allocate(AllocateRequest { policy, ..request(n, 1, Tier::Ram) }).unwrap();
    work(w);
    w.commit(n).unwrap();
    work(w);
}

fn work(w: &mut World) {
    while !w.jobs.is_empty() {
        w.work(0, true);
    }
}

#[test]
fn a_long_scan_leaves_what_is_read_again_and_again_where_it_is() {
    let (fifo, lru, ours) = (fifo(), lru(), ours());
    assert!(ours >= 90, "{ours} % of the reads of the hot set found it in memory");
    assert!(lru < 40 && fifo < 40, "the trace proves nothing: LRU {lru} %, FIFO {fifo} %");
}

#[test]
fn what_went_and_is_wanted_back_soon_is_not_on_trial_again() {
    let mut w = World::new([0, 20, 1_000, 0]);
    (1..=20).for_each(|n| w.create(n, 1, Tier::Ram));
    make_room(&mut w);
    assert_eq!(w.tier(1), Some(Tier::Disk));
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    for n in 21..=38 {
        make_room(&mut w);
        w.create(n, 1, Tier::Ram);
    }
    assert_eq!(w.tier(1), Some(Tier::Ram), "others came later and went before it");
}

#[test]
fn reads_that_come_in_a_batch_count_like_leases() {
    let mut w = World::new([0, 20, 1_000, 0]);
    (1..=20).for_each(|n| w.create(n, 1, Tier::Ram));
    w.ledger.note_reads([id(1), id(2), id(99)]);
    make_room(&mut w);
    assert_eq!((w.tier(1), w.tier(2), w.tier(3)), (Some(Tier::Ram), Some(Tier::Ram), Some(Tier::Disk)));
}

/// What a test does to a bare queue.
#[derive(Debug, Clone)]
enum Step {
    Join(Priority, u64, bool),
    Leave(usize),
    Next,
    Back(bool),
}

fn steps() -> impl Strategy<Value = Step> {
    let class = prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High), Just(Priority::Never)];
    prop_oneof![
        4 => (class, 0..50u64, any::<bool>()).prop_map(|(class, bytes, known)| Step::Join(class, bytes, known)),
        2 => any::<prop::sample::Index>().prop_map(|n| Step::Leave(n.index(1_000))),
        2 => Just(Step::Next),
        1 => any::<bool>().prop_map(Step::Back),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_lost_from_a_queue_and_stale_places_are_bounded(steps in prop::collection::vec(steps(), 1..600)) {
        let mut queue = EvictionQueue::default();
        let (mut seated, mut out): (Vec<Place>, Vec<Place>) = (Vec::new(), Vec::new());
        let mut made = 0;
        for step in steps {
            match step {
                Step::Join(class, bytes, known) => {
                    made += 1;
                    let id = PayloadId::from_words(2, made);
                    let seat: Option<Seat> = queue.join(id, class, bytes, known);
                    prop_assert_eq!(seat.is_none(), class == Priority::Never);
                    seated.extend(seat.map(|seat| Place { id, seat, bytes }));
                }
                Step::Leave(n) if !seated.is_empty() => {
                    let place = seated.remove(n % seated.len());
                    queue.leave(place, |other| seated.contains(&other));
                }
                Step::Next => {
                    let place = queue.next(|place| seated.contains(&place));
                    prop_assert_eq!(place.is_none(), seated.is_empty());
                    if let Some(place) = place {
                        let lowest = seated.iter().map(|p| p.seat.class()).min();
                        prop_assert_eq!(Some(place.seat.class()), lowest, "a lower class goes first");
                        seated.retain(|other| *other != place);
                        out.push(place);
                    }
                }
                Step::Back(front) => {
                    if let Some(place) = out.pop() {
                        queue.sit(place, if front { End::Front } else { End::Back });
                        seated.push(place);
                    }
                }
                Step::Leave(_) => {}
            }
            prop_assert_eq!(queue.bytes(), seated.iter().map(|p| p.bytes).sum::<u64>());
            prop_assert!(queue.len() <= 2 * seated.len() + 6 * 65, "{} places for {}", queue.len(), seated.len());
        }
        while let Some(place) = queue.next(|place| seated.contains(&place)) {
            seated.retain(|other| *other != place);
        }
        prop_assert!(seated.is_empty(), "{:?} never came out", seated);
    }
}
