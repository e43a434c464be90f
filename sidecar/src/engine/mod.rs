//! Carries out what the ledger decides: makes space, moves bytes, writes rows, frees blocks.
//!
//! ```text
//!   grpc ──► Engine ──► ledger (one lock, memory only)
//!              │  ▲         what to do next, or a refusal
//!              ▼  │
//!        tiers, catalog     the work itself, never under the lock
//! ```
//!
//! `write` is a payload's way in and out (`strict`: with a copy at commit), `read` its leases and listings, `leases` many of them at once, `mover` its
//! way between tiers (`transfer` carries it out; `twin`, if it has a copy there already), `room` who goes when one is
//! full, `evictor` who goes before it is, `pin` who does not, `reaper` what time does to it, `metadata` and `lineage`
//! what is said about it (`archivist` beside its bytes, too), `watching` who follows its changes, `sessions` who reads without asking, `segments` what they
//! write into (`compaction` empties those they leave behind), `swift` what is done for them without waiting, `quota` what they
//! may keep from being freed, `gpu` what lies on cards, `streams` the logs that name it, `recovery` what
//! start-up makes of what it finds.
//!
//! What changes state runs as a task of the engine's own ([`Engine::detached`]): a caller who hangs up in the middle
//! leaves nothing half done.

mod archivist;
pub mod board;
mod compaction;
pub mod error;
mod evictor;
mod figures;
pub mod gate;
mod gpu;
mod leases;
mod leftovers;
mod lineage;
mod metadata;
mod mover;
mod pin;
mod quota;
mod read;
mod reaper;
pub mod recovery;
mod room;
mod sealed;
mod segments;
pub mod sessions;
mod streams;
mod strict;
mod swift;
mod transfer;
mod twin;
mod watching;
mod write;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use payload_manager_catalog::{Reader, StoreError};
use payload_manager_core::Ledger;
use payload_manager_core::backlog::Retired;
use payload_manager_core::ledger::{Now, Stats};
use payload_manager_tiers::{GpuTier, Location, Memfds, Notes, Segments, TierStore};
use payload_manager_types::{PayloadId, Place, Tier};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use board::SharedPages;
pub use error::Error;
pub use figures::{Figures, Lag, WeakEngine};
pub use gate::Gate;
pub use leases::Unclaimed;
pub use mover::{Spilled, Wait};
pub use read::Reading;
pub use streams::{ReadSpan, Start, Subscription};
pub use watching::{News, Since, Watching};
pub use write::NewPayload;

use crate::archive::ArchiveWriter;
use crate::clock::Clock;
use crate::observe::Meters;
use crate::observe::spans::Span;
use crate::shutdown::Tasks;

/// What the engine is built from.
pub struct Parts {
    /// The rules, with what recovery found.
    pub ledger: Ledger<SharedPages>,
    /// By [`Tier::index`]; `None`: not configured.
    pub tiers: [Option<Arc<dyn TierStore>>; 4],
    /// Where the streams' logs are archived, the faster ones first.
    pub notes: Vec<Arc<dyn Notes>>,
    /// Those of the RAM tier.
    pub segments: Segments,
    /// Those of SEALED payloads, of the same tier.
    pub memfds: Memfds,
    /// The GPU tier, if there is one.
    pub gpu: Option<GpuTier>,
    /// Where what is committed on a GPU is copied to at once, so that it outlives the daemon.
    pub gpu_eager_copy: Option<Tier>,
    /// The way to the catalog.
    pub gate: Gate,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Makes the archive metadata.
    pub archive: ArchiveWriter,
    /// Every task of the daemon.
    pub tasks: Tasks,
    /// Copies between tiers that run at once.
    pub transfers: usize,
    /// How long an uncommitted allocation lives, in milliseconds.
    pub allocation_timeout_ms: u64,
    /// Percent of RAM that one user's sessions may keep from being freed.
    pub pinned_per_uid: u8,
    /// What is told as it happens.
    pub meters: Meters,
}

/// Reads of the catalog at once that may take long. More would take the threads that copies and commits need.
const CATALOG_READS: usize = 8;

/// The engine. Clones speak of the same one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// How a transfer that is under way ended; `None` while it is.
type Ending = watch::Receiver<Option<Result<(), Error>>>;

struct Inner {
    ledger: Mutex<Ledger<SharedPages>>,
    tiers: [Option<Arc<dyn TierStore>>; 4],
    notes: Vec<Arc<dyn Notes>>,
    segments: Segments,
    memfds: Memfds,
    gpu: Option<GpuTier>,
    gpu_eager_copy: Option<Tier>,
    gate: Gate,
    clock: Arc<dyn Clock>,
    archive: ArchiveWriter,
    tasks: Tasks,
    unfreed: leftovers::Unfreed,
    copies: Arc<Semaphore>,
    /// Of those to and from OBJECT: a store that is slow keeps no other copy waiting.
    remote_copies: Arc<Semaphore>,
    /// Copies that run at once.
    transfers: usize,
    evictor: evictor::Bell,
    allocation_timeout_ms: u64,
    /// Rung when an archive may be behind what is said.
    archivist: Notify,
    /// Rung when segments may be left nearly empty.
    compactor: Notify,
    /// Rung when bytes became free or something under way has ended.
    changed: Notify,
    /// Rung when something is due before the reaper would wake.
    timers: Notify,
    /// When the reaper wakes, in milliseconds of the monotonic clock.
    wake_at: std::sync::atomic::AtomicU64,
    running: Mutex<HashMap<PayloadId, Ending>>,
    /// Ends copies that are under way.
    hurry: CancellationToken,
    streams: streams::Streams,
    /// Leave to read much of the catalog: as many at once as it keeps readers for.
    catalog_reads: Arc<Semaphore>,
    watchers: watching::Watchers,
    members: sessions::Members,
    quota: quota::Quota,
    meters: Meters,
}

impl Engine {
    /// Puts the engine together. [`Engine::start`] sets it going.
    ///
    /// # Errors
    /// [`Error::Catalog`] if the streams can't be read, or the start not be counted.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let catalog = parts.gate.catalog();
        let streams = streams::Streams::load(catalog)?;
        let start = catalog.next_start()?;
        let watchers = watching::Watchers::new(catalog.instance(), start);
        parts.segments.number_from(start);
        parts.gpu.iter().for_each(|gpu| gpu.number_from(start));
        Ok(Self(Arc::new(Inner {
            ledger: Mutex::new(parts.ledger),
            tiers: parts.tiers,
            notes: parts.notes,
            segments: parts.segments,
            memfds: parts.memfds,
            gpu: parts.gpu,
            gpu_eager_copy: parts.gpu_eager_copy,
            gate: parts.gate,
            clock: parts.clock,
            archive: parts.archive,
            tasks: parts.tasks,
            copies: Arc::new(Semaphore::new(parts.transfers)),
            remote_copies: Arc::new(Semaphore::new(parts.transfers)),
            unfreed: leftovers::Unfreed::default(),
            transfers: parts.transfers.max(1),
            evictor: evictor::Bell::default(),
            allocation_timeout_ms: parts.allocation_timeout_ms,
            archivist: Notify::new(),
            compactor: Notify::new(),
            changed: Notify::new(),
            timers: Notify::new(),
            wake_at: std::sync::atomic::AtomicU64::new(u64::MAX),
            running: Mutex::default(),
            hurry: CancellationToken::new(),
            streams,
            catalog_reads: Arc::new(Semaphore::new(CATALOG_READS)),
            watchers,
            members: sessions::Members::default(),
            quota: quota::Quota::new(parts.pinned_per_uid),
            meters: parts.meters,
        })))
    }

    /// Sets going what runs by itself, and finishes what recovery has handed over: `leftovers` are blocks that nobody
    /// names any more.
    pub fn start(&self, leftovers: Vec<Retired>) {
        self.free_held(leftovers);
        let engine = self.clone();
        self.0.tasks.spawn("reaper", async move { engine.reap().await });
        let engine = self.clone();
        self.0.tasks.spawn("retention", async move { engine.keep_young().await });
        let engine = self.clone();
        self.0.tasks.spawn("archivist", async move { engine.keep_archives().await });
        let engine = self.clone();
        self.0.tasks.spawn("logs", async move { engine.keep_logs().await });
        let engine = self.clone();
        self.0.tasks.spawn("evictor", async move { engine.evict().await });
        let engine = self.clone();
        self.0.tasks.spawn("leftovers", async move { engine.free_what_is_left().await });
        let engine = self.clone();
        self.0.tasks.spawn("compaction", async move { engine.compact().await });
        let engine = self.clone();
        self.0.tasks.spawn("cards", async move { engine.watch_cards().await });
    }

    /// Every task of the daemon.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Ends the copies that are still under way: nothing of them is left, and their sources stay.
    pub fn hurry(&self) {
        self.0.hurry.cancel();
    }

    /// What is told as it happens.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ledger().stats()
    }

    /// How a client opens a block.
    #[must_use]
    pub fn location(&self, id: PayloadId, tier: Tier, place: Place) -> Option<Location> {
        self.0.tiers.get(tier.index())?.as_ref().map(|t| t.location(id, place))
    }

    /// Whether the catalog takes changes.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.0.gate.catalog().healthy()
    }

    fn ledger(&self) -> watching::Held<'_> {
        watching::Held { ledger: self.0.ledger.lock(), engine: self }
    }

    fn now(&self) -> Now {
        Now { wall: self.0.clock.wall(), monotonic: self.0.clock.monotonic_ms() }
    }

    fn tier(&self, tier: Tier) -> Result<Arc<dyn TierStore>, Error> {
        let store = self.0.tiers.get(tier.index()).and_then(Option::as_ref);
        store.cloned().ok_or_else(|| payload_manager_core::Refusal::NotConfigured { tier }.into())
    }

    /// Runs what changes state to its end, whatever becomes of the caller.
    ///
    /// # Errors
    /// What `work` fails with.
    pub async fn detached<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let mut work = Box::pin(work);
        // What need not wait is done here and now, and costs no change of threads; nobody can hang up in between.
        if let Poll::Ready(done) = futures_util::poll!(work.as_mut()) {
            return done;
        }
        let (sender, receiver) = oneshot::channel();
        // A caller who hung up does not want the answer.
        let work = async move { drop(sender.send(work.await)) };
        self.0.tasks.spawn(name, Span::current().around(work));
        receiver.await.unwrap_or(Err(Error::ShuttingDown))
    }

    /// Reads the catalog on a thread that may block, after everything that was answered before; what may take long, and
    /// waits for its turn.
    async fn read_catalog<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let leave = Arc::clone(&self.0.catalog_reads).acquire_owned().await.map_err(|_| Error::ShuttingDown)?;
        self.look_up(move |reader| {
            let found = read(reader);
            // Not before: the thread goes on when its caller has hung up.
            drop(leave);
            found
        })
        .await
    }

    /// The same for what is short.
    async fn look_up<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let catalog = Arc::clone(self.0.gate.catalog());
        blocking(move || Ok(catalog.read(read)?)).await
    }

    /// Frees blocks that nobody names, and says so when it is done. Nobody waits for it.
    fn free_blocks(&self, blocks: Vec<Retired>) {
        if blocks.is_empty() {
            return;
        }
        let engine = self.clone();
        self.0.tasks.spawn_blocking("free", move || {
            for block in &blocks {
                engine.free_block(block);
            }
        });
    }

    /// Whether the bytes are gone.
    fn free_block(&self, block: &Retired) -> bool {
        crate::failpoint::hit("before-free");
        let mut block = *block;
        if block.place.unit != 0 {
            self.ledger().forget_record(&mut block);
        }
        let freed = self.tier(block.tier).and_then(|store| Ok(store.free(block.id, block.place)?));
        if let Err(error) = freed {
            // The budget stays taken, for the bytes are there.
            if block.tier.is_durable() {
                self.0.unfreed.add(block, &error);
                self.0.changed.notify_waiters();
            } else {
                tracing::error!(payload = %block.id, tier = %block.tier, %error, "a block could not be freed; restart the daemon once the cause is gone");
            }
            return false;
        }
        self.ledger().freed(&block);
        self.0.changed.notify_waiters();
        true
    }
}

/// Runs what blocks on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => Err(Error::ShuttingDown),
        Err(_) => Err(Error::Bug("a worker panicked".into())),
    }
}
