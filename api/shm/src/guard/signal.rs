//! The handler of SIGBUS: loads of atomics, one `mmap`, and nothing that allocates or waits.

use std::io;
use std::mem::zeroed;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::libc;

use super::ranges;
use crate::layout::PAGE_BYTES;

/// Who handled the signal before. Set before the handler is installed, so that it always finds it.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
static INSTALLED: OnceLock<Result<(), Errno>> = OnceLock::new();

/// Installs the handler, once.
pub(super) fn install() -> io::Result<()> {
    let done = INSTALLED.get_or_init(|| {
        let _ = BEFORE.set(exchange(None)?);
        // SAFETY: zeros are a `sigaction`: no flags, no handler, an empty mask.
        let mut action: libc::sigaction = unsafe { zeroed() };
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        exchange(Some(&action)).map(drop)
    });
    done.map_err(io::Error::from)
}

/// Sets what is done on SIGBUS, if that is given, and says what was done before.
fn exchange(new: Option<&libc::sigaction>) -> Result<libc::sigaction, Errno> {
    // SAFETY: zeros are a `sigaction`.
    let mut before: libc::sigaction = unsafe { zeroed() };
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points to a whole action, whose handler keeps to what a handler may do; `before` is ours.
    Errno::result(unsafe { libc::sigaction(libc::SIGBUS, new, &raw mut before) })?;
    Ok(before)
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let errno = Errno::last_raw();
    // SAFETY: the kernel passes a whole `siginfo_t`, as SA_SIGINFO asks for.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // BUS_ADRERR alone: memory that failed (BUS_MCEERR_AR) is not for us to paper over.
    let mended = code == libc::BUS_ADRERR && mend(address);
    Errno::set_raw(errno);
    if !mended {
        pass_on(signal, info, context);
    }
}

/// Puts zeros from the page of `address` to the end of its range: an object that is cut short has nothing after it
/// either. Whether the address was in a watched range.
fn mend(address: usize) -> bool {
    let Some((range, end)) = ranges::find(address) else { return false };
    // Before the zeros: who reads them finds this set.
    range.condemned.store(true, Ordering::SeqCst);
    let from = address & !(PAGE_BYTES - 1);
    // Where pages are larger it may not be the start of one: then `mmap` refuses, and we pass the fault on.
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: `from..end` lies in a mapping that is watched, and so lives: the fault that we are in comes from a use of
    // it. Nobody has references to plain data in it, only atomics and addresses to copy from, which zeros suit.
    let mapped = unsafe { libc::mmap(std::ptr::with_exposed_provenance_mut(from), end - from, access, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// What would have been done without us.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.get().copied().filter(|b| ![libc::SIG_DFL, libc::SIG_IGN].contains(&b.sa_sigaction));
    let Some(before) = before else {
        // The load is tried again on return, faults again, and then the process ends as it would have.
        // SAFETY: `signal` is one, SIG_DFL an action for each.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    };
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
        // SAFETY: with SA_SIGINFO the field is a function of three arguments, neither SIG_DFL nor SIG_IGN as checked.
        let handler = unsafe { std::mem::transmute::<libc::sighandler_t, Handler>(before.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: without SA_SIGINFO the field is a function of one argument, as above.
        let handler =
            unsafe { std::mem::transmute::<libc::sighandler_t, extern "C" fn(libc::c_int)>(before.sa_sigaction) };
        handler(signal);
    }
}
