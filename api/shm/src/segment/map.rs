//! A client's end of a segment: mapped once, handed out in parts.

#![allow(unsafe_code, reason = "hands out parts of a mapping; whose they are is the lease protocol's")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::{Advice, MmapOptions, MmapRaw};

/// A segment, mapped over its whole length; unmapped on drop.
///
/// **Truncation.** As with [`crate::ReadMap`]: the producer can cut the segment short, and a load beyond its new end is a
/// SIGBUS. Use `strict` or `sealed` where producers are not trusted.
#[derive(Debug)]
pub struct SegmentMap {
    raw: MmapRaw,
    /// Parts that are being written: where they start, where they end. `None` where the map is read-only.
    writing: Option<Mutex<BTreeMap<usize, usize>>>,
}

impl SegmentMap {
    /// Maps a segment that others fill.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn read_only(file: &File) -> io::Result<Self> {
        let raw = MmapOptions::new().len(length(file)?).map_raw_read_only(file)?;
        Ok(Self { raw, writing: None })
    }

    /// Maps the segment that this client fills.
    ///
    /// # Errors
    /// As the kernel says: the descriptor may not be for writing.
    pub fn writable(file: &File) -> io::Result<Self> {
        let raw = MmapOptions::new().len(length(file)?).map_raw(file)?;
        Ok(Self { raw, writing: Some(Mutex::default()) })
    }

    /// How many bytes are mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether none are, which does not happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.len() == 0
    }

    /// The committed bytes of one payload; `None` where they are not inside.
    ///
    /// They must be kept where they are by a lease for as long as they are looked at, and be no part that is being
    /// written: nobody changes them then (promises stable-lease and immutable; of `shared` payloads their producer is
    /// trusted with that).
    #[must_use]
    pub fn bytes(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let (start, len) = self.part(offset, length)?;
        // SAFETY: inside the mapping, as just checked, which lives as long as `self`; bytes are valid whatever they are,
        // and under a lease nobody writes them.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len) })
    }

    /// A part to be filled: allocated to this client and not committed. `None` where it is not inside, overlaps a part
    /// that is being written already, or the map is read-only.
    #[must_use]
    pub fn write(self: &Arc<Self>, offset: u64, length: u64) -> Option<SegmentWriter> {
        let (start, len) = self.part(offset, length)?;
        let from = usize::try_from(offset).ok()?;
        let mut parts = self.writing.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        // The last part that starts before our end must end before our start; parts of no bytes are in nobody's way.
        let before = parts.range(..from + len).next_back();
        if len > 0 && before.is_some_and(|(_, end)| *end > from) {
            return None;
        }
        if len > 0 {
            parts.insert(from, from + len);
        }
        drop(parts);
        Some(SegmentWriter { map: Arc::clone(self), from, start, len })
    }

    /// Maps the pages of this range now instead of one fault each: for a segment that is to be warm before it is used.
    /// The range must be reserved.
    ///
    /// # Errors
    /// Not inside; the kernel has no such call (before 5.14) or no memory, which is told here and not by a signal later.
    pub fn warm(&self, offset: u64, length: u64) -> io::Result<()> {
        let (_, len) = self.part(offset, length).ok_or(io::ErrorKind::InvalidInput)?;
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let advice = if self.writing.is_some() { Advice::PopulateWrite } else { Advice::PopulateRead };
        if len == 0 { Ok(()) } else { self.raw.advise_range(advice, from, len) }
    }

    /// Where a part is, if it is inside.
    fn part(&self, offset: u64, length: u64) -> Option<(NonNull<u8>, usize)> {
        let (from, len) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        from.checked_add(len).filter(|end| *end <= self.raw.len())?;
        // SAFETY: `from` is within the mapping or its end, as just checked.
        let start = unsafe { self.raw.as_mut_ptr().add(from) };
        Some((NonNull::new(start)?, len))
    }
}

fn length(file: &File) -> io::Result<usize> {
    usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// A part of a segment that its producer fills: nobody else has these bytes until it is dropped.
#[derive(Debug)]
pub struct SegmentWriter {
    map: Arc<SegmentMap>,
    from: usize,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is a `&mut [u8]` over bytes of its own and an `Arc` that can be sent and shared.
unsafe impl Send for SegmentWriter {}
// SAFETY: through a shared reference it gives `&[u8]` alone.
unsafe impl Sync for SegmentWriter {}

impl Deref for SegmentWriter {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: inside the mapping, which `map` keeps; no other writer has these bytes, as `write` sees to, and readers
        // get no lease on what is not committed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for SegmentWriter {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if let Some(parts) = self.map.writing.as_ref().filter(|_| self.len > 0) {
            parts.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.from);
        }
    }
}
