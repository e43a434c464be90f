//! The time of the shell around the core: where system clocks are read, and nowhere else.
//!
//! Two clocks. The wall clock dates things and decides when payloads run out; it never goes back, even if somebody sets
//! the host's clock back. The monotonic clock times leases: it is the one that clients read too, so that a deadline in
//! shared memory means the same to all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;
use payload_manager_types::UnixMillis;

/// What the time is.
pub trait Clock: Send + Sync + 'static {
    /// The date, in milliseconds since 1970. Never goes back while the program runs.
    fn wall(&self) -> UnixMillis;

    /// Milliseconds of CLOCK_MONOTONIC: since the host started, the same for every process in one time namespace.
    fn monotonic_ms(&self) -> u64;
}

/// The host's clocks.
#[derive(Debug, Default)]
pub struct SystemClock {
    ratchet: Mutex<Ratchet>,
}

impl SystemClock {
    /// The host's clocks, with a date that is never before `floor`: the latest date that an earlier run wrote down.
    #[must_use]
    pub fn not_before(floor: UnixMillis) -> Self {
        let wall = u128::from(floor.0) * NANOS_PER_MILLI;
        Self { ratchet: Mutex::new(Ratchet { wall, monotonic: nanos(ClockId::CLOCK_MONOTONIC) }) }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> UnixMillis {
        let mut ratchet = self.ratchet.lock();
        // Read under the lock: two threads could otherwise hand their readings in in the wrong order.
        let (wall, monotonic) = (nanos(ClockId::CLOCK_REALTIME), nanos(ClockId::CLOCK_MONOTONIC));
        millis(ratchet.advance(wall, monotonic))
    }

    fn monotonic_ms(&self) -> u64 {
        millis(nanos(ClockId::CLOCK_MONOTONIC)).0
    }
}

/// Keeps the date from going back: it follows the host's clock forward, and when that steps back, goes on from the last
/// date at the pace of the monotonic clock. All in nanoseconds, so that rounding does not add up.
#[derive(Debug, Default, Clone, Copy)]
struct Ratchet {
    wall: u128,
    monotonic: u128,
}

impl Ratchet {
    fn advance(&mut self, wall: u128, monotonic: u128) -> u128 {
        let floor = self.wall + monotonic.saturating_sub(self.monotonic);
        // On the first reading there is no last date to go on from.
        let floor = if self.wall == 0 { 0 } else { floor };
        *self = Self { wall: wall.max(floor), monotonic: monotonic.max(self.monotonic) };
        self.wall
    }
}

const NANOS_PER_MILLI: u128 = 1_000_000;

/// Both clocks exist on every Linux, so the call does not fail; a clock that stood still would be 0, which the ratchet absorbs.
fn nanos(clock: ClockId) -> u128 {
    clock_gettime(clock).map(|time| Duration::from(time).as_nanos()).unwrap_or_default()
}

fn millis(nanos: u128) -> UnixMillis {
    UnixMillis(u64::try_from(nanos / NANOS_PER_MILLI).unwrap_or(u64::MAX))
}

/// Clocks that stand still until they are moved, for tests.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl ManualClock {
    /// Clocks that show these times.
    #[must_use]
    pub fn at(wall: UnixMillis, monotonic_ms: u64) -> Self {
        Self { wall: AtomicU64::new(wall.0), monotonic: AtomicU64::new(monotonic_ms) }
    }

    /// Lets `ms` milliseconds pass on both clocks.
    pub fn pass(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::SeqCst);
        self.monotonic.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the date alone; back, too, for tests of what must not rely on it.
    pub fn set_wall(&self, wall: UnixMillis) {
        self.wall.store(wall.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_does_not_take_the_date_back() {
        let mut ratchet = Ratchet::default();
        assert_eq!(ratchet.advance(1_000_000, 10), 1_000_000);
        assert_eq!(ratchet.advance(500, 17), 1_000_007, "goes on at the pace of the monotonic clock");
        assert_eq!(ratchet.advance(500, 20), 1_000_010);
    }

    #[test]
    fn a_clock_that_steps_forward_is_followed() {
        let mut ratchet = Ratchet::default();
        ratchet.advance(1_000, 10);
        assert_eq!(ratchet.advance(9_000, 11), 9_000);
        assert_eq!(ratchet.advance(9_001, 12), 9_001);
    }

    #[test]
    fn the_host_clock_is_followed_again_once_it_has_caught_up() {
        let mut ratchet = Ratchet::default();
        ratchet.advance(1_000, 0);
        ratchet.advance(100, 10);
        assert_eq!(ratchet.advance(5_000, 20), 5_000);
    }

    #[test]
    fn a_monotonic_clock_that_failed_once_moves_nothing_back() {
        let mut ratchet = Ratchet::default();
        ratchet.advance(1_000, 50);
        assert_eq!(ratchet.advance(0, 0), 1_000);
        assert_eq!(ratchet.advance(0, 60), 1_010);
    }

    #[test]
    fn the_date_is_never_before_what_an_earlier_run_wrote_down() {
        let far = UnixMillis(4_102_444_800_000);
        let clock = SystemClock::not_before(far);
        assert!(clock.wall() >= far);
    }

    #[test]
    fn the_system_clocks_tell_plausible_times_that_do_not_go_back() {
        let clock = SystemClock::default();
        let (first, second) = (clock.wall(), clock.wall());
        assert!(second >= first);
        assert!(first > UnixMillis(1_600_000_000_000));
        assert!(clock.monotonic_ms() <= clock.monotonic_ms());
    }

    #[test]
    fn a_manual_clock_moves_only_when_it_is_moved() {
        let clock = ManualClock::at(UnixMillis(100), 5);
        clock.pass(10);
        assert_eq!((clock.wall(), clock.monotonic_ms()), (UnixMillis(110), 15));
        clock.set_wall(UnixMillis(50));
        assert_eq!((clock.wall(), clock.monotonic_ms()), (UnixMillis(50), 15));
    }
}
