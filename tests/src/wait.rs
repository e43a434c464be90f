//! Waiting without sleeping: bounded, and with a word on what did not come. The bounds are for a daemon that hangs, not a
//! measure of speed.

use std::future::Future;
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};

/// How long anything may take before it is taken to hang.
pub const HANGS: Duration = Duration::from_secs(120);

/// Between two looks at a condition, in milliseconds.
const BETWEEN_LOOKS: u8 = 5;

/// Blocks until `condition` holds. For what nobody announces, such as a file that is gone.
///
/// # Panics
/// If it never does; `what` says what should have been.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + HANGS;
    while !condition() {
        assert!(Instant::now() < until, "never came true: {what}");
        poll(&mut [], PollTimeout::from(BETWEEN_LOOKS)).unwrap();
    }
}

/// As [`eventually`], for a condition that asks the daemon.
///
/// # Panics
/// If it never holds.
pub async fn eventually_async<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let until = Instant::now() + HANGS;
    while !condition().await {
        assert!(Instant::now() < until, "never came true: {what}");
        tokio::task::block_in_place(|| poll(&mut [], PollTimeout::from(BETWEEN_LOOKS))).unwrap();
    }
}

/// What `work` comes to, unless it hangs.
///
/// # Panics
/// If it does; `what` says what was waited for.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(HANGS, work).await {
        Ok(done) => done,
        Err(_) => panic!("hangs: {what}"),
    }
}
