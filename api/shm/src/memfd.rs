//! Memory without a name that can be sealed: after that nobody can change it, not the one who made it either. Not here:
//! objects with names (`object`), and handing descriptors over (`fdpass`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading alone.
    Read,
    /// Reading and writing.
    Write,
}

/// Makes memory with nothing in it, open for reading and writing; only this user may open it again. `name` is for people,
/// and at most 249 bytes.
///
/// # Errors
/// As the kernel says; EMFILE when no descriptor is left.
pub fn create(name: &str) -> io::Result<File> {
    let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    crate::object::chmod(&file, 0o600)?;
    Ok(file)
}

/// Takes the length and the bytes from everybody's reach, for good. Sealing again is fine.
///
/// # Errors
/// `ResourceBusy` while somebody has it mapped for writing, or a device may write to it; else as the kernel says.
pub fn seal(file: &File) -> io::Result<()> {
    match fcntl(file, FcntlArg::F_ADD_SEALS(all())) {
        Err(Errno::EPERM) if is_sealed(file)? => Ok(()),
        sealed => sealed.map(drop).map_err(io::Error::from),
    }
}

/// Whether [`seal`] was called on it.
///
/// # Errors
/// As the kernel says; `InvalidInput` for what can't be sealed.
pub fn is_sealed(file: &File) -> io::Result<bool> {
    let seals = SealFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GET_SEALS)?);
    Ok(seals.contains(all()))
}

/// A descriptor of its own for the same memory: what is opened for reading alone can't be written through.
///
/// # Errors
/// As the kernel says; also where there is no `/proc`.
pub fn open_again(file: &File, access: Access) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).write(access == Access::Write).open(path)
}

fn all() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::{ReadMap, WriteMap};

    #[test]
    fn sealed_memory_can_be_changed_by_nobody() {
        let file = create("a test").unwrap();
        file.set_len(8192).unwrap();
        file.write_all_at(b"bytes", 0).unwrap();
        let before = open_again(&file, Access::Write).unwrap();
        assert!(!is_sealed(&file).unwrap());
        seal(&file).unwrap();
        seal(&file).unwrap();
        assert!(is_sealed(&file).unwrap());
        for file in [&file, &before, &open_again(&file, Access::Write).unwrap()] {
            let refused =
                |done: io::Result<()>| assert_eq!(done.unwrap_err().raw_os_error(), Some(Errno::EPERM as i32));
            refused(file.write_all_at(b"other", 0));
            refused(file.set_len(1));
            refused(file.set_len(1 << 20));
            refused(crate::object::punch(file, 0, 4096));
            refused(WriteMap::of_file(file, 0, 8192).map(drop));
        }
        let map = ReadMap::of_file(&open_again(&file, Access::Read).unwrap(), 0, 8192).unwrap();
        assert_eq!(&map[..5], b"bytes");
    }

    #[test]
    fn what_is_mapped_for_writing_is_not_sealed() {
        let file = create("a test").unwrap();
        file.set_len(4096).unwrap();
        let map = WriteMap::of_file(&file, 0, 4096).unwrap();
        assert_eq!(seal(&file).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert!(!is_sealed(&file).unwrap());
        drop(map);
        seal(&file).unwrap();
    }

    #[test]
    fn what_was_opened_again_for_reading_is_for_reading() {
        let file = create("a test").unwrap();
        file.set_len(4096).unwrap();
        let reader = open_again(&file, Access::Read).unwrap();
        assert_eq!(reader.write_all_at(b"x", 0).unwrap_err().raw_os_error(), Some(Errno::EBADF as i32));
    }
}
