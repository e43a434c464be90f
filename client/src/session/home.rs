//! One process's share of a client: its session if it has one, and how a forked child comes to its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use payload_manager_shm::{LeaseTable, ProcessMark};
use tokio::sync::watch;

use super::bell::Bell;
use super::hello::NoSession;
use super::life::Core;
use super::path::DataPath;
use super::segments::{Mapped, Mapping};
use super::thread;
use super::wire::Wire;

/// The lease page of a session.
pub(super) type Table = LeaseTable<Arc<Core>>;

/// Threads share no written cache line when they take leases, while they are no more than this.
const SEATS: usize = 16;

/// Segments at hand on a seat.
const MOST_SEATED: usize = 256;

/// A daemon that had no session to give is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// A process's own.
#[derive(Debug)]
pub(super) struct Home {
    shared: Arc<Shared>,
    /// In a child: what is the child's.
    child: OnceLock<Option<Box<Home>>>,
}

/// What a home shares with its thread.
#[derive(Debug)]
pub(super) struct Shared {
    /// Where the daemon listens for sessions.
    pub(super) socket: Option<PathBuf>,
    pub(super) mark: Arc<ProcessMark>,
    seats: Vec<Seat>,
    wire: Mutex<Option<Arc<Wire>>>,
    status: watch::Sender<Status>,
    /// The client's own; none before there is a thread, and after the client is gone.
    tie: Mutex<Option<Arc<Tie>>>,
    left: AtomicBool,
}

/// The same for each, read far more often than written.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Seat(RwLock<Option<Seated>>);

/// What a thread needs to read without asking.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) table: Table,
    /// By number: there are a few, mostly.
    segments: Vec<(u32, Arc<Mapping>)>,
}

impl Seated {
    /// A segment that somebody on this seat has read from.
    #[inline]
    pub(super) fn segment(&self, id: u32) -> Option<&Arc<Mapping>> {
        self.segments.get(self.place_of(id).ok()?).map(|(_, mapping)| mapping)
    }

    #[inline]
    fn place_of(&self, id: u32) -> std::result::Result<usize, usize> {
        self.segments.binary_search_by_key(&id, |(there, _)| *there)
    }

    /// Has it at hand from now on; or what was at hand already.
    fn keep(&mut self, id: u32, mapping: Arc<Mapping>) -> Arc<Mapping> {
        if self.segments.len() >= MOST_SEATED {
            self.segments.clear();
        }
        match self.place_of(id) {
            Ok(_) => self.segment(id).map_or(mapping, Arc::clone),
            Err(place) => {
                self.segments.insert(place, (id, Arc::clone(&mapping)));
                mapping
            }
        }
    }
}

#[derive(Debug)]
enum Status {
    NotTried,
    Starting,
    Up,
    /// No session. `since`: nobody tries to get one.
    Down {
        why: String,
        since: Option<Instant>,
    },
}

/// Held by whoever needs the session's thread; the last one tells it to end.
#[derive(Debug)]
pub(super) struct Tie {
    pub(super) bell: Arc<Bell>,
    mark: Arc<ProcessMark>,
}

impl Drop for Tie {
    fn drop(&mut self) {
        // A child has no part in its parent's session.
        if self.mark.is_ours() {
            self.bell.stop();
        }
    }
}

impl Home {
    pub(super) fn new(socket: Option<PathBuf>, mark: Arc<ProcessMark>) -> Self {
        let shared = Shared {
            socket,
            mark,
            seats: (0..SEATS).map(|_| Seat::default()).collect(),
            wire: Mutex::default(),
            status: watch::Sender::new(Status::NotTried),
            tie: Mutex::default(),
            left: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), child: OnceLock::new() }
    }

    #[inline]
    pub(super) fn is_ours(&self) -> bool {
        self.shared.mark.is_ours()
    }

    /// That of the child that this process is. `None` where it can't be marked.
    pub(super) fn child(&self) -> Option<&Self> {
        let born = || Some(Box::new(Self::new(self.shared.socket.clone(), Arc::new(ProcessMark::new().ok()?))));
        self.child.get_or_init(born).as_deref()
    }

    /// This process's, if it has one.
    pub(super) fn last_own(&self) -> Option<&Self> {
        let mut home = self;
        while !home.is_ours() {
            home = home.child.get()?.as_deref()?;
        }
        Some(home)
    }

    #[inline]
    fn seat(&self) -> Option<&Seat> {
        self.shared.seats.get(SEAT.try_with(|seat| *seat).unwrap_or_default())
    }

    /// Does `work` with the session's table and the mappings at hand, if there is a session.
    #[inline]
    pub(super) fn with_seat<T>(&self, work: impl FnOnce(&Seated) -> T) -> Option<T> {
        self.seat()?.0.read().as_ref().map(work)
    }

    /// The session as it is now.
    pub(super) fn core(&self) -> Option<Arc<Core>> {
        self.with_seat(|seat| Arc::clone(seat.table.kept()))
    }

    /// Has a segment at hand on this seat from now on, while `core` is the session.
    pub(super) fn seat_segment(&self, core: &Arc<Core>, id: u32, mapped: &Mapped) -> Arc<Mapping> {
        let mapping = mapped.seated();
        if let Some(seat) = self.seat()
            && let Some(seated) = &mut *seat.0.write()
            && Arc::ptr_eq(seated.table.kept(), core)
        {
            return seated.keep(id, mapping);
        }
        mapping
    }

    /// Has no segment at hand any more: those that no view is in can be unmapped.
    pub(super) fn unseat_segments(&self) {
        self.shared.clear_segments();
    }

    /// The connection, if there is one right now.
    pub(super) fn wire(&self) -> Option<Arc<Wire>> {
        self.shared.wire.lock().clone()
    }

    pub(super) fn mark(&self) -> &Arc<ProcessMark> {
        &self.shared.mark
    }

    /// Starts the session if that was not tried, and waits until it was.
    pub(super) async fn open(&self) {
        if matches!(*self.shared.status.borrow(), Status::Up) {
            return;
        }
        if self.shared.begin() {
            thread::start(&self.shared);
        }
        let mut status = self.shared.status.subscribe();
        // The sender is ours, so that it does not go meanwhile.
        let _ = status.wait_for(|status| !matches!(status, Status::Starting)).await;
    }

    /// Waits until there is a connection, or no session to have one; which of the two.
    pub(super) async fn is_connected(&self) -> bool {
        let mut status = self.shared.status.subscribe();
        let is_there = || self.wire().is_some_and(|wire| !wire.is_over());
        // The sender is ours, so that it does not go meanwhile.
        let _ = status.wait_for(|status| !matches!(status, Status::Up | Status::Starting) || is_there()).await;
        is_there()
    }

    pub(super) async fn path(&self) -> DataPath {
        self.open().await;
        match &*self.shared.status.borrow() {
            Status::Up => DataPath::Session,
            Status::Down { why, .. } => DataPath::Calls { why: why.clone() },
            Status::NotTried | Status::Starting => DataPath::Calls { why: "the session is not up yet".to_owned() },
        }
    }

    /// The client is gone. Its views keep the session, if there are any.
    pub(super) fn leave(&self) {
        self.shared.left.store(true, Ordering::SeqCst);
        self.shared.seat(None);
        drop(self.shared.tie.lock().take());
    }
}

thread_local! {
    static SEAT: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SEATS
    };
}

impl Shared {
    /// Whether the session is to be started, by the caller.
    fn begin(&self) -> bool {
        self.status.send_if_modified(|status| {
            let now = match status {
                Status::NotTried => true,
                Status::Down { since: Some(since), .. } => since.elapsed() >= ASK_AGAIN,
                Status::Down { since: None, .. } | Status::Starting | Status::Up => false,
            };
            if now {
                *status = Status::Starting;
            }
            now
        })
    }

    /// A tie for a thread that is about to start.
    pub(super) fn tie(&self, bell: Bell) -> Arc<Tie> {
        let tie = Arc::new(Tie { bell: Arc::new(bell), mark: Arc::clone(&self.mark) });
        *self.tie.lock() = Some(Arc::clone(&tie));
        tie
    }

    /// Puts a table in place of the one before; not once the client is gone.
    pub(super) fn seat(&self, table: Option<&Table>) {
        for seat in &self.seats {
            let table = table.filter(|_| !self.has_left()).cloned();
            let seated = table.map(|table| Seated { table, segments: Vec::new() });
            // What was there is dropped when nobody is kept waiting by that.
            let before = std::mem::replace(&mut *seat.0.write(), seated);
            drop(before);
        }
        if table.is_some() && self.has_left() {
            self.seat(None);
        }
    }

    /// Has no segment at hand on any seat.
    pub(super) fn clear_segments(&self) {
        for seat in &self.seats {
            let before = seat.0.write().as_mut().map(|seated| std::mem::take(&mut seated.segments));
            drop(before);
        }
    }

    pub(super) fn connect(&self, wire: Option<&Arc<Wire>>) {
        let before = std::mem::replace(&mut *self.wire.lock(), wire.cloned());
        if let Some(before) = before {
            before.hang_up();
        }
    }

    pub(super) fn up(&self) {
        self.status.send_replace(Status::Up);
    }

    /// There is no session. `for_good`: and the thread is not going to try again.
    pub(super) fn down(&self, why: &NoSession, for_good: bool) {
        let since = for_good.then(Instant::now);
        self.status.send_replace(Status::Down { why: why.to_string(), since });
    }

    /// The thread has ended. If that was before it came to anything, it was not in order.
    pub(super) fn ended(&self) {
        let why = || Status::Down { why: "the session's thread failed".to_owned(), since: Some(Instant::now()) };
        self.status.send_if_modified(|status| {
            let starting = matches!(status, Status::Starting);
            if starting {
                *status = why();
            }
            starting
        });
    }

    /// Whether the client is gone.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }
}
