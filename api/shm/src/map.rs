//! Pages of words, mapped: hands out references to atomics in memory that other processes write.
//!
//! Not for payload bytes (`view`), and no layout here (`layout`).

#![allow(unsafe_code, reason = "turns addresses of mapped memory into references to atomics")]

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use memmap2::{MmapMut, MmapOptions, MmapRaw};
use nix::sys::mman::{MmapAdvise, madvise};

/// What can be laid over shared memory.
///
/// # Safety
/// The type is `repr(C)`, consists of atomics alone, has no padding, and is aligned to at most a page; so that every
/// bit pattern is a value of it and no other process's store can be a data race.
pub(crate) unsafe trait Shared {}

// SAFETY: an atomic word itself.
unsafe impl Shared for crate::sync::AtomicU32 {}
// SAFETY: an atomic word itself, under cfg(shuttle) in a transparent wrapper.
unsafe impl Shared for crate::sync::AtomicU64 {}

/// A mapping of the start of a file, shared with whoever else maps it; unmapped on drop.
///
/// Its whole length is address space; bytes that the file system has not backed must not be touched, and [`Self::one`]
/// does not touch what it refers to.
#[derive(Debug)]
pub(crate) struct Pages {
    raw: MmapRaw,
}

impl Pages {
    /// Maps the first `len` bytes for reading and writing.
    pub(crate) fn writable(file: &File, len: usize) -> io::Result<Self> {
        long_enough(file, len)?;
        Ok(Self { raw: MmapOptions::new().len(len).map_raw(file)? })
    }

    /// Maps the first `len` bytes for reading. Stores through it fault: its user must offer none.
    pub(crate) fn read_only(file: &File, len: usize) -> io::Result<Self> {
        long_enough(file, len)?;
        Ok(Self { raw: MmapOptions::new().len(len).map_raw_read_only(file)? })
    }

    /// `len` bytes of this process's own: zero at first, and zero again in a child that it forks.
    pub(crate) fn wiped_on_fork(len: usize) -> io::Result<Self> {
        let raw: MmapRaw = MmapMut::map_anon(len)?.into();
        let start = NonNull::new(raw.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the range is a whole mapping of ours, private and anonymous, as the advice demands; nothing in this
        // process is changed by it.
        unsafe { madvise(start.cast(), raw.len(), MmapAdvise::MADV_WIPEONFORK) }?;
        Ok(Self { raw })
    }

    /// Where the mapping is: address and length.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.raw.as_ptr().addr(), self.raw.len())
    }

    /// The `T` at `offset`; `None` outside the mapping or off its alignment.
    #[inline]
    pub(crate) fn one<T: Shared>(&self, offset: usize) -> Option<&T> {
        let end = offset.checked_add(size_of::<T>())?;
        if end > self.raw.len() || !offset.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: `offset + size_of::<T>()` is within the mapping, as just checked.
        let place = unsafe { self.raw.as_ptr().add(offset) }.cast::<T>();
        // SAFETY: `place` is in bounds, aligned (the mapping starts at a page, `offset` was checked) and lives as long
        // as `self`; `T: Shared` is valid for every bit pattern and made of atomics, so writers elsewhere don't race.
        Some(unsafe { &*place })
    }

    /// `count` of `T` from `offset`; `None` where they are not all inside.
    #[inline]
    pub(crate) fn many<T: Shared>(&self, offset: usize, count: usize) -> Option<&[T]> {
        let bytes = size_of::<T>().checked_mul(count)?;
        if offset.checked_add(bytes)? > self.raw.len() || !offset.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: `offset + bytes` is within the mapping, as just checked.
        let start = unsafe { self.raw.as_ptr().add(offset) }.cast::<T>();
        // SAFETY: as in `one`, for `count` items side by side; no more than `isize::MAX` bytes, as a mapping is not.
        Some(unsafe { std::slice::from_raw_parts(start, count) })
    }
}

/// A mapping that reaches beyond its file faults with SIGBUS when it is touched there.
pub(crate) fn long_enough(file: &File, len: usize) -> io::Result<()> {
    let there = file.metadata()?.len();
    if u64::try_from(len).is_ok_and(|wanted| wanted <= there) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{len} bytes wanted, the object has {there}")))
}
