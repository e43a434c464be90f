//! What a cursor or an answer keeps so that C can look at it: text with a 0 at its end, bytes, and arrays of both.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};

use parking_lot::{Mutex, MutexGuard};

use crate::handle::Miss;
use crate::payload::pm_tag;

/// Text and bytes that C looks at.
#[derive(Default)]
pub(crate) struct Kept {
    texts: Vec<CString>,
    bytes: Vec<Vec<u8>>,
    tags: Vec<pm_tag>,
}

// SAFETY: the pointers in `tags` lead into `texts`, which this owns and nobody changes.
unsafe impl Send for Kept {}

impl Kept {
    /// Keeps a text and points to it.
    pub(crate) fn text(&mut self, text: String) -> *const c_char {
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        let at = text.as_ptr();
        self.texts.push(text);
        at
    }

    /// Keeps bytes and points to them.
    pub(crate) fn bytes(&mut self, bytes: Vec<u8>) -> (*const u8, usize) {
        let at = (bytes.as_ptr(), bytes.len());
        self.bytes.push(bytes);
        at
    }

    /// Keeps tags and points to them; once only.
    pub(crate) fn tags(&mut self, tags: BTreeMap<String, String>) -> (*const pm_tag, usize) {
        for (key, value) in tags {
            let tag = pm_tag { key: self.text(key), value: self.text(value) };
            self.tags.push(tag);
        }
        (self.tags.as_ptr(), self.tags.len())
    }
}

/// Something that goes on step by step, and what its last step left to be looked at.
pub(crate) struct Cursor<I>(Mutex<(I, Kept)>);

impl<I> Cursor<I> {
    pub(crate) fn new(over: I) -> Self {
        Self(Mutex::new((over, Kept::default())))
    }

    /// For the one thread that is in it.
    pub(crate) fn step(&self) -> Result<MutexGuard<'_, (I, Kept)>, Miss> {
        let mut step = self.0.try_lock().ok_or(Miss::Busy)?;
        step.1 = Kept::default();
        Ok(step)
    }
}
