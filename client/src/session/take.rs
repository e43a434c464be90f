//! A lease taken without asking, and the view that has it. The hot path: no call, no system call.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use payload_manager_shm::{EntryState, Lease, Wanted};
use payload_manager_types::{Tier, TierSet};

use super::OwnSessions;
use super::life::Core;
use super::views::Block;
use crate::descriptor::{Descriptor, PayloadId};
use crate::error::{Error, Result};
use crate::read::ReadOptions;

/// A view of a session: its part of the mapping, and its lease. Dropped in this order.
#[derive(Debug)]
pub(crate) struct Fast {
    block: Arc<Block>,
    lease: Lease<Arc<Core>>,
    asked_ms: u64,
    /// Where the payload has changed since the block was opened.
    shown: OnceLock<Descriptor>,
}

/// What a look at the directory gave.
#[derive(Debug)]
pub(crate) enum Taken {
    /// All there is to it.
    View(Arc<Fast>),
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
            home.with_table(|table| {
                let core = table.kept();
                let asked_ms = core.term_ms(options.lease);
                let min_tier = options.min_tier.unwrap_or(Tier::Object);
                let wanted = Wanted { duration: Duration::from_millis(asked_ms), min_tier };
                let reachable = |tier| matches!(tier, Tier::Ram | Tier::Disk);
                let lease = table.take_if(id, wanted, |face| reachable(face.tier)).ok()?;
                Some(Unmapped { lease, asked_ms })
            })
        });
        match taken.flatten() {
            Some(unmapped) => unmapped.look(),
            None => Taken::Ask,
        }
    }

    /// The same, after the session was started if nothing did that before.
    pub(crate) async fn open_and_take(&self, id: PayloadId, options: &ReadOptions) -> Taken {
        match (self.take(id, options), self.home()) {
            (Taken::Ask, Some(home)) if home.with_table(|_| ()).is_none() => {
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
            Some(block) => Taken::View(self.over(block)),
            None => Taken::Unmapped(self),
        }
    }

    /// A view of this block, prolonged from now on.
    #[inline]
    pub(super) fn over(self, block: Arc<Block>) -> Arc<Fast> {
        let Self { lease, asked_ms } = self;
        let fast = Arc::new(Fast { block, lease, asked_ms, shown: OnceLock::new() });
        let core = fast.lease.kept();
        core.pace.note(fast.lease.slot_number(), &fast, core.clock.now_ms() + asked_ms / 2);
        fast
    }
}

impl Fast {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block.map
    }

    /// The payload as it was when the lease was taken.
    pub(crate) fn descriptor(&self) -> &Descriptor {
        let (face, known) = (self.lease.face(), &self.block.descriptor);
        if face.version == known.version {
            return known;
        }
        self.shown.get_or_init(|| {
            let state = match face.state {
                EntryState::Shown(state) => state,
                EntryState::Closed => known.state,
            };
            let copies = Tier::ALL.iter().zip(face.generations).filter(|(_, generation)| *generation != 0);
            let copies = copies.fold(TierSet::EMPTY, |copies, (tier, _)| copies.with(*tier));
            Descriptor { version: face.version, state, expires: face.expires, copies, ..known.clone() }
        })
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

    /// Prolongs it if half of its time is over. When it is due next; `None` when it is over.
    pub(super) fn prolong(&self) -> Option<u64> {
        let due_ms = || self.lease.deadline().0.saturating_sub(self.asked_ms / 2);
        if due_ms() <= self.lease.kept().clock.now_ms() {
            self.renew().ok()?;
        }
        Some(due_ms())
    }
}
