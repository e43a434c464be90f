//! Mappings of payload bytes: [`ReadMap`] over what is committed, [`WriteMap`] over what its producer still fills.
//!
//! **Truncation.** The producer of a `shared` payload keeps a descriptor that can shrink the object; a load beyond the
//! new end is a SIGBUS. Sizes are checked here when mapping, which catches what happened before; it can't catch what
//! happens after. Use `strict` or `sealed` where producers are not trusted. The daemon does not map such memory
//! unguarded: it reads through its descriptor, where a short read is an error and not a signal.

#![allow(unsafe_code, reason = "maps files whose bytes others can change; the conditions are the lease protocol's")]

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};

use memmap2::{Advice, Mmap, MmapMut, MmapOptions};

use crate::map::long_enough;

/// Committed bytes, mapped for reading; unmapped on drop. Never writable, by the kernel's word (promise immutable).
#[derive(Debug)]
pub struct ReadMap {
    /// `None` for no bytes: the kernel maps no empty range.
    map: Option<Mmap>,
}

impl ReadMap {
    /// Maps `len` bytes of `file` from `offset` (any offset; it need not be that of a page).
    ///
    /// The bytes must be committed, and kept where they are by a lease for as long as the map is read.
    ///
    /// # Errors
    /// `UnexpectedEof` when the object is shorter than that; else as the kernel says.
    pub fn of_file(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        check(file, offset, len)?;
        if len == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the file must not change under the map. Committed bytes are written by nobody (promise immutable;
        // for `shared` payloads their producer is trusted with that, and with not truncating, as said above), and a
        // block is not used again while a lease names it (promise stable-lease).
        let map = unsafe { MmapOptions::new().offset(offset).len(len).map(file) }?;
        Ok(Self { map: Some(map) })
    }

    /// Asks the kernel to map all pages now instead of one fault each. A hint: that it can't be followed is no error.
    pub fn populate(&self) {
        if let Some(map) = &self.map {
            let _ = map.advise(Advice::PopulateRead);
        }
    }
}

impl Deref for ReadMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

/// Bytes that are allocated and not committed, mapped by the one who fills them; unmapped on drop.
#[derive(Debug)]
pub struct WriteMap {
    map: Option<MmapMut>,
}

impl WriteMap {
    /// Maps `len` bytes of `file` from `offset` for writing. They must be this producer's alone: allocated to it, not
    /// committed, mapped once.
    ///
    /// # Errors
    /// `UnexpectedEof` when the object is shorter than that; else as the kernel says.
    pub fn of_file(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        check(file, offset, len)?;
        if len == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: nobody else may touch these bytes while the map lives. An allocation belongs to its producer until
        // it commits or aborts; the daemon reads through a descriptor and not before that, and readers get no lease.
        let map = unsafe { MmapOptions::new().offset(offset).len(len).map_mut(file) }?;
        Ok(Self { map: Some(map) })
    }

    /// Asks the kernel to map all pages now instead of one fault each.
    ///
    /// # Errors
    /// The kernel has no such call (before 5.14), or no memory: told here instead of by a SIGBUS later.
    pub fn populate(&self) -> io::Result<()> {
        self.map.as_ref().map_or(Ok(()), |map| map.advise(Advice::PopulateWrite))
    }

    /// Writes the bytes of a file-backed map out to its file.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn flush(&self) -> io::Result<()> {
        self.map.as_ref().map_or(Ok(()), MmapMut::flush)
    }
}

impl Deref for WriteMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl DerefMut for WriteMap {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }
}

fn check(file: &File, offset: u64, len: usize) -> io::Result<()> {
    let end = usize::try_from(offset).ok().and_then(|at| at.checked_add(len));
    long_enough(file, end.ok_or(io::ErrorKind::InvalidInput)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::object;
    use crate::testing::Names;

    #[test]
    fn what_the_producer_fills_the_reader_sees_at_any_offset() {
        let names = Names::new();
        let name = names.name("a");
        let file = object::create(&name, 3 * 4096, 0o600).unwrap();
        let mut producer = WriteMap::of_file(&file, 4100, 5000).unwrap();
        producer.populate().unwrap();
        producer.copy_from_slice(&[7; 5000]);
        let reader = ReadMap::of_file(&object::open_read_only(&name).unwrap(), 4100, 5000).unwrap();
        reader.populate();
        assert_eq!(&reader[..], &producer[..]);
        let mut before = [1; 4];
        file.read_exact_at(&mut before, 4096).unwrap();
        assert_eq!(before, [0; 4], "and nothing before it");
        assert!(WriteMap::of_file(&object::open_read_only(&name).unwrap(), 0, 1).is_err(), "read-only descriptor");
    }

    #[test]
    fn an_object_that_is_too_short_is_an_error_and_not_a_signal() {
        let names = Names::new();
        let file = object::create(&names.name("a"), 4096, 0o600).unwrap();
        assert_eq!(ReadMap::of_file(&file, 0, 4097).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(ReadMap::of_file(&file, u64::MAX, 2).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(ReadMap::of_file(&file, 4096, 0).unwrap().is_empty());
        assert!(WriteMap::of_file(&file, 0, 0).unwrap().is_empty());
    }
}
