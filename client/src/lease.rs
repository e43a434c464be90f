//! One lease: its end, and giving it back when it is dropped. Who renews it is not said here (`keeper`).

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use payload_manager_api::Timestamp;
use payload_manager_types::{LeaseId, UnixMillis};

use crate::error::{Error, Result};
use crate::keeper::{Chore, Keeper};

/// Between two renewals at least, however short the leases are.
const SHORTEST: Duration = Duration::from_millis(20);

/// Whoever holds a lease; it is given back on drop, in the background, even while a renewal of it is under way.
#[derive(Debug)]
pub(crate) struct Holder {
    lease: Arc<Lease>,
    keeper: Keeper,
}

/// A lease and what this process knows of it.
#[derive(Debug)]
pub(crate) struct Lease {
    id: LeaseId,
    /// What was asked for, and is asked for again at every renewal; zero is the daemon's default.
    asked: Duration,
    term: Mutex<Term>,
    /// Under which time the keeper has it.
    due: Mutex<Instant>,
}

/// How long a lease holds, by this process's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term {
    /// When it was last told.
    since: Instant,
    /// When it ends.
    end: Instant,
    /// The daemon says that it is over, or it was given back.
    over: bool,
}

impl Term {
    /// A term that ends at `end` by the wall clock, both read now. A clock that steps between daemon and here moves it.
    pub(crate) fn until(end: Option<Timestamp>) -> Result<Self> {
        let end = end.ok_or_else(|| Error::bad("a lease without an end"))?;
        let UnixMillis(end) = UnixMillis::try_from(end).map_err(|e| Error::bad(e.to_string()))?;
        let (since, now) = (Instant::now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH));
        let left = Duration::from_millis(end).saturating_sub(now.unwrap_or_default());
        Ok(Self { since, end: since.checked_add(left).unwrap_or(since), over: false })
    }

    /// When to renew it: half its life after it was told, but never in a frenzy.
    fn half(&self) -> Instant {
        self.since + (self.end.saturating_duration_since(self.since) / 2).max(SHORTEST)
    }

    fn holds(&self, now: Instant) -> bool {
        !self.over && now < self.end
    }
}

impl Lease {
    pub(crate) fn new(id: LeaseId, asked: Duration, term: Term) -> Self {
        Self { id, asked, term: Mutex::new(term), due: Mutex::new(term.since) }
    }

    pub(crate) fn id(&self) -> LeaseId {
        self.id
    }

    pub(crate) fn asked(&self) -> Duration {
        self.asked
    }

    /// Whether it is over for good.
    pub(crate) fn is_over(&self) -> bool {
        self.term.lock().over
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.term.lock().holds(Instant::now())
    }

    /// How long it holds from now; zero when it is over.
    pub(crate) fn left(&self) -> Duration {
        let (term, now) = (*self.term.lock(), Instant::now());
        if term.holds(now) { term.end - now } else { Duration::ZERO }
    }

    /// When to renew it.
    pub(crate) fn half_life(&self) -> Instant {
        self.term.lock().half()
    }

    pub(crate) fn due(&self) -> Instant {
        *self.due.lock()
    }

    pub(crate) fn set_due(&self, at: Instant) {
        *self.due.lock() = at;
    }

    /// The daemon gave it more time. A shorter end than before is the truth too.
    pub(crate) fn extend(&self, term: Term) {
        let mut own = self.term.lock();
        if !own.over {
            *own = term;
        }
    }

    /// It is over for good: whether it was not so before.
    pub(crate) fn end(&self) -> bool {
        !std::mem::replace(&mut self.term.lock().over, true)
    }
}

impl Holder {
    /// Holds `lease`, which is renewed from now on.
    pub(crate) fn new(lease: Lease, keeper: Keeper) -> Self {
        let lease = Arc::new(lease);
        keeper.renew(&lease);
        Self { lease, keeper }
    }
}

impl Deref for Holder {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if !self.keeper.is_ours() {
            return;
        }
        self.keeper.forget(&self.lease);
        if self.lease.end() {
            self.keeper.leave(Chore::Release(self.lease.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(from_now: i64) -> Term {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let end = u64::try_from(i64::try_from(now).unwrap() + from_now).unwrap();
        Term::until(Some(UnixMillis(end).into())).unwrap()
    }

    #[test]
    fn a_lease_is_renewed_at_half_its_life() {
        let term = term(20_000);
        let half = term.half() - term.since;
        assert!(half <= Duration::from_secs(10) && half > Duration::from_secs(9), "{half:?}");
        assert!(term.holds(term.since) && !term.holds(term.end));
    }

    #[test]
    fn a_lease_that_has_run_out_does_not_hold() {
        assert!(!term(-1).holds(Instant::now()));
        assert!(Term::until(None).is_err());
    }
}
