//! The functions as a program in C calls them, for `payload-bench`, which may not follow pointers itself.

use std::ffi::CStr;
use std::hint::black_box;
use std::ptr::{null, null_mut};

use crate::client::{pm_client, pm_client_close, pm_connect};
use crate::error::{pm_last_error, pm_status};
use crate::id::pm_id;
use crate::types::pm_bytes;
use crate::view::{pm_read, pm_read_options, pm_view, pm_view_release};

type Read = unsafe extern "C" fn(
    *const pm_client,
    *const pm_id,
    *const pm_read_options,
    *mut *mut pm_view,
    *mut pm_bytes,
) -> pm_status;
type Release = unsafe extern "C" fn(*mut pm_view) -> pm_status;

/// A program that is connected.
#[derive(Debug)]
pub struct Caller {
    client: *mut pm_client,
    /// Functions whose code the compiler does not see where they are called: so it is in C.
    read: Read,
    release: Release,
}

fn outcome(status: pm_status) -> Result<(), String> {
    if status == pm_status::PM_OK {
        return Ok(());
    }
    // SAFETY: the message is good until this thread's next call.
    Err(unsafe { CStr::from_ptr(pm_last_error()) }.to_string_lossy().into_owned())
}

impl Caller {
    /// Connects to the daemon at `address`.
    ///
    /// # Errors
    /// What the library says, in words.
    pub fn connect(address: &CStr) -> Result<Self, String> {
        let mut client = null_mut();
        // SAFETY: a text, no options, and a place for the answer.
        outcome(unsafe { pm_connect(address.as_ptr(), null(), &raw mut client) })?;
        Ok(Self { client, read: black_box(pm_read as Read), release: black_box(pm_view_release as Release) })
    }

    /// Takes a view, looks at its first byte, and releases it.
    ///
    /// # Errors
    /// What the library says, in words.
    pub fn view(&self, id: [u8; 16]) -> Result<u8, String> {
        let (id, mut view) = (pm_id { bytes: id }, null_mut());
        let mut bytes = pm_bytes { data: null(), size: 0, device_kind: 0, device: 0 };
        // SAFETY: all of them are this function's own, and places for answers.
        outcome(unsafe { (self.read)(self.client, &raw const id, null(), &raw mut view, &raw mut bytes) })?;
        let first = match bytes.size {
            0 => 0,
            // SAFETY: so many bytes are there until the view is released.
            _ => unsafe { bytes.data.cast::<u8>().read() },
        };
        // SAFETY: a view that was just taken.
        outcome(unsafe { (self.release)(view) })?;
        Ok(first)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // SAFETY: this one's own client. It fails for one that is closed already, which it is not.
        let _ = unsafe { pm_client_close(self.client) };
    }
}
