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
                let reachable = |tier| matches!(tier, Tier::Ram | Tier::Disk);
                let lease = seat.table.take_if(id, wanted, |face| reachable(face.tier)).ok()?;
                core.pace.note(lease.granted_ms().saturating_sub(asked_ms / 2));
                let unmapped = Unmapped { lease, asked_ms };
                Some(match unmapped.segment() {
                    Some(segment) => unmapped.look_in(seat.segment(segment)),
                    None => unmapped.look(),
                })
            })
        });
        taken.flatten().unwrap_or(Taken::Ask)
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
        let views = &self.lease.kept().views;
        match views.get(self.lease.block(), self.lease.face().id) {
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
    let dies_with_daemon = told.dies_with_daemon && !durable;
    Descriptor { version: face.version, state, expires: face.expires, copies, dies_with_daemon, ..told }
}

impl Fast {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Block(block) => &block.map,
            Bytes::Part(part) => part.bytes(),
        }
    }

    /// The payload as it was when the lease was taken.
    pub(crate) fn descriptor(&self) -> &Descriptor {
        let face = self.lease.face();
        match &self.bytes {
            Bytes::Block(block) if block.descriptor.version == face.version => &block.descriptor,
            Bytes::Block(block) => self.shown.get_or_init(|| Box::new(as_shown(face, block.descriptor.clone()))),
            Bytes::Part(part) => self.shown.get_or_init(|| Box::new(self.as_said(part))),
        }
    }

    /// From what the directory says alone.
    fn as_said(&self, part: &Part) -> Descriptor {
        let face = self.lease.face();
        // The daemon is at an entry for nanoseconds. Only one that was killed at it takes longer, until it is back.
        let said = (0..LOOKS).find_map(|_| self.lease.details()).unwrap_or(Details {
            created: UnixMillis(0),
            policy: EvictionPolicy::default(),
            protection: Protection::default(),
            checksum: None,
        });
        let location = Location::Ram {
            name: part.name().to_owned(),
            unit: face.place.unit,
            offset: face.place.offset,
            segment: part.segment_bytes(),
            length: face.length,
        };
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
            dies_with_daemon: false,
        };
        as_shown(face, told)
    }

    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        !self.lease.kept().is_over() && self.lease.is_valid()
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
        if self.lease.kept().is_over() {
            return Err(Error::lease_over());
        }
        let renewed = self.lease.renew(Duration::from_millis(self.asked_ms));
        renewed.map(drop).map_err(|_| Error::lease_over())
    }
}
