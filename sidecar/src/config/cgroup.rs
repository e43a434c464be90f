//! The memory limits of the control groups that this process is in: of its own and of every group above it that can be
//! seen, in version 2, version 1, and both at once. It reads `/proc` and the mounted hierarchies; it sets nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::machine::Machine;

/// One file that limits memory, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLimit {
    /// The file, such as `/sys/fs/cgroup/memory.max`.
    pub file: PathBuf,
    /// The limit in bytes.
    pub bytes: u64,
}

/// Version 1 says "no limit" as the largest page-aligned number; nothing real comes near it.
const NO_LIMIT: u64 = 1 << 60;

/// Every memory limit that binds this process, from its own group upwards. What can't be read does not limit: a host
/// without control groups has none.
#[must_use]
pub(super) fn memory_limits(machine: &Machine) -> Vec<GroupLimit> {
    let read = |path| fs::read_to_string(machine.at(path)).unwrap_or_default();
    let (groups, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    let mut limits = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        let Some(group) = groups.lines().find_map(|line| mount.group_in(line)) else { continue };
        for folder in mount.folders(group) {
            let files = mount.version.limit_files().iter().map(|name| folder.join(name));
            for limit in files.filter_map(|file| limit_in(machine, file)) {
                // The summary in `memory.stat` mostly repeats what the group's own files said.
                if !(limit.file.ends_with(SUMMARY)
                    && limits.iter().any(|known: &GroupLimit| known.bytes == limit.bytes))
                {
                    limits.push(limit);
                }
            }
        }
    }
    limits
}

const SUMMARY: &str = "memory.stat";

fn limit_in(machine: &Machine, file: PathBuf) -> Option<GroupLimit> {
    let text = fs::read_to_string(machine.at(&file)).ok()?;
    let number = if file.ends_with(SUMMARY) {
        text.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?
    } else {
        text.as_str()
    };
    let bytes = number.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT)?;
    Some(GroupLimit { file, bytes })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The files of a group that limit memory. `memory.high` throttles instead of killing, and memory that can't be
    /// written back, as this is, would be throttled to a stop. `memory.stat` knows limits of groups that a container
    /// does not see.
    fn limit_files(self) -> &'static [&'static str] {
        match self {
            Self::One => &["memory.limit_in_bytes", SUMMARY],
            Self::Two => &["memory.max", "memory.high"],
        }
    }
}

/// A mounted hierarchy that counts memory.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The group that its mount point shows: `/`, or a container's own.
    root: String,
    point: PathBuf,
}

impl Mount {
    /// From a line of `mountinfo`: `id parent dev root point options [tags…] - type source superoptions`.
    fn parse(line: &str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, point) = (unescape(front.next()?), PathBuf::from(unescape(front.next()?)));
        let mut back = back.split(' ');
        let version = match (back.next()?, back.nth(1)) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", Some(options)) if options.split(',').any(|option| option == "memory") => Version::One,
            _ => return None,
        };
        Some(Self { version, root, point })
    }

    /// The group that a line of `/proc/self/cgroup` names, `number:controllers:group`, if it is of this hierarchy.
    fn group_in<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let ours = match self.version {
            Version::One => controllers.split(',').any(|controller| controller == "memory"),
            Version::Two => controllers.is_empty(),
        };
        ours.then_some(group)
    }

    /// The folders of `group` and of those above it, down to the mount point. A group that this mount does not show,
    /// as in a container with another view of the hierarchy, leaves the mount point, which is then the container's own.
    fn folders(&self, group: &str) -> Vec<PathBuf> {
        let below = Path::new(group).strip_prefix(&self.root).unwrap_or(Path::new(""));
        let hidden = below.components().any(|part| part == std::path::Component::ParentDir);
        let below = if hidden { Path::new("") } else { below };
        let own = self.point.join(below);
        own.ancestors().take_while(|folder| folder.starts_with(&self.point)).map(Path::to_path_buf).collect()
    }
}

/// `mountinfo` writes blanks and backslashes in paths as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

#[cfg(test)]
mod tests;
