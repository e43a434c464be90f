//! GPU: memory of the machine's cards, which other processes open and use in place.
//!
//! ```text
//!   a plain client's payload      an allocation of its own, opened by its CUDA IPC handle        Place::OWN
//!   a session's payloads          slabs that the session alone fills        ┐ opened once by each process,
//!   copies of other tiers         slabs that the daemon alone fills         ┘ by a descriptor     Place { unit, .. }
//! ```
//!
//! Of a card that can't pass descriptors, slabs are opened by handles too. Who only knows plain gRPC and reads what lies in
//! a slab has it set apart first: a second copy of a payload that is in a slab is one of its own.
//!
//! That committed bytes stay as they are is a convention here: clients of ours map slabs of others read-only, and the
//! driver lets who maps choose. All of it goes with the daemon, and with a card that is lost ([`GpuTier::is_lost`]).
//!
//! A slab is given back when its last payload goes, so that other programs on the card can have it.

mod card;
mod side;
mod slab;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use payload_manager_shm::device::DeviceError;
use payload_manager_types::{DeviceUuid, PayloadId, Place, Tier};

pub use self::card::{Buffer, Card, Form, Key, Memory};
use self::side::{GpuSink, Side};
use self::slab::{BLOCK, Owner, Slab, shared_bytes};
use self::stage::Stage;
use crate::numbers::{Numbered, Numbers};
use crate::{Archive, Description, Location, Sealed, Sink, Source, TierError, TierStore, fail};

/// Buffers of the host that a card has at most: what four large copies at once need.
const MOST_BUFFERS: usize = 16;

/// Holds copies on cards. Clones speak of the same ones.
#[derive(Clone)]
pub struct GpuTier(Arc<Shared>);

struct Shared {
    cards: Vec<Mounted>,
    set: Mutex<Set>,
    numbers: Numbers,
}

struct Mounted {
    card: Arc<dyn Card>,
    /// What this tier may take of it, in bytes.
    capacity: u64,
    lost: AtomicBool,
    stage: Arc<Stage>,
}

struct Set {
    own: HashMap<PayloadId, Own>,
    slabs: HashMap<u32, Slab>,
    /// Who lies in which slab.
    parts: HashMap<PayloadId, Place>,
    /// Bytes allocated of each card.
    used: Vec<u64>,
}

/// An allocation of a payload's own.
struct Own {
    card: usize,
    size: u64,
    memory: Arc<dyn Memory>,
    key: Key,
}

/// What a producer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The session that fills it.
    pub session: u32,
    /// What its bytes must begin at a multiple of.
    pub alignment: u32,
    /// The cards that it may be on, the first the most wanted; none: any.
    pub devices: &'a [DeviceUuid],
}

/// What a client opens a slab with.
#[derive(Debug)]
pub struct SharedSlab {
    /// The card it is on.
    pub uuid: DeviceUuid,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Whether this session is the one that fills it.
    pub writable: bool,
    /// Whether payloads share it: it is worth keeping open.
    pub shared: bool,
    /// The descriptor or handle.
    pub key: Key,
}

impl GpuTier {
    /// With these cards, each with what may be taken of it in bytes.
    #[must_use]
    pub fn new(cards: Vec<(Arc<dyn Card>, u64)>) -> Self {
        let used = vec![0; cards.len()];
        let mount = |(card, capacity): (Arc<dyn Card>, u64)| Mounted {
            stage: Stage::new(Arc::clone(&card), MOST_BUFFERS),
            capacity: capacity / BLOCK * BLOCK,
            lost: AtomicBool::new(false),
            card,
        };
        let set = Set { own: HashMap::new(), slabs: HashMap::new(), parts: HashMap::new(), used };
        let cards = cards.into_iter().map(mount).collect();
        Self(Arc::new(Shared { cards, set: Mutex::new(set), numbers: Numbers::of(Numbered::Slab) }))
    }

    /// What it may hold at most, in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.0.cards.iter().map(|mounted| mounted.capacity).sum()
    }

    /// Bytes allocated on all cards.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.0.set.lock().used.iter().sum()
    }

    /// From here on slabs are numbered after the `start` that this is of the daemon, so that no client takes one for
    /// another of before.
    pub fn number_from(&self, start: u64) {
        self.0.numbers.begin(start);
    }

    /// Makes room for a payload in a slab of the session that writes it.
    ///
    /// # Errors
    /// [`TierError::Full`]; [`TierError::Io`] where the driver fails.
    pub fn allocate_part(&self, id: PayloadId, size: u64, wanted: Wanted<'_>) -> Result<Place, TierError> {
        self.part(id, size, Owner::Session(wanted.session), wanted.alignment.into(), wanted.devices)
    }

    /// Opens a new copy for writing, on one of these cards, the first the most wanted; none: any. It lies in a slab; or has an
    /// allocation of its own, where there is one in a slab already, which its reader can't open.
    ///
    /// # Errors
    /// As [`TierStore::sink`].
    pub fn sink_on(&self, id: PayloadId, size: u64, devices: &[DeviceUuid]) -> Result<Box<dyn Sink>, TierError> {
        let has_part = self.0.set.lock().parts.contains_key(&id);
        let place =
            if has_part { self.own(id, size, devices) } else { self.part(id, size, Owner::Daemon, 1, devices) }?;
        Ok(Box::new(GpuSink::new(self, id, place, size)?))
    }

    /// A session is over: nothing new is put into its slabs.
    pub fn end_session(&self, session: u32) {
        for slab in self.0.set.lock().slabs.values_mut() {
            if slab.owner == Owner::Session(session) {
                slab.owner = Owner::Over;
            }
        }
    }

    /// What a session's slabs take of the cards, in bytes.
    #[must_use]
    pub fn bytes_of(&self, session: u32) -> u64 {
        let set = self.0.set.lock();
        let own = set.slabs.values().filter(|slab| slab.owner == Owner::Session(session));
        own.map(|slab| slab.memory.bytes()).sum()
    }

    /// What a client of this session needs to open a slab; `None` if there is none of this number.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn share(&self, unit: u32, session: u32) -> std::io::Result<Option<SharedSlab>> {
        let set = self.0.set.lock();
        let Some(slab) = set.slabs.get(&unit) else { return Ok(None) };
        let Some(mounted) = self.0.cards.get(slab.card) else { return Ok(None) };
        Ok(Some(SharedSlab {
            uuid: mounted.card.uuid(),
            bytes: slab.memory.bytes(),
            writable: slab.owner == Owner::Session(session),
            shared: slab.shares(),
            key: slab.key.again()?,
        }))
    }

    /// Looks whether the cards are there; whether one was lost just now.
    #[must_use]
    pub fn look(&self) -> bool {
        let mut lost = false;
        for mounted in self.0.cards.iter().filter(|mounted| !mounted.is_lost()) {
            if let Err(error) = mounted.card.look() {
                lost |= mounted.learn(&error);
            }
        }
        lost
    }

    /// Whether any card is lost.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.0.cards.iter().any(Mounted::is_lost)
    }

    /// Whether the copy there went with its card.
    #[must_use]
    pub fn is_lost(&self, id: PayloadId, place: Place) -> bool {
        let set = self.0.set.lock();
        let card = if place.is_part() {
            set.slabs.get(&place.unit).map(|slab| slab.card)
        } else {
            set.own.get(&id).map(|own| own.card)
        };
        card.and_then(|card| self.0.cards.get(card)).is_some_and(Mounted::is_lost)
    }

    /// Cards by which one is tried first: as wanted, else those with the most room.
    fn order(&self, devices: &[DeviceUuid]) -> Vec<usize> {
        let used = self.0.set.lock().used.clone();
        let room = |at: usize| self.0.cards.get(at).map_or(0, |m| m.capacity) - used.get(at).copied().unwrap_or(0);
        let there = self.0.cards.iter().enumerate().filter(|(_, mounted)| !mounted.is_lost());
        let mut cards: Vec<(usize, DeviceUuid)> = there.map(|(at, mounted)| (at, mounted.card.uuid())).collect();
        if devices.is_empty() {
            cards.sort_by_key(|(at, _)| std::cmp::Reverse(room(*at)));
        } else {
            cards.retain(|(_, uuid)| devices.contains(uuid));
            cards.sort_by_key(|(_, uuid)| devices.iter().position(|wanted| wanted == uuid));
        }
        cards.into_iter().map(|(at, _)| at).collect()
    }

    /// Allocates on one of the cards, counted.
    fn allocate_on(&self, card: usize, bytes: u64, form: Form) -> Result<(Arc<dyn Memory>, Key), TierError> {
        let Some(mounted) = self.0.cards.get(card) else { return Err(self.nowhere(bytes, &[])) };
        let taken = bytes.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        {
            let mut set = self.0.set.lock();
            let used = set.used.get_mut(card).filter(|used| taken <= mounted.capacity.saturating_sub(**used));
            match used {
                Some(used) => *used += taken,
                None => {
                    drop(set);
                    return Err(self.nowhere(bytes, &[card]));
                }
            }
        }
        let made = mounted.card.allocate(bytes, form).and_then(|memory| memory.key().map(|key| (memory, key)));
        match made {
            Ok((memory, key)) => {
                // The driver may have rounded up further.
                self.count(card, taken, memory.bytes());
                Ok((memory, key))
            }
            Err(error) => {
                self.count(card, taken, 0);
                mounted.learn(&error);
                Err(match error.is_out_of_memory() {
                    true => {
                        let what =
                            format!("{}: other programs have the rest of its memory ({error})", mounted.card.uuid());
                        TierError::Full { tier: Tier::Gpu, asked: bytes, free: 0, what }
                    }
                    false => fail::io(
                        Tier::Gpu,
                        format!("allocating on {}", mounted.card.uuid()),
                        std::io::Error::other(error),
                    ),
                })
            }
        }
    }

    /// An allocation has changed its size.
    fn count(&self, card: usize, from: u64, to: u64) {
        if let Some(used) = self.0.set.lock().used.get_mut(card) {
            *used = (*used - from) + to;
        }
    }

    /// None of these cards has room.
    fn nowhere(&self, asked: u64, cards: &[usize]) -> TierError {
        let set = self.0.set.lock();
        let room = |at: &usize| {
            let capacity = self.0.cards.get(*at).filter(|mounted| !mounted.is_lost()).map_or(0, |m| m.capacity);
            capacity.saturating_sub(set.used.get(*at).copied().unwrap_or(0))
        };
        let free = cards.iter().map(room).max().unwrap_or(0);
        let name = |at: &usize| self.0.cards.get(*at).map(|mounted| mounted.card.uuid().to_string());
        let names: Vec<String> = cards.iter().filter_map(name).collect();
        let what = match names.is_empty() {
            true => "none of its cards is there for this program".to_owned(),
            false => format!("gpu-memory allows no more on {}", names.join(", ")),
        };
        TierError::Full { tier: Tier::Gpu, asked, free, what }
    }

    /// Allocates on the first of these cards that can; what the last of them said otherwise.
    fn on_some<T>(
        &self,
        asked: u64,
        cards: Vec<usize>,
        mut attempt: impl FnMut(usize) -> Result<T, TierError>,
    ) -> Result<T, TierError> {
        let mut last = None;
        for card in cards {
            match attempt(card) {
                Ok(made) => return Ok(made),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.nowhere(asked, &[])))
    }

    /// An allocation of the payload's own, which everybody can open.
    fn own(&self, id: PayloadId, size: u64, devices: &[DeviceUuid]) -> Result<Place, TierError> {
        self.free(id, Place::OWN)?;
        let own = self.on_some(size, self.order(devices), |card| {
            let (memory, key) = self.allocate_on(card, size, Form::Handle)?;
            Ok(Own { card, size, memory, key })
        })?;
        self.0.set.lock().own.insert(id, own);
        Ok(Place::OWN)
    }

    /// A place in a slab of this owner.
    fn part(
        &self,
        id: PayloadId,
        size: u64,
        owner: Owner,
        alignment: u64,
        devices: &[DeviceUuid],
    ) -> Result<Place, TierError> {
        self.on_some(size, self.order(devices), |card| {
            let capacity = self.0.cards.get(card).map_or(0, |mounted| mounted.capacity);
            let single = !Slab::is_shared(size, alignment, capacity);
            if !single && let Some(place) = self.in_a_slab(id, size, owner, card) {
                return Ok(place);
            }
            let unit = self.number(size)?;
            let form = match self.0.cards.get(card).is_some_and(|mounted| mounted.card.passes_descriptors()) {
                true => Form::Descriptor,
                false => Form::Handle,
            };
            let whole = if single { size } else { shared_bytes(capacity) };
            let made = match self.allocate_on(card, whole, form) {
                // What is left may do for this one.
                Err(TierError::Full { .. }) if whole > size => self.allocate_on(card, size, form),
                made => made,
            };
            let (memory, key) = made?;
            let mut slab = Slab::new(card, memory, key, owner, single);
            let offset = slab.place(size).ok_or_else(|| self.nowhere(size, &[card]))?;
            let place = Place { unit, offset };
            let mut set = self.0.set.lock();
            set.slabs.insert(unit, slab);
            set.parts.insert(id, place);
            Ok(place)
        })
    }

    /// Of a new slab.
    fn number(&self, asked: u64) -> Result<u32, TierError> {
        let set = self.0.set.lock();
        self.0.numbers.next(|unit| set.slabs.contains_key(&unit)).ok_or_else(|| {
            let what = "this run of the daemon has no number left for another slab; restart it".to_owned();
            TierError::Full { tier: Tier::Gpu, asked, free: 0, what }
        })
    }

    /// A gap in a slab that there is.
    fn in_a_slab(&self, id: PayloadId, size: u64, owner: Owner, card: usize) -> Option<Place> {
        let mut set = self.0.set.lock();
        let slabs = set.slabs.iter_mut().filter(|(_, slab)| slab.owner == owner && slab.card == card && slab.shares());
        let place =
            slabs.into_iter().find_map(|(unit, slab)| Some(Place { unit: *unit, offset: slab.place(size)? }))?;
        set.parts.insert(id, place);
        Some(place)
    }

    /// The memory of a copy, and where in it that begins.
    fn memory(&self, id: PayloadId, place: Place, size: u64) -> Result<(Arc<dyn Memory>, usize, u64), TierError> {
        let missing = |what: String| TierError::Missing { id, tier: Tier::Gpu, what };
        let set = self.0.set.lock();
        let (memory, card, found) = if place.is_part() {
            let slab = set.slabs.get(&place.unit).ok_or_else(|| missing(format!("there is no slab {}", place.unit)))?;
            let found = slab.size_at(place.offset).ok_or_else(|| missing("nothing is at its place".into()))?;
            (Arc::clone(&slab.memory), slab.card, found)
        } else {
            let own = set.own.get(&id).ok_or_else(|| missing("it has no memory on any card".into()))?;
            (Arc::clone(&own.memory), own.card, own.size)
        };
        drop(set);
        if self.0.cards.get(card).is_none_or(Mounted::is_lost) {
            return Err(missing("its card is lost".into()));
        }
        if found != size {
            return Err(TierError::WrongSize { id, tier: Tier::Gpu, expected: size, found });
        }
        Ok((memory, card, place.offset))
    }
}

impl Mounted {
    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether an error says that the card is lost, and nobody knew.
    fn learn(&self, error: &DeviceError) -> bool {
        error.is_loss() && !self.lost.swap(true, Ordering::Relaxed)
    }
}

impl TierStore for GpuTier {
    fn tier(&self) -> Tier {
        Tier::Gpu
    }

    fn location(&self, id: PayloadId, place: Place) -> Location {
        let set = self.0.set.lock();
        let found = if place.is_part() {
            set.slabs.get(&place.unit).map(|slab| (slab.card, &slab.memory, &slab.key))
        } else {
            set.own.get(&id).map(|own| (own.card, &own.memory, &own.key))
        };
        let found = found.and_then(|(card, memory, key)| Some((&self.0.cards.get(card)?.card, memory.bytes(), key)));
        let Some((card, bytes, key)) = found else {
            return Location::Device { uuid: DeviceUuid([0; 16]), ordinal: 0, handle: Vec::new(), offset: 0, bytes: 0 };
        };
        let handle = match key {
            Key::Handle(handle) => handle.to_wire(bytes).to_vec(),
            Key::Descriptor(_) => Vec::new(),
        };
        Location::Device { uuid: card.uuid(), ordinal: card.ordinal(), handle, offset: place.offset, bytes }
    }

    /// Of its own: for clients that open it by its handle alone.
    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        self.own(id, size, &[])
    }

    /// That what writes to it is done, its producer has seen to: no other process can.
    fn seal(&self, id: PayloadId, place: Place, size: u64, _: &Archive<'_>) -> Result<Sealed, TierError> {
        self.memory(id, place, size).map(|_| Sealed::default())
    }

    fn source(&self, id: PayloadId, place: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        Ok(Box::new(Side::new(self, id, place, size)?))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        self.sink_on(id, size, &[])
    }

    /// There is nothing on a card that no client ever had for writing.
    fn replacement(&self, id: PayloadId, _: u64) -> Result<Box<dyn Sink>, TierError> {
        let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
        Err(fail::io(Tier::Gpu, format!("replacing the bytes of payload {id}"), error))
    }

    /// Nothing lies beside memory.
    fn describe(&self, _: PayloadId, _: u64, _: &Description<'_>) -> Result<(), TierError> {
        Ok(())
    }

    fn free(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        let gone = {
            let mut set = self.0.set.lock();
            if place.is_part() {
                if set.parts.get(&id) == Some(&place) {
                    set.parts.remove(&id);
                }
                let empty = set.slabs.get_mut(&place.unit).is_some_and(|slab| {
                    slab.free(place.offset);
                    slab.is_empty()
                });
                let slab = empty.then(|| set.slabs.remove(&place.unit)).flatten();
                slab.map(|slab| (slab.card, slab.memory))
            } else {
                set.own.remove(&id).map(|own| (own.card, own.memory))
            }
        };
        if let Some((card, memory)) = gone {
            // Not under the lock: the driver may take its time.
            let bytes = memory.bytes();
            drop(memory);
            self.count(card, bytes, 0);
        }
        Ok(())
    }

    /// There is nowhere to set it aside: it is freed.
    fn set_aside(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        self.free(id, place)
    }
}
