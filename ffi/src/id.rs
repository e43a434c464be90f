//! Ids of payloads.

use std::ffi::c_char;
use std::str::FromStr as _;

use payload_manager_client::PayloadId;

use crate::error::{Failure, pm_status};
use crate::input::{Out, Result, given, required_text};
use crate::panic::call;

/// A payload's name: sixteen bytes, made by the daemon. Copy and compare them as they are.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct pm_id {
    /// In the order in which they are written.
    pub bytes: [u8; 16],
}

/// The bytes that `pm_id_format` needs: 36 characters and a 0.
pub const PM_ID_TEXT_SIZE: usize = 37;

impl From<PayloadId> for pm_id {
    fn from(id: PayloadId) -> Self {
        Self { bytes: *id.as_bytes() }
    }
}

impl From<pm_id> for PayloadId {
    fn from(id: pm_id) -> Self {
        Self::from_bytes(id.bytes)
    }
}

/// # Safety
/// `at` is null, or good for reading an id.
pub(crate) unsafe fn payload_id(at: *const pm_id) -> Result<PayloadId> {
    // SAFETY: as the caller promised.
    unsafe { given(at, "id") }.map(PayloadId::from)
}

/// Reads an id from text as `pm_id_format` writes it; dashes may be left out. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_id_parse(text: *const c_char, out: *mut pm_id) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (text, out) = unsafe { (required_text(text, "text")?, Out::new(out, "out")?) };
        let id = PayloadId::from_str(text).map_err(|why| Failure::bad(why.to_string()))?;
        out.set(id.into());
        Ok(pm_status::PM_OK)
    })
}

/// Writes an id as text, "0196f3a2-…" with a 0 at the end, into `text`, which has room for PM_ID_TEXT_SIZE bytes. Does
/// not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_id_format(id: *const pm_id, text: *mut c_char) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, out) = unsafe { (payload_id(id)?, Out::new(text.cast::<[u8; PM_ID_TEXT_SIZE]>(), "text")?) };
        let mut bytes = [0; PM_ID_TEXT_SIZE];
        for (byte, c) in bytes.iter_mut().zip(id.to_string().bytes()) {
            *byte = c;
        }
        out.set(bytes);
        Ok(pm_status::PM_OK)
    })
}
