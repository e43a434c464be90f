//! Watching: who is told of every change, each once and in order, knows what a listing shows.

use std::collections::BTreeMap;

use payload_manager_core::changes::{Change, KEPT, Kind};
use payload_manager_core::facts::Labels;
use payload_manager_core::ledger::{Told, Watch, WatchError, WatchFrom};
use payload_manager_core::payload::Descriptor;
use payload_manager_types::{PayloadId, PayloadState, Tier};

use crate::world::{World, id, request};

/// A watcher, and what it has been told of.
pub struct Replay {
    watch: Watch,
    pub known: BTreeMap<PayloadId, Descriptor>,
    following: bool,
}

impl Replay {
    pub fn start(world: &mut World, from: WatchFrom) -> Self {
        let watch = world.ledger.watch(from).unwrap();
        Self { watch, known: BTreeMap::new(), following: from != WatchFrom::Current }
    }

    /// Takes in what it is told next, and says whether that was anything.
    pub fn listen(&mut self, world: &mut World, most: usize) -> bool {
        let told = world.ledger.tell(&mut self.watch, most).unwrap();
        let any = !told.is_empty();
        told.into_iter().for_each(|told| self.take(told));
        any
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Current(descriptor) => {
                assert!(!self.following, "what is there, after the end of it: {descriptor:?}");
                let before = self.known.insert(descriptor.facts.id, descriptor);
                assert_eq!(before, None, "there twice");
            }
            Told::SnapshotEnd { .. } => assert!(!std::mem::replace(&mut self.following, true)),
            Told::Change(change) => self.change(change),
        }
    }

    fn change(&mut self, Change { kind, descriptor, .. }: Change) {
        assert!(self.following, "a change amid what is there: {descriptor:?}");
        let (id, version) = (descriptor.facts.id, descriptor.facts.version);
        let before = self.known.remove(&id);
        let versions = (before.as_ref().map(|d| d.facts.version + 1), Some(version));
        match kind {
            Kind::Allocated => assert_eq!((before, version), (None, 1)),
            Kind::Committed | Kind::Changed => {
                let was_committed = before.is_some_and(|d| d.state != PayloadState::Allocated);
                assert_eq!(was_committed, kind == Kind::Changed, "{descriptor:?}");
                assert_eq!(versions.0, versions.1, "missed, or told twice: {descriptor:?}");
            }
            Kind::Deleted | Kind::Expired => {
                assert_eq!(versions.0, versions.1, "missed, or told twice: {descriptor:?}");
                return;
            }
        }
        self.known.insert(id, descriptor);
    }

    /// Listens to all there is to be told; then it knows exactly what is listed.
    pub fn check(&mut self, world: &mut World) {
        while self.listen(world, 3) {}
        let listed = world.listed(None).into_iter().map(|row| (row.descriptor.facts.id, plain(row.descriptor)));
        assert_eq!(self.known, listed.collect(), "what was told is not what is listed");
    }
}

/// Without what no change tells of.
fn plain(mut descriptor: Descriptor) -> Descriptor {
    (descriptor.facts.labels, descriptor.facts.pin, descriptor.facts.reclaim_at) = (Labels::default(), None, None);
    descriptor
}

#[test]
fn a_life_is_told_step_by_step() {
    let mut w = World::new([0, 100, 100, 0]);
    let mut watch = w.ledger.watch(WatchFrom::Now).unwrap();
    w.create(1, 10, Tier::Ram);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.promote(1, Tier::Ram).unwrap();
    w.settle();
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.delete(1, false).unwrap();
    let told: Vec<(Kind, PayloadState, u64, Option<Tier>)> = w
        .ledger
        .tell(&mut watch, 100)
        .unwrap()
        .into_iter()
        .map(|told| match told {
            Told::Change(Change { kind, descriptor: d, .. }) => {
                (kind, d.state, d.facts.version, d.placement.map(|p| p.0))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (ram, disk) = (Some(Tier::Ram), Some(Tier::Disk));
    let expected = [
        (Kind::Allocated, PayloadState::Allocated, 1, ram),
        (Kind::Committed, PayloadState::Active, 2, ram),
        (Kind::Changed, PayloadState::Spilling, 3, ram),
        (Kind::Changed, PayloadState::Durable, 4, disk),
        (Kind::Changed, PayloadState::Durable, 5, ram),
        (Kind::Changed, PayloadState::Durable, 6, disk),
        (Kind::Deleted, PayloadState::Deleted, 7, None),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_time_ends_is_told_as_expired_and_what_somebody_ends_as_deleted() {
    let mut w = World::new([0, 100, 100, 0]);
    for n in 1..=3 {
        w.allocate(payload_manager_core::ledger::AllocateRequest {
            ttl_ms: if n == 1 { 50 } else { 0 },
            ..request(n, 1, Tier::Ram)
        })
        .unwrap();
    }
    w.settle();
    let mut watch = w.ledger.watch(WatchFrom::Now).unwrap();
    w.tick(50);
    w.delete(2, true).unwrap();
    w.tick(600_000);
    let kinds: Vec<(PayloadId, Kind)> = w
        .ledger
        .tell(&mut watch, 100)
        .unwrap()
        .into_iter()
        .filter_map(|told| if let Told::Change(c) = told { Some((c.descriptor.facts.id, c.kind)) } else { None })
        .collect();
    assert_eq!(kinds, [(id(1), Kind::Expired), (id(2), Kind::Deleted), (id(3), Kind::Expired)]);
}

#[test]
fn a_pin_is_no_change_and_neither_is_what_is_refused() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    let mut watch = w.ledger.watch(WatchFrom::Now).unwrap();
    w.pin(1, Some(payload_manager_core::facts::Pin::UntilUnpinned)).unwrap();
    let lease = w.lease_for(1, 1_000).unwrap().lease;
    assert!(w.delete(1, false).is_err() && w.spill(1, Tier::Disk).is_err() && w.commit(1).is_err());
    w.release(lease);
    assert_eq!(w.ledger.tell(&mut watch, 100), Ok(Vec::new()));
    assert!(!w.ledger.settle_changes());
}

#[test]
fn what_changes_while_pages_are_read_is_neither_missed_nor_told_twice() {
    let mut w = World::new([0, 100, 100, 0]);
    for n in 1..=9 {
        w.create(n, 1, Tier::Ram);
        w.tick(1);
    }
    let mut replay = Replay::start(&mut w, WatchFrom::Current);
    for n in 1..=9 {
        // One row read, one on each side of the page changed or gone, one come.
        assert!(replay.listen(&mut w, 1));
        w.create(9 + n, 1, Tier::Disk);
        match n % 3 {
            0 => w.delete(n, false).unwrap(),
            1 => drop(w.promote(19 - 2 * n, Tier::Ram)),
            _ => drop(w.spill(10 - n, Tier::Disk)),
        }
        w.settle();
        w.tick(1);
    }
    replay.check(&mut w);
}

#[test]
fn a_watcher_that_is_overtaken_is_told_so_and_one_that_resumes_misses_nothing() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 1, Tier::Disk);
    let mut slow = w.ledger.watch(WatchFrom::Now).unwrap();
    let work = |w: &mut World| {
        while !w.jobs.is_empty() {
            w.work(0, true);
        }
    };
    let churn = |w: &mut World, times: usize| {
        for _ in 0..times {
            w.promote(1, Tier::Ram).unwrap();
            work(w);
            w.spill(1, Tier::Disk).unwrap();
            work(w);
        }
    };
    churn(&mut w, KEPT / 2);
    assert_eq!(w.ledger.tell(&mut slow, 1).map(|told| told.len()), Ok(1), "just in time");
    let mut resumed = w.ledger.watch(WatchFrom::At(1)).unwrap();
    churn(&mut w, 1);
    let overtaken = WatchError::Overtaken { wanted: 1, oldest: 2 };
    assert_eq!(w.ledger.tell(&mut slow, 1), Err(overtaken));
    assert_eq!(w.ledger.tell(&mut resumed, 1), Err(overtaken));
    assert_eq!(w.ledger.watch(WatchFrom::At(1)).err(), Some(overtaken));
    let ahead = KEPT as u64 + 3;
    assert_eq!(w.ledger.watch(WatchFrom::At(ahead)).err(), Some(WatchError::Ahead { wanted: ahead }));
    assert!(w.ledger.watch(WatchFrom::At(ahead - 1)).is_ok());
    let mut last = w.ledger.watch(WatchFrom::At(2)).unwrap();
    let mut seen = 0;
    loop {
        let told = w.ledger.tell(&mut last, 1000).unwrap().len();
        if told == 0 {
            break;
        }
        seen += told;
    }
    assert_eq!(seen, KEPT);
}
