//! Anything at all, in any order, with a shell that fails and a process that dies, against what a client may rely on.

use std::collections::{BTreeMap, BTreeSet};

use payload_manager_core::facts::Pin;
use payload_manager_core::ledger::{AllocateRequest, WatchFrom};
use payload_manager_core::payload::Descriptor;
use payload_manager_core::{Refusal, board::Face};
use payload_manager_types::{
    EvictionPolicy, LeaseDeadline, LeaseId, PayloadId, PayloadState, Place, Priority, SpillTarget, Tier,
};
use proptest::prelude::*;

use crate::watching::Replay;
use crate::world::{Job, ROOM, World, id, marked, own, request};

/// What a test does next. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Allocate { tier: Tier, size: u64, ttl_ms: u64, policy: EvictionPolicy, no_evict: bool, part: bool },
    Apart(usize),
    Commit(usize),
    Promote(usize, Tier),
    Spill(usize, Tier),
    Delete(usize, bool),
    Lease(usize, u64),
    ClientLease(usize, u64),
    GiveBack(usize),
    Renew(usize, u64),
    Pin(usize, bool),
    Lose(usize, Tier),
    Room(Tier, u64),
    Evict(usize),
    Work(usize, bool),
    Settle,
    Flush,
    Tick(u64),
    Watch,
    Listen(usize),
    Crash,
}

fn tiers() -> impl Strategy<Value = Tier> {
    prop_oneof![4 => Just(Tier::Ram), 3 => Just(Tier::Disk), 1 => Just(Tier::Object)]
}

fn policies() -> impl Strategy<Value = EvictionPolicy> {
    let priority = prop_oneof![
        1 => Just(Priority::Low),
        4 => Just(Priority::Normal),
        1 => Just(Priority::High),
        1 => Just(Priority::Never)
    ];
    let target = prop_oneof![
        3 => Just(None),
        1 => Just(Some(SpillTarget::Void)),
        1 => Just(Some(SpillTarget::Tier(Tier::Object)))
    ];
    let floor = prop_oneof![4 => Just(None), 1 => Just(Some(Tier::Ram)), 1 => Just(Some(Tier::Disk))];
    (priority, prop::bool::weighted(0.2), target, floor).prop_map(
        |(priority, require_durable, spill_target, min_residency)| EvictionPolicy {
            priority,
            require_durable,
            spill_target,
            min_residency,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let n = 0..8usize;
    let often = prop::bool::weighted(0.85);
    let ttl = prop_oneof![4 => Just(0), 1 => 1..3_000u64];
    prop_oneof![
        5 => (tiers(), 1..40u64, ttl, policies(), prop::bool::weighted(0.1), any::<bool>()).prop_map(
            |(tier, size, ttl_ms, policy, no_evict, part)| {
                Step::Allocate { tier, size, ttl_ms, policy, no_evict, part }
            }
        ),
        2 => n.clone().prop_map(Step::Apart),
        5 => n.clone().prop_map(Step::Commit),
        4 => (n.clone(), tiers()).prop_map(|(n, t)| Step::Promote(n, t)),
        4 => (n.clone(), tiers()).prop_map(|(n, t)| Step::Spill(n, t)),
        3 => (n.clone(), any::<bool>()).prop_map(|(n, force)| Step::Delete(n, force)),
        4 => (n.clone(), 0..4_000u64).prop_map(|(n, ms)| Step::Lease(n, ms)),
        2 => (n.clone(), 0..4_000u64).prop_map(|(n, ms)| Step::ClientLease(n, ms)),
        4 => n.clone().prop_map(Step::GiveBack),
        1 => (n.clone(), 0..4_000u64).prop_map(|(n, ms)| Step::Renew(n, ms)),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, on)| Step::Pin(n, on)),
        1 => (n.clone(), tiers()).prop_map(|(n, t)| Step::Lose(n, t)),
        3 => (tiers(), 1..100u64).prop_map(|(t, bytes)| Step::Room(t, bytes)),
        4 => (1..4usize).prop_map(Step::Evict),
        20 => (n, often).prop_map(|(n, well)| Step::Work(n, well)),
        2 => Just(Step::Settle),
        1 => Just(Step::Flush),
        2 => (0..1_500u64).prop_map(Step::Tick),
        1 => Just(Step::Watch),
        8 => (1..4usize).prop_map(Step::Listen),
        2 => Just(Step::Crash),
    ]
}

/// What a client has seen of a payload.
struct Seen {
    descriptor: Descriptor,
    /// Nobody may see it again.
    deleted: bool,
}

/// Everything that a refusal must leave as it was.
type Snapshot = (Vec<Option<Descriptor>>, Vec<Face>, [u64; 4], usize);

struct Client {
    world: World,
    made: u64,
    seen: BTreeMap<PayloadId, Seen>,
    /// Who is told of everything at once.
    prompt: Replay,
    /// Who listens now and then.
    slow: Replay,
}

impl Client {
    fn new() -> Self {
        let world = World { looks_later: true, ..World::with(marked([0, 100, 120, 150]), ROOM) };
        Self::over(world, 0, BTreeMap::new())
    }

    fn over(mut world: World, made: u64, seen: BTreeMap<PayloadId, Seen>) -> Self {
        let [prompt, slow] = [(); 2].map(|()| Replay::start(&mut world, WatchFrom::Current));
        Self { world, made, seen, prompt, slow }
    }

    /// One of the payloads, rather a new one.
    fn pick(&self, n: usize) -> u64 {
        self.made.saturating_sub(n as u64).max(1)
    }

    fn lease_at(&self, n: usize) -> Option<LeaseId> {
        let slots = &self.world.pages().slots;
        slots.keys().nth(n % slots.len().max(1)).copied()
    }

    fn apply(mut self, step: &Step) -> Self {
        let before = self.snapshot();
        if let Err(refusal) = self.command(step) {
            assert_eq!(self.snapshot(), before, "{step:?} was refused ({refusal}) and changed something");
        }
        if matches!(step, Step::Crash) {
            self = self.crash();
        }
        self.look();
        self
    }

    fn command(&mut self, step: &Step) -> Result<(), Refusal> {
        let w = &mut self.world;
        match *step {
            Step::Allocate { tier, size, ttl_ms, policy, no_evict, part } => {
                let n = self.made + 1;
                // Of a segment that nobody else is in: who is beside whom is not the ledger's.
                let in_segment = Place { unit: u32::try_from(n).unwrap(), offset: 64 };
                let place = if part && tier == Tier::Ram { in_segment } else { Place::OWN };
                w.allocate(AllocateRequest { ttl_ms, policy, no_evict, place, ..request(n, size, tier) })?;
                self.made += 1;
            }
            Step::Commit(n) => return self.with(n, World::commit),
            Step::Promote(n, to) => return self.with(n, |w, n| w.promote(n, to).map(drop)),
            Step::Apart(n) => return self.with(n, |w, n| w.set_apart(n).map(drop)),
            Step::Spill(n, to) => return self.with(n, |w, n| w.spill(n, to).map(drop)),
            Step::Delete(n, force) => return self.with(n, |w, n| w.delete(n, force)),
            Step::Lease(n, ms) => return self.with(n, |w, n| w.lease_for(n, ms).map(drop)),
            Step::Pin(n, on) => return self.with(n, |w, n| w.pin(n, on.then_some(Pin::UntilUnpinned))),
            Step::Renew(n, ms) => {
                let lease = self.lease_at(n).unwrap_or(LeaseId::from_words(0, 0));
                return self.world.ledger.renew(lease, ms, self.world.now).map(drop);
            }
            Step::Room(tier, bytes) => return w.make_room(tier, bytes).map(drop),
            Step::Evict(at_most) => drop(w.evict_some(at_most)),
            Step::ClientLease(n, ms) => self.client_lease(n, ms),
            Step::GiveBack(n) => self.give_back(n),
            Step::Lose(n, tier) => self.lose(n, tier),
            Step::Work(n, well) if !w.jobs.is_empty() => w.work(n % w.jobs.len(), well),
            Step::Settle => w.settle(),
            Step::Flush => w.outside.flush(),
            Step::Tick(ms) => w.tick(ms),
            Step::Watch => self.slow = Replay::start(w, WatchFrom::Current),
            Step::Listen(most) => drop(self.slow.listen(w, most)),
            Step::Work(..) | Step::Crash => {}
        }
        Ok(())
    }

    fn with(&mut self, n: usize, command: impl FnOnce(&mut World, u64) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let n = self.pick(n);
        command(&mut self.world, n)
    }

    fn client_lease(&mut self, n: usize, ms: u64) {
        let deadline = LeaseDeadline(self.world.now.monotonic + ms);
        let id = id(self.pick(n));
        let board = self.world.ledger.board_mut();
        let room = board.pages.slots.len() < board.room.leases;
        if let Some(index) = board.pages.entry_of(id).filter(|_| room) {
            board.take(index, deadline);
        }
    }

    fn give_back(&mut self, n: usize) {
        let Some(lease) = self.lease_at(n) else { return };
        if self.world.pages().slots[&lease].client {
            self.world.ledger.board_mut().pages.slots.remove(&lease);
            let free = self.world.ledger.sweep_backlog();
            self.world.free(free, false);
        } else {
            self.world.release(lease);
        }
    }

    /// Only what has another copy: what has none is lost by no fault of the ledger's. And no file that is leased: it is
    /// moved away under its readers, which the ledger has no part in.
    fn lose(&mut self, n: usize, tier: Tier) {
        let n = self.pick(n);
        if tier.is_durable() && self.world.pages().slots.values().any(|slot| slot.on == own(id(n), tier)) {
            return;
        }
        let copies = self.world.ledger.descriptor(id(n), self.world.now).map(|d| d.copies);
        if copies.is_ok_and(|copies| copies.contains(tier) && copies.iter().count() > 1) {
            self.world.lose(n, tier);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let w = &self.world;
        let descriptors = (1..=self.made).map(|n| w.ledger.descriptor(id(n), w.now).ok()).collect();
        let faces = w.pages().entries.values().copied().collect();
        (descriptors, faces, Tier::ALL.map(|tier| w.used(tier)), w.pages().records.len())
    }

    /// What was being deleted may be back, unless that had been said; what was being made may be there.
    fn crash(self) -> Self {
        let Self { world, made, mut seen, .. } = self;
        let undecided: BTreeSet<PayloadId> =
            world.jobs.iter().filter_map(|job| if let Job::Bury(d) = job { Some(d.facts.id) } else { None }).collect();
        let world = world.crash();
        for id in undecided {
            if let Some(seen) = seen.get_mut(&id)
                && world.ledger.knows(id)
            {
                seen.deleted = false;
            }
        }
        Self::over(world, made, seen)
    }

    /// Checks all that a client may rely on.
    fn look(&mut self) {
        self.world.check();
        self.world.ledger.settle_changes();
        self.prompt.check(&mut self.world);
        for job in &self.world.jobs {
            if let Job::Bury(deletion) = job
                && let Some(seen) = self.seen.get_mut(&deletion.facts.id)
            {
                seen.deleted = true;
            }
        }
        for n in 1..=self.made {
            match (self.world.ledger.descriptor(id(n), self.world.now), self.seen.get(&id(n))) {
                (Ok(now), before) => {
                    check_seen(&now, before);
                    self.seen.insert(id(n), Seen { descriptor: now, deleted: false });
                }
                (Err(_), Some(seen)) => self.check_missing(seen),
                (Err(_), None) => {}
            }
        }
    }

    fn check_missing(&self, seen: &Seen) {
        let facts = &seen.descriptor.facts;
        let past = |at: Option<payload_manager_types::UnixMillis>| at.is_some_and(|at| at <= self.world.now.wall);
        let over = past(facts.expires) || (seen.descriptor.state == PayloadState::Allocated && past(facts.reclaim_at));
        assert!(seen.deleted || over, "lost: {:?}", seen.descriptor);
    }

    /// Ends everything, and then nothing is left.
    fn end(mut self) {
        self.world.settle();
        for n in 1..=self.made {
            let deleted = self.world.delete(n, true);
            assert!(matches!(deleted, Ok(()) | Err(Refusal::NotFound { .. })), "{deleted:?}");
        }
        self.world.settle();
        self.world.ledger.board_mut().pages.slots.retain(|_, slot| !slot.client);
        let free = self.world.ledger.sweep_backlog();
        self.world.free(free, false);
        self.world.tick(1_000_000);
        self.world.settle();
        self.slow.check(&mut self.world);
        self.prompt.check(&mut self.world);
        assert!(self.prompt.known.is_empty(), "gone, and nobody was told: {:?}", self.prompt.known);
        self.world.check_nothing_left();
    }
}

fn check_seen(now: &Descriptor, before: Option<&Seen>) {
    let committed = now.state != PayloadState::Allocated;
    assert!(now.placement.is_some(), "its bytes are lost: {now:?}");
    let Some(Seen { descriptor: before, deleted }) = before else { return };
    assert!(!deleted, "back from the dead: {now:?}");
    assert!(committed || before.state == PayloadState::Allocated, "a commit came undone: {now:?}");
    assert!(now.facts.version >= before.facts.version, "the version went back: {before:?} {now:?}");
    let durable = |d: &Descriptor| d.state == PayloadState::Durable;
    assert!(durable(now) || !durable(before) || now.state == PayloadState::Spilling, "{before:?} {now:?}");
    let visible = |d: &Descriptor| -> (Option<(Tier, Place)>, PayloadState) { (d.placement, d.state) };
    if visible(before) != visible(now) {
        assert!(now.facts.version > before.facts.version, "changed unnoticed: {before:?} {now:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost_leaked_or_undone(steps in prop::collection::vec(steps(), 1..120)) {
        let client = steps.iter().fold(Client::new(), Client::apply);
        client.end();
    }
}
