//! What daemons leave on the machine: shared-memory objects and files. To look at, and to remove (promise: no-leak is
//! checked by these).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use payload_manager_shm::object;

/// Names of the shared-memory objects that begin with `/<prefix>-`.
///
/// # Panics
/// If shared memory cannot be listed.
#[must_use]
pub fn shm_left(prefix: &str) -> BTreeSet<String> {
    object::list(&format!("/{prefix}-")).unwrap().into_iter().map(|object| object.name).collect()
}

/// Removes the objects that [`shm_left`] finds.
pub fn unlink_shm(prefix: &str) {
    for name in shm_left(prefix) {
        // Somebody else may be quicker.
        let _ = object::unlink(&name);
    }
}

/// Every file under `root`, by its path from there, in order.
///
/// # Panics
/// If the folder is there and cannot be read.
#[must_use]
pub fn files_under(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    // What goes while we look is gone.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
}
