//! A payload's way in and out: allocate, commit, delete.

use payload_manager_catalog::{Change, DoomedFile, Durability};
use payload_manager_core::backlog::Retired;
use payload_manager_core::facts::{Facts, Labels};
use payload_manager_core::ledger::{AllocateRequest, Allocation, Deletion, Now};
use payload_manager_core::payload::Descriptor;
use payload_manager_core::{Ledger, Refusal};
use payload_manager_tiers::{Sealed, TierError, TierStore, Written};
use payload_manager_types::{BlockName, DeviceUuid, EntryIndex, EvictionPolicy, PayloadId, Place, Protection, Tier};

use super::gate::{Pass, Pending};
use super::gpu::Seat;
use super::{Engine, Error, SharedPages, blocking};
use crate::archive::Said;
use crate::failpoint;

/// What a producer asks for, already validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayload {
    /// Bytes.
    pub size: u64,
    /// Where.
    pub tier: Tier,
    /// Time to live in milliseconds; 0: for ever.
    pub ttl_ms: u64,
    /// Exclude from eviction.
    pub no_evict: bool,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Who may write after commit.
    pub protection: Protection,
    /// What its producer says about it.
    pub labels: Labels,
    /// What its bytes must begin at a multiple of.
    pub alignment: u32,
    /// The session that fills it, if it is one's.
    pub session: Option<u32>,
    /// The cards it may be on, the first the most wanted; none: any.
    pub devices: Vec<DeviceUuid>,
}

impl Engine {
    /// Makes room and space for a payload that its producer writes in place.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Tier`], [`Error::Catalog`]; nothing is left behind.
    pub async fn allocate(&self, new: NewPayload) -> Result<Descriptor, Error> {
        let engine = self.clone();
        self.detached("allocate", async move { engine.allocate_now(new).await }).await
    }

    async fn allocate_now(&self, new: NewPayload) -> Result<Descriptor, Error> {
        offered(&new)?;
        let place = self.place_for(&new).await?;
        let seat = Seat::of(&new);
        let request = self.asked(new, place);
        let mut relieved = false;
        loop {
            let error = match self.allocate_once(&request, seat.as_ref()).await {
                Ok(allocated) => return Ok(allocated),
                Err(error) => error,
            };
            if let Err(error) = self.relieve_once(&mut relieved, request.tier, error).await {
                self.leave_place(place);
                return Err(error);
            }
        }
    }

    async fn allocate_once(&self, request: &AllocateRequest, seat: Option<&Seat>) -> Result<Descriptor, Error> {
        let allocation = loop {
            let asked = self.ledger().allocate(request.clone(), self.now());
            match asked {
                Ok(allocation) => break allocation,
                Err(Refusal::TierFull { tier, asked, .. }) => self.make_room(tier, asked).await?,
                Err(refusal) => return Err(refusal.into()),
            }
        };
        failpoint::hit("allocate-reserved");
        let made = self.make(&allocation, seat.cloned()).await;
        self.allocated(allocation, made)
    }

    /// What the ledger is asked for.
    pub(super) fn asked(&self, new: NewPayload, place: Place) -> AllocateRequest {
        AllocateRequest {
            id: PayloadId::from_bytes(*uuid::Uuid::now_v7().as_bytes()),
            size: new.size,
            tier: new.tier,
            place,
            ttl_ms: new.ttl_ms,
            no_evict: new.no_evict,
            policy: new.policy,
            protection: new.protection,
            reclaim_after_ms: self.0.allocation_timeout_ms,
            labels: new.labels,
        }
    }

    /// The end of an allocation: its space is there, or is not.
    pub(super) fn allocated(&self, allocation: Allocation, made: Result<Place, Error>) -> Result<Descriptor, Error> {
        match made {
            Ok(place) => {
                failpoint::hit("allocate-made");
                let descriptor = self.ledger().allocated(allocation, place);
                let ends = [descriptor.facts.expires, descriptor.facts.reclaim_at].into_iter().flatten().min();
                let now = self.now();
                self.alarm(ends.map_or(u64::MAX, |at| now.monotonic + at.0.saturating_sub(now.wall.0)));
                Ok(descriptor)
            }
            Err(error) => {
                self.ledger().abandon(allocation);
                self.0.changed.notify_waiters();
                Err(error)
            }
        }
    }

    /// The row where no record says enough, then the space itself.
    async fn make(&self, allocation: &Allocation, seat: Option<Seat>) -> Result<Place, Error> {
        let (id, size, tier) = (allocation.id(), allocation.size(), allocation.tier());
        let row = allocation.row();
        let written = tier != Tier::Ram || !row.labels.is_empty();
        if written {
            self.put(row, Durability::Committed).await?;
            failpoint::hit("allocate-row-written");
        }
        let (engine, place) = (self.clone(), allocation.place());
        let made = quickly(tier, size, move || match seat {
            Some(seat) => engine.make_on_card(id, size, &seat),
            None => engine.make_now(tier, id, place, size),
        })
        .await;
        if made.is_err() && written {
            self.submit_delete(id, Vec::new(), Durability::Soon).await?.done().await?;
        }
        made
    }

    /// Seals what the producer wrote. After this returns the payload survives `kill -9` of this process.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Resized`], [`Error::Tier`], [`Error::Catalog`]; the payload is ALLOCATED as before.
    pub async fn commit(&self, id: PayloadId) -> Result<Descriptor, Error> {
        let engine = self.clone();
        self.detached("commit", async move { engine.commit_now(id).await }).await
    }

    async fn commit_now(&self, id: PayloadId) -> Result<Descriptor, Error> {
        let (tier, place, facts) = self.ledger().begin_commit(id, self.now())?;
        let committed = match self.seal(tier, place, facts.clone()).await {
            Ok(sealed) => self.publish(id, tier, &facts, sealed).await,
            Err(error) => Err(error),
        };
        if committed.is_err() {
            let deleted_meanwhile = self.ledger().abort_commit(id);
            if let Some(deletion) = deleted_meanwhile {
                self.finish_deletion(deletion).await?;
            }
        }
        committed
    }

    /// Commits what its producer has uploaded to the object store.
    ///
    /// # Errors
    /// [`Refusal::NothingToImport`] if it was not to be uploaded, [`Refusal::ImportSize`], [`Error::NotUploaded`]; as
    /// [`Self::commit`].
    pub async fn import(&self, id: PayloadId, size: u64) -> Result<Descriptor, Error> {
        let Facts { preferred: tier, size: allocated, .. } = self.descriptor(id)?.facts;
        if tier != Tier::Object {
            return Err(Refusal::NothingToImport { id, tier }.into());
        }
        if size != allocated {
            return Err(Refusal::ImportSize { id, asked: size, allocated }.into());
        }
        self.commit(id).await
    }

    async fn seal(&self, tier: Tier, place: Place, facts: Facts) -> Result<Sealed, Error> {
        if facts.protection == Protection::Strict {
            return self.seal_apart(tier, place, &facts).await;
        }
        let store = self.tier(tier)?;
        let engine = self.clone();
        // The kernel may wait for whoever has pinned its pages.
        let waits = facts.protection == Protection::Sealed;
        let bytes = if waits { u64::MAX } else { facts.size };
        quickly(tier, bytes, move || engine.seal_now(&*store, place, &facts)).await
    }

    pub(super) fn seal_now(&self, store: &dyn TierStore, place: Place, facts: &Facts) -> Result<Sealed, Error> {
        let (id, size) = (facts.id, facts.size);
        let wrong = if store.tier() == Tier::Object { not_uploaded } else { resized };
        let sealed = store.seal(id, place, size, &self.archive_of(facts)?).map_err(|e| wrong(id, e))?;
        failpoint::hit("commit-sealed");
        Ok(sealed)
    }

    /// Makes the archive metadata of a payload that is being committed.
    pub(super) fn archive_of(&self, facts: &Facts) -> Result<impl Fn(Written) -> Vec<u8>, Error> {
        let now = self.now().wall;
        let durable = facts.preferred.is_durable();
        let said = if durable { self.said_of(facts.id)? } else { Said::default() };
        Ok(move |Written { checksum, packing }| {
            let row = Ledger::<SharedPages>::committed_row(facts, Some(checksum));
            self.0.archive.encode(&row, (row.checksum, packing), said.clone(), now)
        })
    }

    /// Record, entry, answer; the row follows.
    pub(super) fn publish_soon(
        &self,
        pass: Pass,
        id: PayloadId,
        facts: &Facts,
        sealed: Sealed,
    ) -> Result<Descriptor, Error> {
        let row = Ledger::<SharedPages>::committed_row(facts, sealed.checksum);
        let mut ledger = self.ledger();
        let committed = ledger.finish_commit(id, sealed.checksum, self.now())?;
        drop(self.0.gate.submit(pass, put(row), Durability::Soon));
        drop(ledger);
        failpoint::hit("commit-done");
        Ok(committed.descriptor)
    }

    /// RAM: record, entry, answer, and the row follows; with labels, which no record holds, the row comes first, as it
    /// does for what is durable.
    async fn publish(&self, id: PayloadId, tier: Tier, facts: &Facts, sealed: Sealed) -> Result<Descriptor, Error> {
        let row = Ledger::<SharedPages>::committed_row(facts, sealed.checksum);
        let first = match tier {
            Tier::Disk | Tier::Object => Some(Durability::Synced),
            // Nothing but the row remembers it when its card's memory is gone.
            Tier::Gpu => Some(Durability::Committed),
            Tier::Ram => (!facts.labels.is_empty()).then_some(Durability::Committed),
        };
        let Some(durability) = first else {
            let pass = self.0.gate.pass().await?;
            return self.publish_soon(pass, id, facts, sealed);
        };
        // Deleted meanwhile: its row is gone or will be, and must not come back.
        self.put_row(durability, |ledger, now| ledger.payload(id, now).map(|_| Some(row))).await?;
        failpoint::hit("commit-row-written");
        let committed = self.ledger().finish_commit(id, sealed.checksum, self.now())?;
        if tier.is_durable() {
            self.ring_archivist();
        }
        failpoint::hit("commit-done");
        if tier == Tier::Gpu {
            self.copy_eagerly(id, &facts.policy);
        }
        Ok(committed.descriptor)
    }

    /// Deletes a payload, whatever its state.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Catalog`].
    pub async fn delete(&self, id: PayloadId, force: bool) -> Result<(), Error> {
        let engine = self.clone();
        self.detached("delete", async move {
            let deletion = engine.ledger().delete(id, force, engine.now())?;
            failpoint::hit("delete-buried");
            engine.finish_deletion(deletion).await
        })
        .await
    }

    /// Removes the row of a payload that is buried, then its bytes. Waits for the row where that is what the caller was
    /// promised; for the rest a record that says DELETING is enough. No row can come after it: every other change of a
    /// payload is submitted under the ledger's lock, while the payload is still in it.
    pub(super) async fn finish_deletion(&self, deletion: Deletion) -> Result<(), Error> {
        let Deletion { facts, durable, recorded, files, free } = deletion;
        let doomed = files.iter().map(doomed).collect();
        let durability = if durable { Durability::Synced } else { Durability::Committed };
        let pending = self.submit_delete(facts.id, doomed, durability).await?;
        let engine = self.clone();
        let gone = async move {
            pending.done().await?;
            failpoint::hit("delete-row-gone");
            let no_longer_held = engine.ledger().row_gone(facts.id);
            engine.free_held(no_longer_held);
            Ok::<(), Error>(())
        };
        if durable || !recorded {
            gone.await?;
            self.free_files(files, free);
            return Ok(());
        }
        let engine = self.clone();
        self.0.tasks.spawn("delete", async move {
            match gone.await {
                Ok(()) => engine.free_and_forget(files, free).await,
                Err(error) => {
                    tracing::error!(%error, "a deleted payload's row is still there; the next start removes it");
                }
            }
        });
        Ok(())
    }

    /// Frees blocks, and has the catalog forget those of them that are files. Nobody waits for it.
    pub(super) fn free_files(&self, files: Vec<Retired>, free: Vec<Retired>) {
        let engine = self.clone();
        self.0.tasks.spawn("free", async move { engine.free_and_forget(files, free).await });
    }

    async fn free_and_forget(&self, files: Vec<Retired>, free: Vec<Retired>) {
        let worker = self.clone();
        let slowest = free.iter().map(|block| block.tier).max().unwrap_or(Tier::Ram);
        let bytes = free.iter().map(|block| block.size).sum();
        let work = move || Ok(free.into_iter().filter(|block| worker.free_block(block)).collect());
        let Ok(freed): Result<Vec<Retired>, Error> = quickly(slowest, bytes, work).await else { return };
        let gone: Vec<Retired> = files.into_iter().filter(|file| freed.contains(file)).collect();
        self.undoom(&gone).await;
    }

    /// These files are gone: the catalog need not remember them.
    pub(super) async fn undoom(&self, files: &[Retired]) {
        for file in files {
            let Ok(pass) = self.0.gate.pass().await else { return };
            let change = Change::Undoom { id: file.id, tier: file.tier };
            drop(self.0.gate.submit(pass, change, Durability::Soon));
        }
    }

    /// Writes a row and waits for it.
    pub(super) async fn put(&self, facts: Facts, durability: Durability) -> Result<(), Error> {
        let pass = self.0.gate.pass().await?;
        let pending = self.0.gate.submit(pass, put(facts), durability);
        pending.done().await.map(|_| ())
    }

    /// Writes what the ledger says that a payload's row is, if anything, and waits for it; whether there was anything. It is
    /// asked under the lock, so that no row comes after its payload's end.
    pub(super) async fn put_row(
        &self,
        durability: Durability,
        row: impl FnOnce(&Ledger<SharedPages>, Now) -> Result<Option<Facts>, Refusal>,
    ) -> Result<bool, Error> {
        let pass = self.0.gate.pass().await?;
        let pending = {
            let ledger = self.ledger();
            let Some(row) = row(&ledger, self.now())? else { return Ok(false) };
            self.0.gate.submit(pass, put(row), durability)
        };
        pending.done().await.map(|_| true)
    }

    async fn submit_delete(&self, id: PayloadId, doomed: Vec<DoomedFile>, how: Durability) -> Result<Pending, Error> {
        let pass = self.0.gate.pass().await?;
        Ok(self.0.gate.submit(pass, Change::Delete { id, doomed }, how))
    }
}

/// Up to so many bytes in memory are made, sealed and freed where the call is: a few system calls, which cost less than
/// the two changes of thread for them.
pub(super) const SMALL: u64 = 64 << 10;

/// Runs what blocks: at once where it is known to be [`SMALL`], else on a thread for that.
async fn quickly<T: Send + 'static>(
    tier: Tier,
    bytes: u64,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if tier == Tier::Ram && (1..=SMALL).contains(&bytes) { work() } else { blocking(work).await }
}

/// What this daemon offers; the rest of the ways to ask are the ledger's to judge.
pub(super) fn offered(new: &NewPayload) -> Result<(), Refusal> {
    match (new.protection, new.tier) {
        (Protection::Sealed, Tier::Ram) if new.session.is_some() => Ok(()),
        (Protection::Sealed, _) => Err(Refusal::SealedNeedsSession),
        (Protection::Strict, tier @ (Tier::Gpu | Tier::Object)) => {
            Err(Refusal::ProtectionNotOffered { what: "STRICT", tier })
        }
        (Protection::Strict, Tier::Ram | Tier::Disk) | (Protection::Shared, _) => Ok(()),
    }
}

pub(super) fn put(facts: Facts) -> Change {
    Change::Put { facts: Box::new(facts), doomed: None }
}

/// A row and, in the same transaction, the file that it no longer names. There is one at most: DISK's, once OBJECT has the
/// bytes.
pub(super) fn put_without(facts: Facts, files: &[Retired]) -> Change {
    debug_assert!(files.len() <= 1, "{files:?}");
    Change::Put { facts: Box::new(facts), doomed: files.first().map(doomed) }
}

/// What the catalog remembers of a file until it is gone. A file that no lease can name has the name of no block.
pub(super) fn doomed(block: &Retired) -> DoomedFile {
    let nobody = BlockName { index: EntryIndex::NOBODY, generation: 0 };
    DoomedFile { id: block.id, tier: block.tier, block: block.block.unwrap_or(nobody), size: block.size }
}

/// At commit of what was to be uploaded.
fn not_uploaded(id: PayloadId, error: TierError) -> Error {
    match error {
        TierError::Missing { what, .. } => Error::NotUploaded { id, what },
        TierError::WrongSize { expected, found, .. } => {
            Error::NotUploaded { id, what: format!("it has {found} bytes instead of {expected}") }
        }
        other => other.into(),
    }
}

/// At commit, what the producer did to its object is the producer's mistake.
pub(super) fn resized(id: PayloadId, error: TierError) -> Error {
    match error {
        TierError::Missing { what, .. } => Error::Resized { id, what },
        TierError::WrongSize { expected, found, .. } => {
            Error::Resized { id, what: format!("it has {found} bytes instead of {expected}") }
        }
        other => other.into(),
    }
}
