//! The memory limits of the control groups that this process is in: of its own and of every group above it that can be
//! seen, in version 2, version 1, and both at once. What a capacity is settled by; what is left of it at this moment is
//! [`super::CgroupGauge`]'s.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::{NO_LIMIT, line_value};
use super::mount::Mount;

/// One file that limits memory, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLimit {
    /// The file, such as `/sys/fs/cgroup/memory.max`.
    pub file: PathBuf,
    /// The limit in bytes.
    pub bytes: u64,
}

/// Where version 1 tells limits of groups that a container does not see.
const SUMMARY: &str = "memory.stat";

/// Every memory limit that binds this process, from its own group upwards, read below `root`, which is `/` but for tests.
/// What can't be read does not limit: a host without control groups has none.
#[must_use]
pub fn memory_limits(root: &Path) -> Vec<GroupLimit> {
    let groups = read(root, "/proc/self/cgroup").unwrap_or_default();
    let mounts = read(root, "/proc/self/mountinfo").unwrap_or_default();
    let mut limits: Vec<GroupLimit> = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        let Some(group) = groups.lines().find_map(|line| mount.group_in(line)) else { continue };
        let names = mount.version.names();
        for folder in mount.folders(group) {
            for name in names.limits {
                limits.extend(plain(root, folder.join(name)));
            }
            // It mostly repeats what the group's own files said.
            let summary = names.above.and_then(|line| summary(root, folder.join(SUMMARY), line));
            limits.extend(summary.filter(|found| limits.iter().all(|known| known.bytes != found.bytes)));
        }
    }
    limits
}

fn plain(root: &Path, file: PathBuf) -> Option<GroupLimit> {
    let bytes = read(root, &file)?.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT)?;
    Some(GroupLimit { file, bytes })
}

fn summary(root: &Path, file: PathBuf, line: &str) -> Option<GroupLimit> {
    let bytes = line_value(&read(root, &file)?, line).filter(|bytes| *bytes < NO_LIMIT)?;
    Some(GroupLimit { file, bytes })
}

/// A file of the machine whose `/` is at `root`.
pub(super) fn read(root: &Path, path: impl AsRef<Path>) -> Option<String> {
    let path = path.as_ref();
    fs::read_to_string(root.join(path.strip_prefix("/").unwrap_or(path))).ok()
}

#[cfg(test)]
mod tests;
