//! Puts the daemon together: the only file that knows every concrete type.
//!
//! The order is the one that makes a start safe: folders, locks, ids, shared pages, catalog, recovery, and only then the
//! sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use payload_manager_catalog::{Catalog, CatalogError, Change, Durability, Reader, Store, StoreError};
use payload_manager_core::facts::Facts;
use payload_manager_core::ledger::{Limits, UNLIMITED, Watermarks};
use payload_manager_shm::{FolderLock, LockError};
use payload_manager_tiers::{
    CgroupGauge, DiskOptions, DiskTier, Found, GpuTier, Notes, ObjectTier, RamTier, Segments, TierError, TierStore,
};
use payload_manager_types::{InstanceId, PayloadId, Tier, UnixMillis};

use crate::archive::ArchiveWriter;
use crate::bucket::{self, Bucket};
use crate::cards;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DirectIo, FolderError};
use crate::engine::recovery::{Recovered, Remains, recover};
use crate::engine::{Engine, Error, Gate, Parts};
use crate::failpoint;
use crate::grpc::serve::{ListenError, Listeners};
use crate::inherited::Inherited;
use crate::instance::{self, InstanceError};
use crate::observe::{Observatory, PageError};
use crate::pages::{self, PagesError, Sizes};
use crate::session::SessionSocket;
use crate::shutdown::{Drained, Tasks};

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Another daemon has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its belongings do not fit together.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// Shared memory can't be used.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// A tier can't be used.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// The catalog can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog can't be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The object store's prefix is not this daemon's.
    #[error("object-store: {0}")]
    Bucket(String),
    /// Recovery failed.
    #[error("recovery: {0}")]
    Recovery(#[from] Error),
    /// It can't listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Metrics can't be served.
    #[error(transparent)]
    Metrics(#[from] PageError),
}

impl StartError {
    /// Whether the daemon refused, rather than failed: somebody has to decide something first.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Lock(LockError::Held { .. })
            | Self::Pages(PagesError::Open(_) | PagesError::Owner(_))
            | Self::Bucket(_) => true,
            Self::Instance(error) => error.is_refusal(),
            _ => false,
        }
    }
}

/// How long a start waits for the object store. One that is out of reach is no reason not to serve.
const STORE_GRACE: Duration = Duration::from_secs(3);

/// What copies that are told to end may still take.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// A daemon that serves.
pub struct App {
    engine: Engine,
    catalog: Arc<Catalog>,
    socket: PathBuf,
    /// Those of the sockets that this process has made.
    own_sockets: Vec<PathBuf>,
    tcp: Option<SocketAddr>,
    observatory: Observatory,
    metrics_tcp: Option<SocketAddr>,
    grace: Duration,
    /// Held for life; last, so that they are given back when everything else is gone.
    _locks: Vec<FolderLock>,
}

impl App {
    /// Starts a daemon, recovering what the last one left.
    ///
    /// # Errors
    /// [`StartError`]; nothing of what was there is changed by one that is a refusal.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Inherited::default()).await
    }

    /// The same, with sockets that are open already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(config: Config, mut inherited: Inherited) -> Result<Self, StartError> {
        let locks = take_folders(&config)?;
        let root = config.disk_root.path.clone();
        let disk = DiskTier::open(&root, disk_options(&config))?;
        let ram = RamTier::new(config.shm_prefix.clone(), Arc::new(CgroupGauge::default()));
        let store = instance::claim(&config.data_dir.path, &root, config.fresh)?;
        let options = bucket::options(config.object_lz4);
        let bucket = config.object_store.clone().map(|at| ObjectTier::open(at, options)).transpose()?;
        let segments = Segments::of(&ram, &instance::base_name(&config.shm_prefix, store.instance()));
        let ram = ram.with_segments(segments.clone());
        let memfds = ram.memfds().clone();
        let gpu = cards::open(&config);
        let limits = limits(&config, gpu.as_ref());
        let Revived { recovered, clock, bucket } = revive(&config, limits, &store, &ram, &disk, bucket)?;
        let catalog = Arc::new(Catalog::start(Box::new(store), crate::engine::gate::IN_FLIGHT * 2)?);
        write_down(&catalog, recovered.changes)?;
        failpoint::hit("start-written");
        let disk = Arc::new(disk);
        let bucket = bucket.map(Arc::new);
        let of_bucket = bucket.clone().map(|bucket| bucket as Arc<dyn Notes>);
        let mut observatory = Observatory::open(&config).await?;
        let engine = Engine::new(Parts {
            ledger: recovered.ledger,
            tiers: [
                gpu.clone().map(|gpu| Arc::new(gpu) as Arc<dyn TierStore>),
                Some(Arc::new(ram) as Arc<dyn TierStore>),
                Some(Arc::clone(&disk) as _),
                bucket.map(|bucket| bucket as _),
            ],
            notes: std::iter::once(disk as Arc<dyn Notes>).chain(of_bucket).collect(),
            segments,
            memfds,
            gpu,
            gpu_eager_copy: config.gpu_eager_copy,
            gate: Gate::new(Arc::clone(&catalog)),
            clock,
            archive: ArchiveWriter,
            tasks: Tasks::new(),
            transfers: config.transfers,
            allocation_timeout_ms: millis(config.allocation_timeout),
            pinned_per_uid: config.pinned_per_uid,
            meters: observatory.meters(),
        })?;
        let listeners = Listeners::bind(&config.runtime_dir.path, config.listen, &mut inherited).await?;
        let sessions = SessionSocket::bind(&config.runtime_dir.path, &mut inherited)?;
        inherited.close_the_rest();
        let own_sockets = listeners.own().into_iter().chain(sessions.own()).collect();
        let (socket, tcp) = (listeners.socket().to_owned(), listeners.tcp());
        engine.start(recovered.free);
        sessions.serve(&engine, config.peers.clone(), config.sessions_per_uid)?;
        listeners.serve(&engine, config.peers.clone()).await?;
        let metrics_tcp = observatory.tcp();
        observatory.watch(&engine);
        let grace = config.shutdown_grace;
        Ok(Self { engine, catalog, socket, own_sockets, tcp, observatory, metrics_tcp, grace, _locks: locks })
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where it is served over TCP, too.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Where metrics are served over TCP.
    #[must_use]
    pub fn metrics_tcp(&self) -> Option<SocketAddr> {
        self.metrics_tcp
    }

    /// Ready when something inside has failed so badly that the daemon must end.
    pub async fn failed(&self) {
        self.engine.tasks().stopping().await;
    }

    /// Stops: takes no more calls, lets what is under way finish within the grace, writes what is queued. RAM payloads
    /// stay for the next start.
    pub async fn stop(self) -> Drained {
        let mut drained = self.engine.tasks().drain(self.grace).await;
        if drained.left > 0 {
            self.engine.hurry();
            drained = self.engine.tasks().drain(LAST_GRACE).await;
        }
        // A start or a wipe may come at once: a socket without a daemon would mislead clients.
        for socket in &self.own_sockets {
            if let Err(error) = std::fs::remove_file(socket) {
                tracing::debug!(%error, "the socket was gone already");
            }
        }
        let (catalog, observatory) = (Arc::clone(&self.catalog), self.observatory);
        observatory.close().await;
        drop(self.engine);
        if tokio::task::spawn_blocking(move || catalog.stop()).await.is_err() {
            tracing::error!("the catalog could not be stopped in order");
        }
        drained
    }
}

fn disk_options(config: &Config) -> DiskOptions {
    let direct_io_min = match config.direct_io {
        DirectIo::Auto => config.direct_io_min,
        DirectIo::Off => u64::MAX,
    };
    DiskOptions { direct_io_min }
}

/// Sees whose the prefix is, and says what is wrong with the store. Before there is anything in shared memory: a daemon that
/// is refused leaves nothing there.
fn introduce(
    config: &Config,
    instance: InstanceId,
    rows: &[Facts],
    tier: Option<ObjectTier>,
) -> Result<Option<Bucket>, StartError> {
    let knows_objects = rows.iter().any(|row| row.copies.contains(Tier::Object));
    let Some(tier) = tier else {
        if knows_objects {
            tracing::error!(
                "the catalog knows copies in OBJECT, and object-store is off: they can't be read until it is on"
            );
        }
        return Ok(None);
    };
    let bucket = Bucket::new(tier, instance, knows_objects && !config.fresh);
    let (asked, (sender, answer)) = (bucket.clone(), std::sync::mpsc::channel());
    // It goes on by itself if the store takes its time.
    std::thread::spawn(move || sender.send(asked.claim()));
    match answer.recv_timeout(STORE_GRACE) {
        Ok(Ok(())) => tracing::info!("the object store answers"),
        Ok(Err(error @ TierError::Unavailable { .. })) => {
            tracing::warn!(%error, "serving without the object store until it answers");
        }
        Ok(Err(TierError::Io { source, .. })) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StartError::Bucket(source.to_string()));
        }
        Ok(Err(error)) => tracing::error!(%error, "the object store can't be used until this is put right"),
        Err(_) => tracing::warn!("serving without the object store: it has not answered within 3 s"),
    }
    Ok(Some(bucket))
}

/// Takes the folders of the daemon, which nobody else may have meanwhile.
pub(crate) fn take_folders(config: &Config) -> Result<Vec<FolderLock>, StartError> {
    let uid = nix::unistd::geteuid().as_raw();
    let folders = [&config.data_dir, &config.runtime_dir, &config.disk_root];
    folders.iter().try_for_each(|folder| folder.prepare(uid))?;
    let data = FolderLock::take(&config.data_dir.path)?;
    let runtime = (config.runtime_dir.path != config.data_dir.path)
        .then(|| FolderLock::take(&config.runtime_dir.path))
        .transpose()?;
    Ok([Some(data), runtime].into_iter().flatten().collect())
}

/// What was left behind, taken up.
struct Revived {
    recovered: Recovered,
    clock: Arc<dyn Clock>,
    bucket: Option<Bucket>,
}

/// Reads everything that was left behind and makes a ledger of it.
fn revive(
    config: &Config,
    limits: Limits,
    store: &dyn Store,
    ram: &RamTier,
    disk: &DiskTier,
    store_of_objects: Option<ObjectTier>,
) -> Result<Revived, StartError> {
    let instance = store.instance();
    if config.fresh {
        let dropped = pages::drop_all(&config.shm_prefix, instance, ram)?;
        tracing::warn!(blocks = dropped, "started fresh: what only RAM held is dropped");
    } else {
        instance::check_prefix(&config.shm_prefix, instance)?;
    }
    let mut reader = store.reader()?;
    let Read { rows, files, objects } = read_all(&mut *reader, ram, disk)?;
    let bucket = introduce(config, instance, &rows, store_of_objects)?;
    let newest = rows.iter().map(|row| row.created).max().unwrap_or_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::not_before(within_reason(newest)));
    let sizes =
        Sizes { max_payloads: config.max_payloads, max_leases: config.max_leases, lease_max_ms: limits.lease_max_ms };
    let (pages, lost) = pages::open(&config.shm_prefix, instance, sizes, clock.monotonic_ms())?;
    failpoint::hit("start-pages-open");
    if lost && !rows.is_empty() {
        tracing::warn!("the shared pages of the last run are gone; what only RAM held is lost");
    }
    let doomed = reader.doomed()?;
    let remains = Remains { pages, rows, doomed, ram: ram.clone(), objects, disk: disk.clone(), files };
    let recovered = recover(remains, limits)?;
    failpoint::hit("start-recovered");
    tracing::info!(%instance, report = ?recovered.report, "recovered");
    Ok(Revived { recovered, clock, bucket })
}

/// What a start has to compare.
struct Read {
    rows: Vec<Facts>,
    files: Vec<Found>,
    objects: HashMap<PayloadId, u64>,
}

/// Every row, every file, every object. With many of them these are what a start takes longest for, so they are read side
/// by side; none changes anything.
fn read_all(reader: &mut dyn Reader, ram: &RamTier, disk: &DiskTier) -> Result<Read, StartError> {
    std::thread::scope(|scope| {
        let (files, objects) = (scope.spawn(|| disk.survey()), scope.spawn(|| ram.survey()));
        let mut rows = Vec::new();
        let read = reader.payloads(&mut |row| rows.push(row));
        let files = files.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let objects = objects.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read?;
        Ok(Read { rows, files: files?, objects: objects? })
    })
}

/// The newest date in the catalog, unless it is so far ahead that some clock must have been wrong.
fn within_reason(newest: UnixMillis) -> UnixMillis {
    const DAY_MS: u64 = 24 * 3600 * 1000;
    let now = SystemClock::default().wall();
    newest.min(UnixMillis(now.0 + DAY_MS))
}

/// What recovery found out is written before anybody is served; all of it in as few transactions as can be.
fn write_down(catalog: &Catalog, changes: Vec<Change>) -> Result<(), CatalogError> {
    let (sender, answers) = std::sync::mpsc::channel();
    for change in changes {
        let sender = sender.clone();
        catalog.submit(change, Durability::Synced, Box::new(move |answer| drop(sender.send(answer))));
    }
    drop(sender);
    answers.into_iter().try_for_each(|answer| answer.map(drop))
}

fn limits(config: &Config, gpu: Option<&GpuTier>) -> Limits {
    let mut capacity = [None; 4];
    let object = config.object_store.as_ref().map(|_| UNLIMITED);
    for (tier, bytes) in [
        (Tier::Gpu, gpu.map(GpuTier::capacity)),
        (Tier::Ram, Some(config.ram.bytes)),
        (Tier::Disk, Some(config.disk.bytes)),
        (Tier::Object, object),
    ] {
        if let Some(slot) = capacity.get_mut(tier.index()) {
            *slot = bytes;
        }
    }
    Limits {
        capacity,
        max_payload: config.max_payload,
        max_payloads: u64::from(config.max_payloads),
        lease_default_ms: millis(config.lease_default),
        lease_max_ms: millis(config.lease_max),
        watermarks: Watermarks { high: config.high_watermark, low: config.low_watermark },
        page: page_size(),
    }
}

/// What shared memory is given out in, in bytes.
fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
