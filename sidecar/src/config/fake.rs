//! A machine for tests: a folder that stands for `/`, with 8 GiB of shared memory, 16 GiB of memory and a half-full disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::machine::{Machine, Space};

const GIB: u64 = 1 << 30;

/// The machine, and the folder that goes away with it.
pub(super) struct Fake {
    pub(super) machine: Machine,
    folder: TempDir,
}

impl Fake {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().to_path_buf();
        for name in ["dev/shm", "proc/self", "run", "tmp", "var/lib", "home"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let found = fs::metadata(&root).unwrap();
        let working_dir = root.join("home");
        let env = std::collections::BTreeMap::new();
        let fake = Self { machine: Machine { root, env, uid: found.uid(), gid: 77, working_dir, space }, folder };
        fake.write("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1024 kB\n");
        fake
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.machine.at(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.machine.env.insert(name.into(), value.as_ref().into());
        self
    }

    /// Puts a file where a folder is, so that nothing can be made there: the only refusal that root meets too.
    pub(super) fn block(&self, path: &str) {
        fs::remove_dir_all(self.at(path)).unwrap();
        self.write(path, "in the way");
    }
}

fn space(path: &Path) -> std::io::Result<Space> {
    if path.ends_with("dev/shm") {
        fs::metadata(path)?;
        return Ok(Space { total: 8 * GIB, available: 8 * GIB, in_memory: true });
    }
    Ok(Space { total: 100 * GIB, available: 50 * GIB, in_memory: path.to_string_lossy().contains("tmp/memory") })
}
