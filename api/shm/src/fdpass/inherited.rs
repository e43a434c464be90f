//! Sockets that whoever started this process has opened for it, by systemd's protocol (`sd_listen_fds(3)`).

#![allow(unsafe_code, reason = "makes descriptors that are passed by number this process's own")]

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;

/// The most that are taken.
const MOST: RawFd = 64;

/// The descriptors that were passed to this process, in their order; to whoever asks first, once. To be asked before the process
/// opens anything: their numbers say that they are these, and nothing else does.
#[must_use]
pub fn inherited() -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<RawFd>().ok());
    // Variables that came by way of a parent speak of the parent.
    let are_ours = number("LISTEN_PID") == i32::try_from(std::process::id()).ok();
    if !are_ours || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MOST);
    (FIRST..FIRST + count).map_while(take).collect()
}

/// The descriptor of this number, not to be passed on; `None` where there is none.
fn take(raw: RawFd) -> Option<OwnedFd> {
    // SAFETY: takes numbers alone; of one that is not open the kernel says so.
    let marked = unsafe { nix::libc::fcntl(raw, nix::libc::F_SETFD, nix::libc::FD_CLOEXEC) };
    // SAFETY: it is open, whoever started this process has said that it is meant for it, and nobody else here takes it: the
    // first who asks gets all, once.
    (marked == 0).then(|| unsafe { OwnedFd::from_raw_fd(raw) })
}
