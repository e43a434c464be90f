//! Named points at which a test can have this process die as by `kill -9`.
//!
//! Only in builds with debug assertions, and only if the environment names the point:
//! `PAYLOAD_MANAGER_FAILPOINT=name` dies when it is hit first, `name:3` when it is hit for the third time. In release
//! builds a point is nothing.

/// Every point there is, for the tests that go through them.
pub const POINTS: [&str; 17] = [
    "allocate-reserved",
    "allocate-row-written",
    "allocate-made",
    "commit-copied",
    "commit-sealed",
    "commit-row-written",
    "commit-done",
    "transfer-intended",
    "transfer-copied",
    "transfer-finished",
    "transfer-row-written",
    "delete-buried",
    "delete-row-gone",
    "before-free",
    "start-pages-open",
    "start-recovered",
    "start-written",
];

/// Dies here, if a test wants it.
#[cfg(not(debug_assertions))]
pub fn hit(_: &'static str) {}

/// Dies here, if a test wants it.
#[cfg(debug_assertions)]
pub fn hit(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is not declared");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("PAYLOAD_MANAGER_FAILPOINT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), count.parse().unwrap_or(1)))
    });
    if let Some((wanted, count)) = wanted
        && wanted == name
        && HITS.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        // As abrupt as it gets: no destructor, no flush.
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
    }
}
