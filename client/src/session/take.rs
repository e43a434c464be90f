//! A lease taken without asking, and the view that has it. The hot path: no call, no system call.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use payload_manager_shm::{Details, EntryState, Face, Lease, Wanted};
use payload_manager_types::{EvictionPolicy, PayloadState, Protection, Tier, TierSet, UnixMillis};

use super::OwnSessions;
use super::life::Core;
use super::segments::{Mapping, Part};
use super::views::Block;
use crate::descriptor::{Descriptor, Location, PayloadId};
use crate::device::DevicePart;
use crate::error::{Error, Result};
use crate::read::ReadOptions;

/// A view of a session: its part of the mapping, and its lease. Dropped in this order. Clones share the lease; nothing of it
/// is on the heap, but what its descriptor is, once somebody has asked.
#[derive(Debug, Clone)]
pub(crate) struct Fast {
    bytes: Bytes,
    lease: Lease<Arc<Core>>,
    asked_ms: u64,
    shown: OnceLock<Box<Descriptor>>,
}

/// Where a view's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    /// In an object or file of the payload's own, which was opened for it.
    Block(Arc<Block>),
    /// In a segment: all that there is to know of it is in the directory.
    Part(Part),
    /// On a GPU, in a slab: the same. Of the daemon of this count.
    Device(DevicePart, u32),
}

/// What a look at the directory gave.
#[derive(Debug)]
pub(crate) enum Taken {
    /// All there is to it.
    View(Fast),
    /// A lease, on a block that is not mapped yet.
    Unmapped(Unmapped),
    /// Nothing: ask the daemon.
    Ask,
}

/// A lease whose bytes are still to be opened.
#[derive(Debug)]
pub(crate) struct Unmapped {
    pub(super) lease: Lease<Arc<Core>>,
    asked_ms: u64,
}

impl OwnSessions {
    /// Takes a lease on a payload in RAM or in a file.
    #[inline]
    pub(crate) fn take(&self, id: PayloadId, options: &ReadOptions) -> Taken {
        let taken = self.home().and_then(|home| {
            home.with_seat(|seat| {
                let core = seat.table.kept();
                let asked_ms = core.term_ms(options.lease);
                let min_tier = options.min_tier.unwrap_or(Tier::Object);
                let wanted = Wanted { duration: Duration::from_millis(asked_ms), min_tier };
                let on_device = options.takes_devices();
                let reachable = |tier| matches!(tier, Tier::Ram | Tier::Disk) || (on_device && tier == Tier::Gpu);
                let lease = seat.table.take_if(id, wanted, |face| reachable(face.tier)).ok()?;
                core.pace.note(lease.granted_ms().saturating_sub(asked_ms / 2));
                let unmapped = Unmapped { lease, asked_ms };
                Some(match unmapped.segment() {
                    _ if unmapped.slab().is_some() => unmapped.look_on_device(),
                    Some(segment) => unmapped.look_in(seat.segment(segment)),
                    None => unmapped.look(),
                })
            })
        });
        taken.flatten().unwrap_or(Taken::Ask)
    }

    /// Whether there is a session.
    pub(crate) fn is_open(&self) -> bool {
        self.home().is_some_and(|home| home.core().is_some())
    }

    /// The same, after the session was started if nothing did that before.
    pub(crate) async fn open_and_take(&self, id: PayloadId, options: &ReadOptions) -> Taken {
        match (self.take(id, options), self.home()) {
            (Taken::Ask, Some(home)) if home.with_seat(|_| ()).is_none() => {
                home.open().await;
                self.take(id, options)
            }
            (taken, _) => taken,
        }
    }
}

impl Unmapped {
    /// A view, if another one has the block mapped.
    #[inline]
    pub(super) fn look(self) -> Taken {
        let core = self.lease.kept();
        let is_there = |block: &Block| block.daemon.is_none_or(|daemon| daemon == core.slabs.daemon());
        match core.views.get(self.lease.block(), self.lease.face().id).filter(|block| is_there(block)) {
            Some(block) => Taken::View(self.over(Bytes::Block(block))),
            None => Taken::Unmapped(self),
        }
    }

    /// The segment that its bytes are in, if they are in one.
    #[inline]
    pub(super) fn segment(&self) -> Option<u32> {
        let face = self.lease.face();
        (face.tier == Tier::Ram && face.place.is_part()).then_some(face.place.unit)
    }

    /// The slab that its bytes are in, if they are in one.
    #[inline]
    pub(super) fn slab(&self) -> Option<u32> {
        let face = self.lease.face();
        (face.tier == Tier::Gpu && face.place.is_part()).then_some(face.place.unit)
    }

    /// A view, if the slab is open.
    #[inline]
    pub(super) fn look_on_device(self) -> Taken {
        let (face, core) = (self.lease.face(), self.lease.kept());
        let slab = self.slab().and_then(|id| core.slabs.get(id, core.clock.latest_ms()));
        match slab.map(|slab| (slab.part(face.place.offset, face.length), slab.daemon)) {
            Some((Some(part), daemon)) => Taken::View(self.over(Bytes::Device(part, daemon))),
            Some((None, _)) => Taken::Ask,
            None => Taken::Unmapped(self),
        }
    }

    /// A view, if the segment is at hand.
    #[inline]
    pub(super) fn look_in(self, mapping: Option<&Arc<Mapping>>) -> Taken {
        let face = self.lease.face();
        match mapping.map(|mapping| Part::of(mapping, face.place.offset, face.length)) {
            Some(Some(part)) => Taken::View(self.over(Bytes::Part(part))),
            // It does not lie in what was mapped, which is not to be trusted.
            Some(None) => Taken::Ask,
            None => Taken::Unmapped(self),
        }
    }

    /// A view of these bytes.
    #[inline]
    pub(super) fn over(self, bytes: Bytes) -> Fast {
        let Self { lease, asked_ms } = self;
        Fast { bytes, lease, asked_ms, shown: OnceLock::new() }
    }
}

/// How often a look at what is said of a payload is tried.
const LOOKS: usize = 64;

/// What was told before, as the entry shows it now.
fn as_shown(face: &Face, told: Descriptor) -> Descriptor {
    let state = match face.state {
        EntryState::Shown(state) => state,
        EntryState::Closed => told.state,
    };
    let copies = Tier::ALL.iter().zip(face.generations).filter(|(_, generation)| *generation != 0);
    let copies = copies.fold(TierSet::EMPTY, |copies, (tier, _)| copies.with(*tier));
    let durable = copies.iter().any(Tier::is_durable);
    // What is on a GPU and in RAM lives on in RAM, unless that is sealed.
    let in_ram = copies.contains(Tier::Ram) && told.protection != Protection::Sealed && told.tier == Tier::Gpu;
    let dies_with_daemon = told.dies_with_daemon && !durable && !in_ram;
    Descriptor { version: face.version, state, expires: face.expires, copies, dies_with_daemon, ..told }
}

/// Where a part of a segment is.
fn in_ram(face: &Face, part: &Part) -> Location {
    Location::Ram {
        name: part.name().to_owned(),
        unit: face.place.unit,
        offset: face.place.offset,
        segment: part.segment_bytes(),
        length: face.length,
    }
}

/// Where a part of a slab is. The daemon's number for its device is not known here; this process's own is.
fn on_device(face: &Face, part: &DevicePart) -> Location {
    let place = part.ptr();
    Location::Gpu {
        device: place.ordinal,
        uuid: Some(place.device),
        unit: face.place.unit,
        handle: Vec::new(),
        offset: face.place.offset,
        segment: part.slab_bytes(),
        length: face.length,
    }
}

impl Fast {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Block(block) => block.map.bytes(),
            Bytes::Part(part) => part.bytes(),
            Bytes::Device(..) => &[],
        }
    }

    /// On a GPU, if it is there.
    #[inline]
    pub(crate) fn device(&self) -> Option<&DevicePart> {
        match &self.bytes {
            Bytes::Device(part, _) => Some(part),
            Bytes::Block(block) => block.map.device(),
            Bytes::Part(_) => None,
        }
    }

    /// The payload as it was when the lease was taken.
    pub(crate) fn descriptor(&self) -> &Descriptor {
        let face = self.lease.face();
        match &self.bytes {
            Bytes::Block(block) if block.descriptor.version == face.version => &block.descriptor,
            Bytes::Block(block) => self.shown.get_or_init(|| Box::new(as_shown(face, block.descriptor.clone()))),
            Bytes::Part(part) => self.shown.get_or_init(|| Box::new(self.as_said(in_ram(self.lease.face(), part)))),
            Bytes::Device(part, _) => {
                self.shown.get_or_init(|| Box::new(self.as_said(on_device(self.lease.face(), part))))
            }
        }
    }

    /// From what the directory says alone.
    fn as_said(&self, location: Location) -> Descriptor {
        let face = self.lease.face();
        // The daemon is at an entry for nanoseconds. Only one that was killed at it takes longer, until it is back.
        let said = (0..LOOKS).find_map(|_| self.lease.details()).unwrap_or(Details {
            created: UnixMillis(0),
            policy: EvictionPolicy::default(),
            protection: Protection::default(),
            checksum: None,
        });
        let told = Descriptor {
            id: face.id,
            tier: face.tier,
            state: PayloadState::Active,
            location: Some(location),
            version: face.version,
            created: said.created,
            expires: face.expires,
            policy: said.policy,
            size: face.length,
            checksum: said.checksum,
            copies: TierSet::EMPTY,
            protection: said.protection,
            dies_with_daemon: face.tier == Tier::Gpu,
        };
        as_shown(face, told)
    }

    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        let core = self.lease.kept();
        // The memory of a card goes with its daemon.
        let is_there = match &self.bytes {
            Bytes::Device(_, daemon) => *daemon == core.slabs.daemon(),
            Bytes::Block(block) => block.daemon.is_none_or(|daemon| daemon == core.slabs.daemon()),
            Bytes::Part(_) => true,
        };
        is_there && !core.is_over() && self.lease.is_valid()
    }

    /// How long it holds from now.
    pub(crate) fn left(&self) -> Duration {
        if !self.is_valid() {
            return Duration::ZERO;
        }
        Duration::from_millis(self.lease.deadline().0.saturating_sub(self.lease.kept().clock.latest_ms()))
    }

    /// Prolongs it. No system call.
    pub(crate) fn renew(&self) -> Result<()> {
        if !self.is_valid() {
            return Err(Error::lease_over());
        }
        let renewed = self.lease.renew(Duration::from_millis(self.asked_ms));
        renewed.map(drop).map_err(|_| Error::lease_over())
    }
}
