//! Shared-memory objects by name: make, open, list, unlink, size, mode. No mapping (`map`, `view`), no layout (`page`).
//!
//! A name is that of `shm_open`: one leading slash and no other, and lies in [`FOLDER`]. A longer path is taken as it is,
//! for a tmpfs of the operator's own (one with huge pages, say). Every descriptor is close-on-exec and follows no link.
//! Bytes can be read and written through the returned [`File`], `read_exact_at` and `write_all_at` included.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FallocateFlags, OFlag, RenameFlags, fallocate, renameat2};
use thiserror::Error;

/// Where names without a folder lie.
pub const FOLDER: &str = "/dev/shm";

/// Why an object was not made. Nothing of it is left.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// Not a name: empty, `.` or `..`, or with a NUL.
    #[error("{0:?} can't name a shared-memory object")]
    BadName(String),
    /// There is one of that name.
    #[error("{0} is there already")]
    AlreadyThere(String),
    /// No memory for it.
    #[error("no memory for the {bytes} bytes of {name}: {source}")]
    Full {
        /// The object.
        name: String,
        /// How many it was to have.
        bytes: u64,
        /// What the kernel said; mostly ENOSPC.
        source: io::Error,
    },
    /// The kernel said no.
    #[error("{name}: {source}")]
    Os {
        /// The object.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// One object that [`list`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// With the leading slash, as the other functions take it.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The path behind a name.
///
/// # Errors
/// The name is none.
pub fn path_of(name: &str) -> Result<PathBuf, ObjectError> {
    let short = name.strip_prefix('/').unwrap_or(name);
    if matches!(short, "" | "." | "..") || name.contains('\0') || name.ends_with('/') {
        return Err(ObjectError::BadName(name.to_owned()));
    }
    Ok(if short.contains('/') { PathBuf::from(name) } else { Path::new(FOLDER).join(short) })
}

/// Makes an object of `bytes` bytes, all of them backed by memory (promise honest-full), open for reading and writing.
///
/// # Errors
/// The name is taken, or there is not that much memory: then nothing of it is left.
pub fn create(name: &str, bytes: u64, mode: u32) -> Result<File, ObjectError> {
    let file = create_empty(name, mode)?;
    reserve(&file, 0, bytes).map_err(|source| {
        // Best effort: the error that counts is the one we are about to tell.
        let _ = unlink(name);
        ObjectError::Full { name: name.to_owned(), bytes, source }
    })?;
    Ok(file)
}

/// Makes an object with nothing in it.
pub(crate) fn create_empty(name: &str, mode: u32) -> Result<File, ObjectError> {
    let path = path_of(name)?;
    let file = options().read(true).write(true).create_new(true).mode(mode).open(path).map_err(|e| os(name, e))?;
    // The umask may have taken bits away.
    chmod(&file, mode).map_err(|e| os(name, e))?;
    Ok(file)
}

/// Opens an object for reading and writing.
///
/// # Errors
/// As the kernel says; `NotFound` when there is none.
pub fn open(name: &str) -> io::Result<File> {
    options().read(true).write(true).open(path_of(name).map_err(invalid)?)
}

/// Opens an object for reading.
///
/// # Errors
/// As the kernel says; `NotFound` when there is none.
pub fn open_read_only(name: &str) -> io::Result<File> {
    options().read(true).open(path_of(name).map_err(invalid)?)
}

/// Removes a name; the memory goes with the last mapping and descriptor. Whether there was one.
///
/// # Errors
/// As the kernel says; that there is none is no error.
pub fn unlink(name: &str) -> io::Result<bool> {
    match fs::remove_file(path_of(name).map_err(invalid)?) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether there is an object of that name.
///
/// # Errors
/// As the kernel says.
pub fn exists(name: &str) -> io::Result<bool> {
    path_of(name).map_err(invalid)?.try_exists()
}

/// How many bytes an object has.
///
/// # Errors
/// There is none, or it is something else; as the kernel says.
pub fn length(name: &str) -> io::Result<u64> {
    let path = path_of(name).map_err(io::Error::other)?;
    let found = fs::symlink_metadata(path)?;
    if found.is_file() { Ok(found.len()) } else { Err(io::Error::other("not a shared-memory object")) }
}

/// The objects whose names begin with `prefix`, in no order. A prefix that ends with a slash means all of that folder.
///
/// # Errors
/// The folder can't be read. What vanishes while we look is left out.
pub fn list(prefix: &str) -> io::Result<Vec<Listed>> {
    let mut found = Vec::new();
    each(prefix, |item, name| {
        match item.metadata() {
            Ok(facts) if facts.is_file() => found.push(Listed { name, bytes: facts.len() }),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        Ok(())
    })?;
    Ok(found)
}

/// As [`list`], the names alone: where there are many objects, asking how long each is takes most of the time.
///
/// # Errors
/// As the kernel says.
pub fn names(prefix: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    each(prefix, |item, name| {
        if item.file_type()?.is_file() {
            found.push(name);
        }
        Ok(())
    })?;
    Ok(found)
}

fn each(prefix: &str, mut look: impl FnMut(fs::DirEntry, String) -> io::Result<()>) -> io::Result<()> {
    let (folder, start) = match prefix.rsplit_once('/') {
        None | Some(("", _)) => (Path::new(FOLDER), prefix.trim_start_matches('/')),
        Some((folder, start)) => (Path::new(folder), start),
    };
    for item in fs::read_dir(folder)? {
        let item = item?;
        if let Some(name) = item.file_name().to_str().filter(|n| n.starts_with(start)) {
            let name = named(folder, name);
            look(item, name)?;
        }
    }
    Ok(())
}

fn named(folder: &Path, name: &str) -> String {
    if folder == Path::new(FOLDER) { format!("/{name}") } else { format!("{}/{name}", folder.display()) }
}

/// Sets the permission bits.
///
/// # Errors
/// As the kernel says.
pub fn chmod(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Backs `bytes` bytes from `offset` with memory and lets the object grow over them. What is there stays.
///
/// # Errors
/// ENOSPC when the file system is full. Under a memory cgroup the kernel kills instead: look at the limit before.
pub fn reserve(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    allocate(file, FallocateFlags::empty(), offset, bytes)
}

/// Backs bytes of an object with memory and leaves its length alone: what somebody else has cut short stays short.
///
/// # Errors
/// As [`reserve`].
pub fn back(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    allocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, bytes)
}

/// Gives the memory behind these bytes back; they read as zero, the length stays.
///
/// # Errors
/// As the kernel says.
pub fn punch(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    allocate(file, FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, bytes)
}

fn allocate(file: &File, flags: FallocateFlags, offset: u64, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let (Ok(offset), Ok(bytes)) = (offset.try_into(), bytes.try_into()) else {
        return Err(io::Error::from(Errno::EFBIG));
    };
    loop {
        match fallocate(file, flags, offset, bytes) {
            Err(Errno::EINTR) => {}
            done => return done.map_err(io::Error::from),
        }
    }
}

/// Gives an object its final name, which must be free: what is under a final name is whole.
pub(crate) fn rename_new(from: &str, to: &str) -> Result<(), ObjectError> {
    let (old, new) = (path_of(from)?, path_of(to)?);
    renameat2(AT_FDCWD, &old, AT_FDCWD, &new, RenameFlags::RENAME_NOREPLACE).map_err(|e| os(to, e.into()))
}

/// Gives an object the name of another one, which loses it: whoever opens the name finds the one or the other, never none.
///
/// # Errors
/// As the kernel says; then both keep their names.
pub fn replace(from: &str, to: &str) -> io::Result<()> {
    fs::rename(path_of(from).map_err(invalid)?, path_of(to).map_err(invalid)?)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits());
    options
}

fn os(name: &str, source: io::Error) -> ObjectError {
    let name = name.to_owned();
    match source.kind() {
        io::ErrorKind::AlreadyExists => ObjectError::AlreadyThere(name),
        _ => ObjectError::Os { name, source },
    }
}

fn invalid(e: ObjectError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, e)
}

#[cfg(test)]
mod tests;
