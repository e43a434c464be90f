//! A payload's way between tiers, as it is asked for: promote, spill. Both are one mechanism, a ticket from the ledger,
//! which `transfer` carries out.

use std::sync::Arc;

use payload_manager_catalog::Durability;
use payload_manager_core::Refusal;
use payload_manager_core::ledger::{Begun, Dropped};
use payload_manager_core::payload::Descriptor;
use payload_manager_types::{DeviceUuid, PayloadId, SpillTarget, Tier};

use super::transfer::ended;
use super::write::put_without;
use super::{Ending, Engine, Error};

/// The cards that a copy may be on, the first the most wanted; none: any.
pub(crate) type Devices = Arc<[DeviceUuid]>;

/// When a spill is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// At once; the work is queued.
    No,
    /// When the slower copy is there and the faster one is dropped.
    Moved,
    /// When the memory of the faster one is free, too.
    Freed,
}

/// What became of a spilled payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spilled {
    /// It is there, or queued to be.
    Kept(Box<Descriptor>),
    /// The target was VOID: it is deleted.
    Deleted,
}

impl Engine {
    /// Makes a copy in `to` and waits for it; a copy that is there is fine.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Tier`], [`Error::Corrupt`], [`Error::Catalog`].
    pub async fn promote(&self, id: PayloadId, to: Tier, devices: Devices) -> Result<Descriptor, Error> {
        self.move_to(id, to, Aim::Faster(devices)).await
    }

    /// Begins to make a copy in `to`. What goes wrong is logged.
    pub fn promote_later(&self, id: PayloadId, to: Tier, devices: Devices) {
        let engine = self.clone();
        self.0.tasks.spawn("promote", async move {
            if let Err(error) = engine.promote(id, to, devices).await {
                tracing::info!(payload = %id, tier = %to, %error, "a promotion in the background failed");
            }
        });
    }

    /// Refuses a promotion that can't be, before it is queued.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check_promote(&self, id: PayloadId, to: Tier) -> Result<Descriptor, Error> {
        self.tier(to)?;
        let ledger = self.ledger();
        let now = self.now();
        ledger.check_committed(id, now)?;
        let descriptor = ledger.descriptor(id, now)?;
        match descriptor.placement {
            None => Err(Refusal::BytesLost { id }.into()),
            Some((have, _)) if have < to && !descriptor.copies.contains(to) => {
                Err(Refusal::PromoteToSlower { id, have, want: to }.into())
            }
            Some(_) => Ok(descriptor),
        }
    }

    /// Moves a payload down: a copy at the target, then the faster ones are dropped.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Tier`], [`Error::Corrupt`], [`Error::Catalog`]; [`Error::StillLeased`] if a lease
    /// outlasts [`Wait::Freed`].
    pub async fn spill(&self, id: PayloadId, target: Option<SpillTarget>, wait: Wait) -> Result<Spilled, Error> {
        let target = match target {
            Some(target) => target,
            None => self.descriptor(id)?.facts.policy.target(),
        };
        let SpillTarget::Tier(to) = target else {
            self.ledger().check_void(id, self.now())?;
            self.delete(id, false).await?;
            return Ok(Spilled::Deleted);
        };
        let was = self.descriptor(id)?;
        if wait == Wait::No {
            // What can never be is said now; only what takes time is queued.
            self.ledger().check_spill(id, to, self.now())?;
            let engine = self.clone();
            self.0.tasks.spawn("spill", async move {
                if let Err(error) = engine.move_to(id, to, Aim::Slower).await {
                    tracing::info!(payload = %id, tier = %to, %error, "a spill in the background failed");
                }
            });
            return Ok(Spilled::Kept(Box::new(was)));
        }
        let descriptor = self.move_to(id, to, Aim::Slower).await?;
        if wait == Wait::Freed {
            for tier in was.copies.iter().filter(|t| *t < to) {
                self.until_free(id, tier).await?;
            }
        }
        Ok(Spilled::Kept(Box::new(descriptor)))
    }

    /// Waits for a dropped copy's memory, at most as long as a lease can last, and no longer than the daemon serves.
    async fn until_free(&self, id: PayloadId, tier: Tier) -> Result<(), Error> {
        let longest = std::time::Duration::from_millis(self.ledger().limits().lease_max_ms);
        let free = async {
            loop {
                let changed = self.0.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if !self.ledger().is_leaving(id, tier) {
                    return;
                }
                changed.await;
            }
        };
        tokio::select! {
            waited = tokio::time::timeout(longest, free) => waited.map_err(|_| Error::StillLeased { id, tier }),
            () = self.0.tasks.stopping() => Err(Error::ShuttingDown),
        }
    }

    /// Gives a copy that is a part of something an object of its own, in the same tier.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub(super) async fn set_apart(&self, id: PayloadId, tier: Tier, devices: Devices) -> Result<Descriptor, Error> {
        self.move_to(id, tier, Aim::Apart(devices)).await
    }

    /// Makes a copy in a slower tier, beside what there is.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub(super) async fn back_up(&self, id: PayloadId, to: Tier) -> Result<Descriptor, Error> {
        self.move_to(id, to, Aim::Beside).await
    }

    async fn move_to(&self, id: PayloadId, to: Tier, aim: Aim) -> Result<Descriptor, Error> {
        let engine = self.clone();
        self.detached("move", async move { engine.move_now(id, to, aim).await }).await
    }

    async fn move_now(&self, id: PayloadId, to: Tier, aim: Aim) -> Result<Descriptor, Error> {
        self.tier(to)?;
        let mut relieved = false;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.begin_move(id, to, &aim) {
                Ok(Move::Running(ending)) => {
                    if let Err(error) = ended(ending).await {
                        self.relieve_once(&mut relieved, to, error).await?;
                    }
                }
                Ok(Move::There(descriptor)) => return Ok(*descriptor),
                Ok(Move::Dropped(dropped)) => return self.dropped(*dropped).await,
                Ok(Move::Busy) => {
                    let running = self.0.running.lock().get(&id).cloned();
                    match running {
                        Some(ending) => ended(ending).await?,
                        None => match self.0.unfreed.in_the_way(id) {
                            Some(error) => return Err(error),
                            None => changed.await,
                        },
                    }
                }
                Err(Refusal::TierFull { tier, asked, .. }) => self.make_room(tier, asked).await?,
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Asks the ledger, and has a ticket carried out at once: under the lock, so that who is told "busy" finds it.
    fn begin_move(&self, id: PayloadId, to: Tier, aim: &Aim) -> Result<Move, Refusal> {
        let mut ledger = self.ledger();
        let now = self.now();
        let begun = match aim {
            Aim::Faster(_) => ledger.promote(id, to, now),
            Aim::Slower => ledger.spill(id, to, now),
            Aim::Apart(_) => ledger.set_apart(id, to, now),
            Aim::Beside => ledger.back_up(id, to, now),
        };
        Ok(match begun? {
            Begun::Copy(ticket) => Move::Running(self.carry_out(ticket, aim.devices())),
            Begun::Check(check) => Move::Running(self.check_twin(check)),
            Begun::There(descriptor) => Move::There(Box::new(descriptor)),
            Begun::Dropped(dropped) => Move::Dropped(Box::new(dropped)),
            Begun::Busy => Move::Busy,
        })
    }

    /// Copies dropped without a byte written: a durable one's row first, then the bytes.
    pub(super) async fn dropped(&self, dropped: Dropped) -> Result<Descriptor, Error> {
        let Dropped { descriptor, free, files } = dropped;
        if !files.is_empty() {
            let pass = self.0.gate.pass().await?;
            let change = put_without(descriptor.facts.clone(), &files);
            self.0.gate.submit(pass, change, Durability::Synced).done().await?;
        }
        self.free_files(files, free);
        Ok(descriptor)
    }
}

/// What a move is for.
#[derive(Debug, Clone)]
enum Aim {
    /// A copy in a faster tier; on one of these cards, if it is on one.
    Faster(Devices),
    /// A copy in a slower tier, and none in faster ones.
    Slower,
    /// A copy of its own in the same tier; likewise.
    Apart(Devices),
    /// A copy in a slower tier, beside those in faster ones.
    Beside,
}

impl Aim {
    fn devices(&self) -> Devices {
        match self {
            Self::Faster(devices) | Self::Apart(devices) => Arc::clone(devices),
            Self::Slower | Self::Beside => Devices::default(),
        }
    }
}

/// What came of asking for a move.
enum Move {
    /// Nothing to do.
    There(Box<Descriptor>),
    /// The faster copies are dropped.
    Dropped(Box<Dropped>),
    /// The bytes are on their way.
    Running(Ending),
    /// Something else is under way.
    Busy,
}
