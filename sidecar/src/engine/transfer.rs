//! Carries out a transfer: bytes copied, checked, written down, shown; or given up without a trace.
//!
//! Which transfer, and what becomes of the faster copies, the ledger has decided with its ticket; who asks for one is in
//! `mover` and `room`.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use payload_manager_catalog::{Change, Durability};
use payload_manager_core::Refusal;
use payload_manager_core::backlog::Retired;
use payload_manager_core::facts::Facts;
use payload_manager_core::ledger::{Dropped, Outcome, Ticket};
use payload_manager_tiers::copy::{self, Job};
use payload_manager_tiers::{Archive, Sink, TierError, TierStore, Written};
use payload_manager_types::{Checksum, PayloadId, Place, Tier};
use tokio::sync::watch;

use super::mover::Devices;
use super::write::{doomed, put_without};
use super::{Ending, Engine, Error, blocking};
use crate::archive::Said;
use crate::failpoint;
use crate::observe::spans;

impl Engine {
    /// Has a ticket carried out by a task of its own; onto one of these cards, if it is to one.
    pub(super) fn carry_out(&self, ticket: Ticket, devices: Devices) -> Ending {
        let (id, from, to, size) = (ticket.id(), ticket.from, ticket.to, ticket.facts.size);
        let (engine, span, since) = (self.clone(), spans::transfer(id, from, to, size), Instant::now());
        let within = span.clone();
        let work = async move {
            let done = engine.transfer(ticket, devices).await;
            let made = matches!(done, Ok(Copied::Made));
            engine.meters().transferred(from, to, made.then_some(size), since.elapsed());
            span.end(!made);
            done.map(drop)
        };
        self.under_way("transfer", id, within.around(work))
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

    async fn transfer(&self, ticket: Ticket, devices: Devices) -> Result<Copied, Error> {
        let remote = [ticket.from, ticket.to].contains(&Tier::Object);
        let permits = if remote { &self.0.remote_copies } else { &self.0.copies };
        let permit = Arc::clone(permits).acquire_owned().await;
        let copied = match self.intend(&ticket).await {
            Ok(()) => self.copy_bytes(&ticket, devices).await,
            Err(error) => Err(Failure::Other(error)),
        };
        drop(permit);
        let (place, checksum) = match copied {
            Ok(copied) => copied,
            Err(failure) => {
                let clean = self.leave_nothing(&ticket).await;
                return self.give_up(ticket, failure, clean).await.map(|()| Copied::FromElsewhere);
            }
        };
        failpoint::hit("transfer-finished");
        if let Err(error) = self.write_row(&ticket, checksum).await {
            self.discard(ticket, place).await;
            return Err(error);
        }
        let (id, to) = (ticket.id(), ticket.to);
        let outcome = self.ledger().finish_transfer(ticket, place, checksum);
        match outcome {
            Outcome::Live(dropped) => {
                if to.is_durable() {
                    self.ring_archivist();
                }
                if to == Tier::Object {
                    self.forget_file(id, to);
                }
                let Dropped { free, files, .. } = *dropped;
                self.free_files(files, free);
            }
            Outcome::Gone(block) => self.free_files(vec![block], vec![block]),
        }
        Ok(Copied::Made)
    }

    /// A store's objects are not listed at a start, so what is about to be there is doomed before it is, until its row is
    /// written: a start frees what no row has (promise: no-leak).
    async fn intend(&self, ticket: &Ticket) -> Result<(), Error> {
        if ticket.to != Tier::Object {
            return Ok(());
        }
        let pass = self.0.gate.pass().await?;
        let change = Change::Doom(doomed(&unnamed(ticket.id(), ticket.to, ticket.facts.size)));
        self.0.gate.submit(pass, change, Durability::Synced).done().await?;
        failpoint::hit("transfer-intended");
        Ok(())
    }

    /// Removes what an upload that failed may have left; whether nothing is left. Where that can't be told now, it stays
    /// doomed, and the next start sees to it.
    async fn leave_nothing(&self, ticket: &Ticket) -> bool {
        let (id, to) = (ticket.id(), ticket.to);
        if to != Tier::Object {
            return true;
        }
        let store = self.tier(to);
        let freed = blocking(move || Ok(store?.free(id, Place::OWN)?)).await;
        match &freed {
            Ok(()) => self.undoom(&[unnamed(id, to, 0)]).await,
            Err(error) => {
                tracing::debug!(payload = %id, %error, "what a failed upload may have left stays until a start")
            }
        }
        freed.is_ok()
    }

    /// The row that says where the bytes are now, synced, before anything faster is dropped; in the same transaction the
    /// files that it no longer names are doomed. A copy in memory has its record instead.
    async fn write_row(&self, ticket: &Ticket, checksum: Checksum) -> Result<(), Error> {
        if !ticket.to.is_durable() {
            return Ok(());
        }
        let pass = self.0.gate.pass().await?;
        let pending = {
            // Under the lock, so that no row comes after its payload's end.
            let ledger = self.ledger();
            let Some(row) = ledger.row_after(ticket, checksum) else { return Ok(()) };
            let change = put_without(row, &ledger.files_after(ticket));
            self.0.gate.submit(pass, change, Durability::Synced)
        };
        pending.done().await?;
        failpoint::hit("transfer-row-written");
        Ok(())
    }

    async fn copy_bytes(&self, ticket: &Ticket, devices: Devices) -> Result<(Place, Checksum), Failure> {
        let (from, to) = match (self.tier(ticket.from), self.tier(ticket.to)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(error), _) | (_, Err(error)) => return Err(Failure::Other(error)),
        };
        let (facts, place) = (ticket.facts.clone(), ticket.from_place);
        let (archive, now) = (self.0.archive, self.now().wall);
        let (engine, hurry) = (self.clone(), self.0.hurry.clone());
        let gpu = self.0.gpu.clone().filter(|_| ticket.to == Tier::Gpu);
        let work = move || {
            if to.tier() == Tier::Ram {
                engine.cool()?;
            }
            let said = if to.tier().is_durable() { engine.said_of(facts.id)? } else { Said::default() };
            let meta =
                |Written { checksum, packing }| archive.encode(&facts, (Some(checksum), packing), said.clone(), now);
            let watch = |_| !hurry.is_cancelled();
            let sink = || match &gpu {
                Some(gpu) => gpu.sink_on(facts.id, facts.size, &devices),
                None => to.sink(facts.id, facts.size),
            };
            Ok(copy_checked((&*from, place), sink, &facts, &meta, &watch))
        };
        blocking(work).await.unwrap_or_else(|error| Err(Failure::Other(error)))
    }

    /// A copy that came to nothing. If its source is to blame, the source is taken out of the way: another copy serves,
    /// or the bytes are lost, and the payload stays listed.
    async fn give_up(&self, ticket: Ticket, failure: Failure, clean: bool) -> Result<(), Error> {
        let (id, from, from_place) = (ticket.id(), ticket.from, ticket.from_place);
        let to = ticket.to;
        if !self.ledger().abort_transfer(ticket) {
            if to.is_durable() && clean {
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
        self.put_row(Durability::Committed, |ledger, now| Ok(ledger.descriptor(id, now).ok().map(|d| d.facts))).await?;
        let blocks = self.ledger().lose_copy(id, from);
        self.put_aside(id, from, from_place, blocks);
        // Another copy may serve: the caller asks the ledger again.
        if self.ledger().descriptor(id, self.now()).is_ok_and(|d| d.placement.is_some()) { Ok(()) } else { Err(error) }
    }

    /// A copy that was written but can't be used.
    async fn discard(&self, ticket: Ticket, place: Place) {
        let (id, to) = (ticket.id(), ticket.to);
        let store = self.tier(to);
        let freed = blocking(move || Ok(store?.free(id, place)?)).await;
        match freed {
            Ok(()) if to == Tier::Object => self.forget_file(id, to),
            Ok(()) => {}
            Err(error) => tracing::error!(payload = %id, tier = %to, %error, "an unused copy could not be removed"),
        }
        if !self.ledger().abort_transfer(ticket) && to.is_durable() {
            self.forget_file(id, to);
        }
        self.0.changed.notify_waiters();
    }

    /// The payload was deleted while a file of it was being written, and that file is gone.
    fn forget_file(&self, id: PayloadId, tier: Tier) {
        let engine = self.clone();
        self.0.tasks.spawn("forget", async move { engine.undoom(&[unnamed(id, tier, 0)]).await });
    }
}

/// A file that no lease names.
fn unnamed(id: PayloadId, tier: Tier, size: u64) -> Retired {
    Retired { id, tier, place: Place::OWN, size, block: None, record: None }
}

/// What came of a transfer that did not fail.
enum Copied {
    /// The copy.
    Made,
    /// Nothing, for its source was bad; another may serve, and whoever wants the copy asks again.
    FromElsewhere,
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
    to: impl FnOnce() -> Result<Box<dyn Sink>, TierError>,
    facts: &Facts,
    meta: &Archive<'_>,
    watch: &copy::Watch<'_>,
) -> Result<(Place, Checksum), Failure> {
    let (id, size, tier) = (facts.id, facts.size, from.tier());
    let mut source = from.source(id, place, size).map_err(|e| blame(tier, e))?;
    let mut sink = to().map_err(|e| blame(tier, e))?;
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
        TierError::Missing { tier, .. } | TierError::WrongSize { tier, .. } | TierError::Damaged { tier, .. }
            if *tier == source =>
        {
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
