//! What C hands in, checked as far as it can be: null, sizes, text. That other pointers lead to what they should is the
//! caller's promise.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use payload_manager_client::{StreamName, Tier};

use crate::error::{Failure, pm_status};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A place for an answer.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `place` is null, or good for writing a `T` until the call is over.
    pub(crate) unsafe fn new(place: *mut T, what: &str) -> Result<Self> {
        if place.is_null() { Err(Failure::null(what)) } else { Ok(Self(place)) }
    }

    /// # Safety
    /// As for [`new`](Self::new), but null is for an answer that is not wanted.
    pub(crate) unsafe fn optional(place: *mut T) -> Self {
        Self(place)
    }

    pub(crate) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, and by the promise to whom made this one, good for writing a `T`.
            unsafe { self.0.write(value) };
        }
    }
}

/// A value that C points to.
///
/// # Safety
/// `at` is null, or good for reading a `T`.
pub(crate) unsafe fn given<T: Copy>(at: *const T, what: &str) -> Result<T> {
    if at.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: not null, so good for reading by the caller's promise.
    Ok(unsafe { at.read() })
}

/// Text that may be left out.
///
/// # Safety
/// `at` is null, or a string that ends in 0 and stays as it is during the call.
pub(crate) unsafe fn text<'a>(at: *const c_char, what: &str) -> Result<&'a str> {
    if at.is_null() {
        return Ok("");
    }
    // SAFETY: not null, so a string by the caller's promise.
    let text = unsafe { CStr::from_ptr(at) };
    text.to_str().map_err(|_| Failure::bad(format!("{what} is not UTF-8")))
}

/// Text that must be there.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn required_text<'a>(at: *const c_char, what: &str) -> Result<&'a str> {
    if at.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: as the caller promised.
    unsafe { text(at, what) }
}

/// An array.
///
/// # Safety
/// `at` is null, or good for reading `len` of `T`, which stay as they are during the call.
pub(crate) unsafe fn array<'a, T>(at: *const T, len: usize, what: &str) -> Result<&'a [T]> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::null(what)),
        // SAFETY: not null, so good for reading `len` by the caller's promise.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(at, len) }),
    }
}

/// The same, for writing.
///
/// # Safety
/// `at` is null, or good for reading and writing `len` of `T`, which nobody else touches during the call.
pub(crate) unsafe fn array_mut<'a, T>(at: *mut T, len: usize, what: &str) -> Result<&'a mut [T]> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(Failure::null(what)),
        // SAFETY: not null, so good for `len` by the caller's promise.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts_mut(at, len) }),
    }
}

/// Options, which begin with their size as the caller's header has it.
///
/// # Safety
/// Every bit pattern is a legal one of this type, which is `repr(C)`, has no padding and begins with a `u32`, its size.
pub(crate) unsafe trait Options: Copy {
    const NONE: Self;
}

/// Options, or the default ones for null. A caller with a longer header gets what is known here, if the rest is 0.
///
/// # Safety
/// `at` is null, or good for reading as many bytes as its first `u32` says.
pub(crate) unsafe fn options<T: Options>(at: *const T) -> Result<T> {
    if at.is_null() {
        return Ok(T::NONE);
    }
    // SAFETY: good for reading the size, by the caller's promise.
    let size = unsafe { at.cast::<u32>().read() } as usize;
    if !(8..=4096).contains(&size) {
        return Err(Failure::bad(format!("the options say that their size is {size}: set it, as their _INIT does")));
    }
    // SAFETY: good for reading `size` bytes, by the caller's promise.
    let theirs = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), size) };
    if theirs.iter().skip(size_of::<T>()).any(|byte| *byte != 0) {
        return Err(Failure::bad("these options ask for what this version of the library does not have"));
    }
    let mut ours = T::NONE;
    let known = size.min(size_of::<T>());
    // SAFETY: both are good for `known` bytes, do not overlap, and any bytes are legal in a `T`.
    unsafe { std::ptr::copy_nonoverlapping(at.cast::<u8>(), (&raw mut ours).cast::<u8>(), known) };
    Ok(ours)
}

/// A tier by its number; 0 is none.
pub(crate) fn tier_or_none(number: u32, what: &str) -> Result<Option<Tier>> {
    if number == 0 { Ok(None) } else { tier(number, what).map(Some) }
}

/// A tier by its number.
pub(crate) fn tier(number: u32, what: &str) -> Result<Tier> {
    numbered(number, what)
}

/// Anything that has a number, by it.
pub(crate) fn numbered<T: TryFrom<u8>>(number: u32, what: &str) -> Result<T> {
    let known = u8::try_from(number).ok().and_then(|n| T::try_from(n).ok());
    known.ok_or_else(|| Failure::bad(format!("{what}: there is no number {number}")))
}

/// Milliseconds; 0 is none.
pub(crate) fn millis(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// A stream's name, as "name" or "namespace/name".
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn stream(at: *const c_char) -> Result<StreamName> {
    // SAFETY: as the caller promised.
    let full = unsafe { required_text(at, "stream") }?;
    let (namespace, name) = full.split_once('/').unwrap_or(("", full));
    StreamName::new(namespace, name)
        .map_err(|why| Failure::new(pm_status::PM_BAD_STREAM_NAME, format!("{full:?}: {why}")))
}
