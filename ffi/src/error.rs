//! What failed: a number that is answered, and what is remembered for the thread that asked.

mod status;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

use payload_manager_client::Error;

use crate::handle::Miss;
use crate::panic::value;

pub use status::pm_status;

/// How a call went: a status that is no error, or why it failed.
pub(crate) type Answer = Result<pm_status, Failure>;

/// Why a call failed.
pub(crate) struct Failure {
    pub(crate) status: pm_status,
    message: String,
    retryable: bool,
}

impl Failure {
    pub(crate) fn new(status: pm_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retryable: false }
    }

    pub(crate) fn null(what: &str) -> Self {
        Self::new(pm_status::PM_NULL_ARGUMENT, format!("{what} may not be null"))
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(pm_status::PM_BAD_ARGUMENT, message)
    }

    pub(crate) fn full() -> Self {
        Self::new(pm_status::PM_TOO_MANY_HANDLES, "4,194,304 handles of this type are open: close some")
    }

    pub(crate) fn device(error: &dyn std::error::Error) -> Self {
        Self::new(pm_status::PM_DEVICE_FAILED, error.to_string())
    }

    pub(crate) fn forked() -> Self {
        let why = "this process is a child of the one that connected; connect a client of its own";
        Self::new(pm_status::PM_FORKED, why)
    }

    pub(crate) fn bug() -> Self {
        Self::new(pm_status::PM_INTERNAL, "a bug of this library's: what was printed to stderr says more")
    }
}

impl From<Miss> for Failure {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Invalid => Self::new(pm_status::PM_INVALID_HANDLE, "the handle is null, closed, or of another type"),
            Miss::Busy => {
                let mut busy = Self::new(pm_status::PM_HANDLE_BUSY, "another thread is in a call with this handle");
                busy.retryable = true;
                busy
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match (&error, error.reason().and_then(pm_status::of_reason), error.code()) {
            (_, Some(reason), _) => reason,
            (_, None, Some(code)) => pm_status::of_code(code),
            (Error::BadAddress { .. }, ..) => pm_status::PM_BAD_ADDRESS,
            (Error::Place { .. }, ..) => pm_status::PM_PLACE,
            (Error::Device { .. }, ..) => pm_status::PM_DEVICE_FAILED,
            (Error::BadAnswer(_), ..) => pm_status::PM_BAD_ANSWER,
            _ => pm_status::PM_UNREACHABLE,
        };
        Self { status, message: error.to_string(), retryable: error.is_retryable() }
    }
}

struct Last {
    message: CString,
    retryable: bool,
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Keeps a failure for `pm_last_error`, and gives its number.
pub(crate) fn remember(failure: Failure) -> pm_status {
    let message = CString::new(failure.message.replace('\0', " ")).unwrap_or_default();
    // A thread that is ending asks no more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = Some(Last { message, retryable: failure.retryable }));
    failure.status
}

/// Why this thread's last failed call failed, in words for people; never null, "" if none failed yet. It belongs to the
/// library and stays as it is until another call of this thread fails.
#[unsafe(no_mangle)]
pub extern "C" fn pm_last_error() -> *const c_char {
    let message = |last: &RefCell<Option<Last>>| last.borrow().as_ref().map_or(c"".as_ptr(), |l| l.message.as_ptr());
    value(c"".as_ptr(), || LAST.try_with(message).unwrap_or(c"".as_ptr()))
}

/// 1 if what this thread's last failed call asked may succeed later, asked again unchanged; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn pm_last_error_is_retryable() -> u8 {
    let retryable = |last: &RefCell<Option<Last>>| last.borrow().as_ref().is_some_and(|l| l.retryable);
    value(0, || u8::from(LAST.try_with(retryable).unwrap_or_default()))
}

/// A status by its name, as "PM_OK"; null for a number that this library does not know. It belongs to the library and
/// stays for ever.
#[unsafe(no_mangle)]
pub extern "C" fn pm_status_name(status: i32) -> *const c_char {
    value(ptr::null(), || pm_status::name(status).map_or(ptr::null(), CStr::as_ptr))
}
