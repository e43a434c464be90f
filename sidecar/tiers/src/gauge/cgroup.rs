//! The real gauge: the memory limits of every cgroup above this process, version 1 and 2, and the host's own memory.
//!
//! Of what a cgroup uses, clean file cache does not count: the kernel takes it back before it kills.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MemoryGauge, Room};

/// Kept free under a limit, in bytes: at least this much, or a sixteenth of the limit ...
const HEADROOM_MIN: u64 = 64 << 20;
/// ... up to this much; but of a small limit a quarter at most.
const HEADROOM_MAX: u64 = 512 << 20;

/// Reads limits and usage under `/proc` and the mounted cgroup trees, afresh at each question.
#[derive(Debug, Clone)]
pub struct CgroupGauge {
    /// Stands before every path that is read: empty, but for tests.
    root: PathBuf,
}

/// What the two versions call the same things.
#[derive(Debug, Clone, Copy)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat`: file cache, and how much of it is not clean.
    cache: [&'static str; 2],
    unclean: [&'static str; 2],
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
    unclean: ["total_dirty", "total_writeback"],
};

const V2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    cache: ["inactive_file", "active_file"],
    unclean: ["file_dirty", "file_writeback"],
};

/// Where one cgroup tree is mounted, and which part of it.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    part: &'a Path,
    at: &'a Path,
}

impl Default for CgroupGauge {
    fn default() -> Self {
        Self::new("/")
    }
}

impl MemoryGauge for CgroupGauge {
    fn room(&self) -> Room {
        let unbound = Room { free: u64::MAX, bound_by: "nothing".to_owned() };
        self.rooms().into_iter().min_by_key(|room| room.free).unwrap_or(unbound)
    }
}

impl CgroupGauge {
    /// Reads below `root`, which has a `proc` folder: `/`, but for tests.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// What every limit leaves.
    fn rooms(&self) -> Vec<Room> {
        let mounts = self.read("/proc/self/mountinfo").unwrap_or_default();
        let groups = self.read("/proc/self/cgroup").unwrap_or_default();
        let mut rooms: Vec<Room> = self.host().into_iter().collect();
        for (names, mount, group) in [
            (V1, mounts.lines().find_map(memory_mount_v1), groups.lines().find_map(memory_group_v1)),
            (V2, mounts.lines().find_map(mount_v2), groups.lines().find_map(|line| line.strip_prefix("0::"))),
        ] {
            if let (Some(mount), Some(group)) = (mount, group) {
                rooms.extend(mount.folders(Path::new(group)).filter_map(|folder| self.group(names, &folder)));
            }
        }
        rooms
    }

    /// What the host itself has: memory that can be had without killing anybody, swap included.
    fn host(&self) -> Option<Room> {
        let text = self.read("/proc/meminfo")?;
        let kib = |name: &str| line_value(&text, name);
        let total = kib("MemTotal:")?.saturating_mul(1024);
        let available = kib("MemAvailable:")?.saturating_add(kib("SwapFree:").unwrap_or(0)).saturating_mul(1024);
        let free = available.saturating_sub(headroom(total));
        Some(Room { free, bound_by: "the host's available memory".to_owned() })
    }

    /// What one cgroup leaves, if it has a limit.
    fn group(&self, names: Names, folder: &Path) -> Option<Room> {
        let number = |name: &str| self.read(folder.join(name))?.trim().parse::<u64>().ok();
        let limit = number(names.limit)?;
        let usage = number(names.usage)?;
        let stat = self.read(folder.join("memory.stat")).unwrap_or_default();
        let sum = |lines: [&str; 2]| lines.iter().filter_map(|name| line_value(&stat, name)).sum::<u64>();
        let reclaimable = sum(names.cache).saturating_sub(sum(names.unclean));
        let held = usage.saturating_sub(reclaimable);
        let free = limit.saturating_sub(headroom(limit)).saturating_sub(held);
        Some(Room { free, bound_by: format!("{} = {limit}", folder.join(names.limit).display()) })
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = path.as_ref();
        fs::read_to_string(self.root.join(path.strip_prefix("/").unwrap_or(path))).ok()
    }
}

impl<'a> Mount<'a> {
    /// From a line of `mountinfo`, if its file system, options included, passes: fields 4 and 5, and after the dash 1
    /// (type) and 3 (options).
    fn parse(line: &'a str, wanted: impl Fn(&str, &str) -> bool) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let mut before = before.split(' ').skip(3);
        let mount = Self { part: Path::new(before.next()?), at: Path::new(before.next()?) };
        wanted(kind, options).then_some(mount)
    }

    /// The folders of `group` and of all above it, as far as they are mounted.
    ///
    /// In a container the mounted part may lie below the group's name as the kernel gives it, or elsewhere: then what
    /// is mounted is all there is to see.
    fn folders(&self, group: &Path) -> impl Iterator<Item = PathBuf> {
        let below = group.strip_prefix(self.part).or_else(|_| group.strip_prefix("/")).unwrap_or(Path::new(""));
        below.ancestors().map(|part| self.at.join(part)).collect::<Vec<_>>().into_iter()
    }
}

fn memory_mount_v1(line: &str) -> Option<Mount<'_>> {
    Mount::parse(line, |kind, options| kind == "cgroup" && options.split(',').any(|o| o == "memory"))
}

fn mount_v2(line: &str) -> Option<Mount<'_>> {
    Mount::parse(line, |kind, _| kind == "cgroup2")
}

/// The group of a line `4:memory:/group`.
fn memory_group_v1(line: &str) -> Option<&str> {
    let mut fields = line.splitn(3, ':').skip(1);
    fields.next()?.split(',').any(|controller| controller == "memory").then(|| fields.next()).flatten()
}

/// The number behind a name that starts a line.
fn line_value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok()).flatten()
    })
}

/// How much of a limit is not for payloads.
fn headroom(limit: u64) -> u64 {
    (limit / 16).clamp(HEADROOM_MIN, HEADROOM_MAX).min(limit / 4)
}
