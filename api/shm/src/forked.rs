//! For tests of what a forked child has of its parent's session: nothing. Not for programs.

#![allow(unsafe_code, reason = "forks")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Does `work` in a forked child, and says whether it ended well: a panic of its own is told on stderr.
///
/// The child has this thread alone; locks that other threads held stay held in it.
///
/// # Errors
/// As the kernel says.
pub fn in_a_child(work: impl FnOnce()) -> io::Result<bool> {
    // SAFETY: the child is a test's. What it calls beyond what is safe after a fork (the allocator above all) glibc mends
    // in the child; where `work` hangs for all that, the test does.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(waitpid(child, None)? == WaitStatus::Exited(child, 0)),
        ForkResult::Child => {
            let failed = catch_unwind(AssertUnwindSafe(work)).is_err();
            // SAFETY: ends the process without the parent's destructors and exit handlers, from any state.
            unsafe { libc::_exit(i32::from(failed)) }
        }
    }
}
