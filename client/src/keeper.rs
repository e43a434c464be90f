//! What a client does behind its caller's back: gives back what was dropped, and renews leases at half their life.
//!
//! One task a client. What is dropped goes through a queue with a bound, because `Drop` can't wait: what finds it full
//! is left to the daemon, which takes leases back when they run out and allocations when they were never committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use payload_manager_api::runtime::v1;
use payload_manager_shm::ProcessMark;
use payload_manager_types::{LeaseId, PayloadId};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::error::{Code, Error};
use crate::lease::{Lease, Term};
use crate::rpc::Rpc;
use crate::session::{Asking, OwnSessions};

/// Chores that wait at most.
const QUEUE: usize = 4096;
/// Calls under way at once.
const CALLS: usize = 16;
/// How long a call may take: one that hangs must not keep the others from their turn.
const CALL: Duration = Duration::from_secs(5);
/// Between two attempts to renew a lease while the daemon is out of reach.
const RETRY: Duration = Duration::from_millis(100);

/// Something to be done for what is gone.
#[derive(Debug)]
pub(crate) enum Chore {
    /// Give this lease back.
    Release(LeaseId),
    /// Delete what was allocated and never committed, by the session if that allocated it.
    Abort { id: PayloadId, by_session: bool },
    /// Answer when everything before this is done.
    Flush(oneshot::Sender<()>),
}

/// The way to the task, which ends when the last of these is dropped and its chores are done.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    chores: mpsc::Sender<Chore>,
    due: Arc<Due>,
    /// A child has no task, and must not wait for locks that nobody gives up.
    mark: Arc<ProcessMark>,
}

/// Leases by the time of their renewal.
#[derive(Debug, Default)]
struct Due {
    leases: Mutex<BTreeMap<(Instant, LeaseId), Weak<Lease>>>,
    sooner: Notify,
}

impl Keeper {
    /// Starts the task on the current runtime.
    pub(crate) fn start(rpc: Rpc, sessions: Weak<OwnSessions>) -> Self {
        let (chores, queue) = mpsc::channel(QUEUE);
        let due = Arc::new(Due::default());
        let (rpc, mark) = (rpc.with_deadline(Some(CALL)), Arc::clone(rpc.mark()));
        tokio::spawn(Task { rpc, sessions, due: due.clone(), calls: JoinSet::new() }.run(queue));
        Self { chores, due, mark }
    }

    /// Whether this is the process that its leases belong to.
    pub(crate) fn is_ours(&self) -> bool {
        self.mark.is_ours()
    }

    /// Leaves a chore to the task; never waits.
    pub(crate) fn leave(&self, chore: Chore) {
        if !self.mark.is_ours() {
            return;
        }
        if let Err(error) = self.chores.try_send(chore) {
            warn!(%error, "left to the daemon to clean up");
        }
    }

    /// Keeps `lease` alive until it is dropped.
    pub(crate) fn renew(&self, lease: &Arc<Lease>) {
        self.due.insert(lease.half_life(), lease);
    }

    /// Keeps it no longer.
    pub(crate) fn forget(&self, lease: &Lease) {
        if self.mark.is_ours() {
            self.due.leases.lock().remove(&(lease.due(), lease.id()));
        }
    }

    /// Returns when all that was left before is done, or was tried.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if !self.mark.is_ours() {
            return;
        }
        if self.chores.send(Chore::Flush(done)).await.is_ok() {
            // An error means that the task is gone, and its chores with it.
            let _ = wait.await;
        }
    }
}

impl Due {
    fn insert(&self, at: Instant, lease: &Arc<Lease>) {
        lease.set_due(at);
        let (key, mut leases) = ((at, lease.id()), self.leases.lock());
        leases.insert(key, Arc::downgrade(lease));
        if leases.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.sooner.notify_one();
        }
    }

    fn next(&self) -> Option<Instant> {
        self.leases.lock().first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out one lease whose time has come.
    fn take(&self, now: Instant) -> Option<Arc<Lease>> {
        let mut leases = self.leases.lock();
        while let Some(first) = leases.first_entry().filter(|first| first.key().0 <= now) {
            // What is being dropped right now can't be had any more; its drop finds nothing left to remove.
            if let Some(lease) = first.remove().upgrade() {
                return Some(lease);
            }
        }
        None
    }
}

struct Task {
    rpc: Rpc,
    sessions: Weak<OwnSessions>,
    due: Arc<Due>,
    calls: JoinSet<()>,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Chore>) {
        loop {
            while self.calls.len() < CALLS
                && let Some(lease) = self.due.take(Instant::now())
            {
                self.calls.spawn(renew(self.rpc.clone(), self.due.clone(), lease));
            }
            let room = self.calls.len() < CALLS;
            tokio::select! {
                chore = queue.recv(), if room => match chore {
                    Some(chore) => self.start(chore).await,
                    None => break,
                },
                Some(_) = self.calls.join_next() => {}
                () = until(self.due.next()), if room => {}
                () = self.due.sooner.notified() => {}
            }
        }
        self.settle().await;
    }

    async fn start(&mut self, chore: Chore) {
        match chore {
            Chore::Release(lease) => drop(self.calls.spawn(release(self.rpc.clone(), lease))),
            Chore::Abort { id, by_session } => {
                let sessions = self.sessions.upgrade().filter(|_| by_session);
                self.calls.spawn(abort(self.rpc.clone(), sessions, id));
            }
            Chore::Flush(done) => {
                self.settle().await;
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
    }

    async fn settle(&mut self) {
        while self.calls.join_next().await.is_some() {}
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Gives a lease back. That it fails is no loss: the lease runs out.
pub(crate) async fn release(rpc: Rpc, lease: LeaseId) {
    if let Err(error) = try_release(&rpc, lease).await {
        debug!(%lease, %error, "a lease could not be given back and will run out");
    }
}

pub(crate) async fn try_release(rpc: &Rpc, lease: LeaseId) -> Result<(), Error> {
    let request = rpc.request(v1::ReleaseLeaseRequest { lease_id: Some(lease.into()) });
    rpc.outcome(rpc.data().release_lease(request)).await
}

async fn abort(rpc: Rpc, sessions: Option<Arc<OwnSessions>>, id: PayloadId) {
    if let Err(error) = give_up(&rpc, sessions.as_ref().map(|sessions| sessions.asking(rpc.trace())), id).await {
        debug!(%id, %error, "an allocation could not be deleted and will be reclaimed");
    }
}

/// Deletes an allocation; that it is gone already is as good.
pub(crate) async fn give_up(rpc: &Rpc, sessions: Option<Asking<'_>>, id: PayloadId) -> Result<(), Error> {
    if let Some(sessions) = sessions {
        let by_session = async { sessions.abort(id).await.transpose() };
        // Whatever the session says against it, the call decides.
        if let Ok(Some(())) = rpc.in_own_time(by_session).await {
            return Ok(());
        }
    }
    let request = rpc.request(v1::DeleteRequest { id: Some(id.into()), force: false });
    match rpc.outcome(rpc.catalog().delete(request)).await {
        Err(error) if error.code() == Some(Code::NotFound) => Ok(()),
        done => done,
    }
}

/// Renews a lease once, and sees to the next time. Gives up early enough to try again while the lease holds.
async fn renew(rpc: Rpc, due: Arc<Due>, lease: Arc<Lease>) {
    let rpc = rpc.with_deadline(Some((lease.left() / 4).clamp(RETRY, CALL)));
    match try_renew(&rpc, &lease).await {
        // Dropped while it was being renewed.
        _ if lease.is_over() => {}
        Ok(()) => due.insert(lease.half_life(), &lease),
        Err(error) if error.is_retryable() && lease.is_valid() => due.insert(Instant::now() + RETRY, &lease),
        Err(error) => debug!(lease = %lease.id(), %error, "a lease is over"),
    }
}

/// Asks for more time. When the daemon says that the lease is over, so it is.
pub(crate) async fn try_renew(rpc: &Rpc, lease: &Lease) -> Result<(), Error> {
    let request = rpc.request(v1::RenewLeaseRequest {
        lease_id: Some(lease.id().into()),
        min_lease_duration_ms: millis(lease.asked()),
    });
    match rpc.outcome(rpc.data().renew_lease(request)).await {
        Ok(answer) => lease.extend(Term::until(answer.lease_expires_at)?),
        Err(error) => {
            if error.code() == Some(Code::NotFound) {
                lease.end();
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Whole milliseconds, at least 1 for what is not zero.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
