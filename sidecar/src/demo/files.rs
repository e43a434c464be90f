//! Which files the demo takes, in an order that is the same every time, and why it leaves others out.
//!
//! It looks and opens; it reads no byte and changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file to be put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    /// Where it is; absolute.
    pub(super) path: PathBuf,
    /// Its bytes when it was looked at.
    pub(super) len: u64,
}

/// Why a file or folder was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeftOut {
    /// It has no bytes, and a payload has at least one.
    Empty,
    /// Its name begins with a dot, and nobody named it.
    Hidden,
    /// It points to something that is taken, or not, by its own name.
    Link,
    /// It is a socket, a device or the like.
    NotAFile,
    /// It can't be opened, or listed.
    Unreadable,
    /// It was taken under another name.
    Again,
    /// Its name can't be written into the plan.
    OddName,
    /// It has more bytes than are left of the limit.
    OverLimit,
    /// As many files as may be were taken.
    TooMany,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Hidden => "hidden",
            Self::Link => "links",
            Self::NotAFile => "no regular files",
            Self::Unreadable => "not readable",
            Self::Again => "the same file under another name",
            Self::OddName => "named in bytes that are no UTF-8",
            Self::OverLimit => "larger than what was left of --limit",
            Self::TooMany => "beyond --max-files",
        })
    }
}

/// How much may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Bytes of all files together.
    pub(super) bytes: u64,
    /// Files.
    pub(super) files: usize,
}

/// What is taken.
#[derive(Debug, Default)]
pub(super) struct Picked {
    /// In the order in which they were found.
    pub(super) files: Vec<Taken>,
    /// Their bytes.
    pub(super) bytes: u64,
    /// How many were left out, and why.
    pub(super) left_out: BTreeMap<LeftOut, u64>,
    /// Device and number of each, for files with several names.
    pub(super) seen: HashSet<(u64, u64)>,
}

impl Picked {
    /// Takes `path` itself, or all files below it: names in order, and folders that are marked as caches, such as Cargo's
    /// build folders, after everything else.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn add(&mut self, path: &Path, most: Most) -> io::Result<()> {
        // What is named may be a link.
        let path = fs::canonicalize(path)?;
        let found = fs::metadata(&path)?;
        let mut later = Vec::new();
        if found.is_dir() {
            self.folder(&path, most, &mut later)
        } else {
            self.file(path, &found, most)
        }
        // A cache within a cache comes after it, so this grows.
        let mut next = 0;
        while let Some(folder) = later.get(next).cloned() {
            self.folder(&folder, most, &mut later);
            next += 1;
        }
        Ok(())
    }

    /// The size of the largest file.
    pub(super) fn largest(&self) -> u64 {
        self.files.iter().map(|file| file.len).max().unwrap_or(0)
    }

    fn folder(&mut self, folder: &Path, most: Most, later: &mut Vec<PathBuf>) {
        let listed = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let Ok(mut entries) = listed else { return self.leave(LeftOut::Unreadable) };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // Of the link itself, where it is one.
            match entry.metadata() {
                Err(_) => self.leave(LeftOut::Unreadable),
                Ok(_) if entry.file_name().as_encoded_bytes().starts_with(b".") => self.leave(LeftOut::Hidden),
                Ok(found) if found.is_dir() && path.join("CACHEDIR.TAG").exists() => later.push(path),
                Ok(found) if found.is_dir() => self.folder(&path, most, later),
                Ok(found) => self.file(path, &found, most),
            }
        }
    }

    fn file(&mut self, path: PathBuf, found: &Metadata, most: Most) {
        if let Some(reason) = self.objection(&path, found, most) {
            return self.leave(reason);
        }
        self.seen.insert((found.dev(), found.ino()));
        self.bytes += found.len();
        self.files.push(Taken { path, len: found.len() });
    }

    fn objection(&self, path: &Path, found: &Metadata, most: Most) -> Option<LeftOut> {
        if found.is_symlink() {
            return Some(LeftOut::Link);
        }
        // Before it is opened: to open a pipe is to wait for its other end.
        if !found.is_file() {
            return Some(LeftOut::NotAFile);
        }
        if found.len() == 0 {
            return Some(LeftOut::Empty);
        }
        if path.to_str().is_none() {
            return Some(LeftOut::OddName);
        }
        if self.seen.contains(&(found.dev(), found.ino())) {
            return Some(LeftOut::Again);
        }
        if self.files.len() >= most.files {
            return Some(LeftOut::TooMany);
        }
        if found.len() > most.bytes.saturating_sub(self.bytes) {
            return Some(LeftOut::OverLimit);
        }
        File::open(path).is_err().then_some(LeftOut::Unreadable)
    }

    fn leave(&mut self, reason: LeftOut) {
        *self.left_out.entry(reason).or_default() += 1;
    }
}

/// What is taken when nobody names anything: this project's sources and what was built from them, as far as they are on
/// this machine; else the current folder.
pub(super) fn usual(current: &Path, program: &Path) -> Vec<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|root| root.join("Cargo.toml").is_file());
    let root = project.unwrap_or(current);
    // Cargo's folder of what it built may lie elsewhere, and this program in it.
    let built = program.parent().filter(|folder| folder.join("deps").is_dir() && !folder.starts_with(root));
    [Some(root), built].into_iter().flatten().map(Path::to_path_buf).collect()
}

#[cfg(test)]
mod tests;
