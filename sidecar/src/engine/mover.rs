//! Moves bytes between tiers: promote, spill. One mechanism: a ticket from the ledger, carried out by a task
//! of its own, that ends in the ledger being told.

use payload_manager_catalog::Durability;
use payload_manager_core::Refusal;
use payload_manager_core::backlog::Retired;
use payload_manager_core::facts::Facts;
use payload_manager_core::ledger::{Begun, Dropped, Outcome, Ticket};
use payload_manager_core::payload::Descriptor;
use payload_manager_tiers::copy::{self, Job};
use payload_manager_tiers::{Archive, TierError, TierStore};
use payload_manager_types::{Checksum, PayloadId, Place, SpillTarget, Tier};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

use super::write::put;
use super::{Ending, Engine, Error, blocking};
use crate::failpoint;

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
    pub async fn promote(&self, id: PayloadId, to: Tier) -> Result<Descriptor, Error> {
        self.move_to(id, to, false).await
    }

    /// Begins to make a copy in `to`. What goes wrong is logged.
    pub fn promote_later(&self, id: PayloadId, to: Tier) {
        let engine = self.clone();
        self.0.tasks.spawn("promote", async move {
            if let Err(error) = engine.promote(id, to).await {
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
                if let Err(error) = engine.move_to(id, to, true).await {
                    tracing::info!(payload = %id, tier = %to, %error, "a spill in the background failed");
                }
            });
            return Ok(Spilled::Kept(Box::new(was)));
        }
        let descriptor = self.move_to(id, to, true).await?;
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

    async fn move_to(&self, id: PayloadId, to: Tier, spill: bool) -> Result<Descriptor, Error> {
        let engine = self.clone();
        self.detached("move", async move { engine.move_now(id, to, spill).await }).await
    }

    async fn move_now(&self, id: PayloadId, to: Tier, spill: bool) -> Result<Descriptor, Error> {
        self.tier(to)?;
        let mut relieved = false;
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.begin_move(id, to, spill) {
                Ok(Move::Running(ending)) => match ended(ending).await {
                    Err(error) if !relieved && is_full(&error, to).is_some() => {
                        relieved = true;
                        if !self.relieve(to, is_full(&error, to).unwrap_or(0)).await {
                            return Err(error);
                        }
                    }
                    other => other?,
                },
                Ok(Move::There(descriptor)) => return Ok(*descriptor),
                Ok(Move::Dropped(dropped)) => return self.dropped(*dropped).await,
                Ok(Move::Busy) => {
                    let running = self.0.running.lock().get(&id).cloned();
                    match running {
                        Some(ending) => ended(ending).await?,
                        None => changed.await,
                    }
                }
                Err(Refusal::TierFull { tier, asked, .. }) => self.make_room(tier, asked).await?,
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Asks the ledger, and has a ticket carried out at once: under the lock, so that who is told "busy" finds it.
    fn begin_move(&self, id: PayloadId, to: Tier, spill: bool) -> Result<Move, Refusal> {
        let mut ledger = self.ledger();
        let now = self.now();
        let begun = if spill { ledger.spill(id, to, now) } else { ledger.promote(id, to, now) };
        Ok(match begun? {
            Begun::Copy(ticket) => Move::Running(self.carry_out(ticket)),
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
            self.put(descriptor.facts.clone(), Durability::Synced).await?;
        }
        self.free_files(files, free);
        Ok(descriptor)
    }

    /// Has a ticket carried out by a task of its own.
    pub(super) fn carry_out(&self, ticket: Ticket) -> Ending {
        let engine = self.clone();
        self.under_way("transfer", ticket.id(), async move { engine.transfer(ticket).await })
    }

    /// Runs what is under way with a payload: who is told that it is busy finds it.
    pub(super) fn under_way(
        &self,
        name: &'static str,
        id: PayloadId,
        work: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Ending {
        let (sender, ending) = watch::channel(None);
        self.0.running.lock().insert(id, ending.clone());
        let engine = self.clone();
        self.0.tasks.spawn(name, async move {
            let result = work.await;
            engine.0.running.lock().remove(&id);
            sender.send_replace(Some(result));
            engine.0.changed.notify_waiters();
        });
        ending
    }

    async fn transfer(&self, ticket: Ticket) -> Result<(), Error> {
        let permit = Arc::clone(&self.0.copies).acquire_owned().await;
        let copied = self.copy_bytes(&ticket).await;
        drop(permit);
        let (place, checksum) = match copied {
            Ok(copied) => copied,
            Err(failure) => return self.give_up(ticket, failure).await,
        };
        failpoint::hit("transfer-finished");
        if let Err(error) = self.write_row(&ticket, checksum).await {
            self.discard(ticket, place).await;
            return Err(error);
        }
        let outcome = self.ledger().finish_transfer(ticket, place, checksum);
        match outcome {
            Outcome::Live(dropped) => {
                let Dropped { free, files, .. } = *dropped;
                self.free_files(files, free);
            }
            Outcome::Gone(block) => self.free_files(vec![block], vec![block]),
        }
        Ok(())
    }

    /// The row that says where the bytes are now, synced, before anything faster is dropped; a copy in memory has its
    /// record instead.
    async fn write_row(&self, ticket: &Ticket, checksum: Checksum) -> Result<(), Error> {
        if !ticket.to.is_durable() {
            return Ok(());
        }
        let pass = self.0.gate.pass().await?;
        let pending = {
            let ledger = self.ledger();
            let Some(row) = ledger.row_after(ticket, checksum) else { return Ok(()) };
            self.0.gate.submit(pass, put(row), Durability::Synced)
        };
        pending.done().await?;
        failpoint::hit("transfer-row-written");
        Ok(())
    }

    async fn copy_bytes(&self, ticket: &Ticket) -> Result<(Place, Checksum), Failure> {
        let (from, to) = match (self.tier(ticket.from), self.tier(ticket.to)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(error), _) | (_, Err(error)) => return Err(Failure::Other(error)),
        };
        let (facts, place) = (ticket.facts.clone(), ticket.from_place);
        let (archive, now) = (self.0.archive, self.now().wall);
        let hurry = self.0.hurry.clone();
        let work = move || {
            let meta = |sum: Checksum| archive.encode(&facts, Some(sum), now);
            let watch = |_| !hurry.is_cancelled();
            Ok(copy_checked((&*from, place), &*to, &facts, &meta, &watch))
        };
        blocking(work).await.unwrap_or_else(|error| Err(Failure::Other(error)))
    }

    /// A copy that came to nothing. If its source is to blame, the source is taken out of the way: another copy serves,
    /// or the bytes are lost, and the payload stays listed.
    async fn give_up(&self, ticket: Ticket, failure: Failure) -> Result<(), Error> {
        let (id, from, from_place) = (ticket.id(), ticket.from, ticket.from_place);
        let to = ticket.to;
        if !self.ledger().abort_transfer(ticket) {
            if to.is_durable() {
                self.forget_file(id, to);
            }
            // Deleted meanwhile, and its bytes with it: nothing is wrong with any copy.
            return Err(Refusal::NotFound { id }.into());
        }
        let copies = self.ledger().descriptor(id, self.now()).map(|d| d.copies);
        let others = copies.is_ok_and(|copies| copies.iter().any(|tier| tier != from));
        let error = match failure {
            Failure::Source(error) => error,
            // Another copy serves, so this one can go. An only copy stays: it may be read another day.
            Failure::Unreadable(error) if others => error,
            Failure::Unreadable(error) | Failure::Other(error) => return Err(error),
        };
        tracing::error!(payload = %id, tier = %from, %error, "a copy is bad or gone and is set aside");
        // Its record may still be all that says that it was committed.
        self.write_down(id).await?;
        let blocks = self.ledger().lose_copy(id, from);
        self.put_aside(id, from, from_place, blocks);
        // Another copy may serve: the caller asks the ledger again.
        if self.ledger().descriptor(id, self.now()).is_ok_and(|d| d.placement.is_some()) { Ok(()) } else { Err(error) }
    }

    /// Sees to it that a payload's row outlives this process.
    async fn write_down(&self, id: PayloadId) -> Result<(), Error> {
        let pass = self.0.gate.pass().await?;
        let pending = {
            let ledger = self.ledger();
            let Ok(found) = ledger.descriptor(id, self.now()) else { return Ok(()) };
            self.0.gate.submit(pass, put(found.facts), Durability::Committed)
        };
        pending.done().await.map(|_| ())
    }

    /// A copy that was written but can't be used.
    async fn discard(&self, ticket: Ticket, place: Place) {
        let (id, to) = (ticket.id(), ticket.to);
        let store = self.tier(to);
        let freed = blocking(move || Ok(store?.free(id, place)?)).await;
        if let Err(error) = freed {
            tracing::error!(payload = %id, tier = %to, %error, "an unused copy could not be removed");
        }
        if !self.ledger().abort_transfer(ticket) && to.is_durable() {
            self.forget_file(id, to);
        }
        self.0.changed.notify_waiters();
    }

    /// The payload was deleted while a file of it was being written, and that file is gone.
    fn forget_file(&self, id: PayloadId, tier: Tier) {
        let block = Retired { id, tier, place: Place::OWN, size: 0, block: None, record: None };
        let engine = self.clone();
        self.0.tasks.spawn("forget", async move { engine.undoom(&[block]).await });
    }
}

/// How many bytes a tier had no room for, though its budget had.
pub(super) fn is_full(error: &Error, tier: Tier) -> Option<u64> {
    match error {
        Error::Tier(error) => match **error {
            TierError::Full { tier: full, asked, .. } if full == tier => Some(asked),
            _ => None,
        },
        _ => None,
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

/// Why no copy came of it.
enum Failure {
    /// The copy it was made from is bad or gone.
    Source(Error),
    /// The copy it was made from can't be read: its medium fails.
    Unreadable(Error),
    /// Anything else.
    Other(Error),
}

/// Copies all bytes and finishes the copy only if they are what they should be (promise: verified-tiers).
fn copy_checked(
    (from, place): (&dyn TierStore, Place),
    to: &dyn TierStore,
    facts: &Facts,
    meta: &Archive<'_>,
    watch: &copy::Watch<'_>,
) -> Result<(Place, Checksum), Failure> {
    let (id, size, tier) = (facts.id, facts.size, from.tier());
    let mut source = from.source(id, place, size).map_err(|e| blame(tier, e))?;
    let mut sink = to.sink(id, size).map_err(|e| blame(tier, e))?;
    let job = Job { id, from: tier, size };
    let found = copy::copy(job, &mut *source, &mut *sink, watch).map_err(|e| blame(tier, e))?;
    failpoint::hit("transfer-copied");
    if let Some(expected) = facts.checksum.filter(|expected| *expected != found) {
        return Err(Failure::Source(Error::Corrupt { id, tier, expected, found }));
    }
    let place = sink.finish(found, meta).map_err(|e| blame(tier, e))?;
    Ok((place, found))
}

/// A source that is gone, has another length, or lies where its medium fails is to blame; a system that refuses is not.
fn blame(source: Tier, error: TierError) -> Failure {
    match &error {
        TierError::Missing { tier, .. } | TierError::WrongSize { tier, .. } if *tier == source => {
            Failure::Source(error.into())
        }
        TierError::Io { tier, source: said, .. } if *tier == source && is_damage(said) => {
            Failure::Unreadable(error.into())
        }
        _ => Failure::Other(error.into()),
    }
}

/// Whether the system says that what lies there can't be read, rather than that it does not want to now.
fn is_damage(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EBADMSG | libc::EUCLEAN))
}

/// Waits for a transfer that somebody has begun.
pub(super) async fn ended(mut ending: Ending) -> Result<(), Error> {
    match ending.wait_for(Option::is_some).await {
        Ok(result) => result.clone().unwrap_or(Ok(())),
        Err(_) => Err(Error::ShuttingDown),
    }
}
