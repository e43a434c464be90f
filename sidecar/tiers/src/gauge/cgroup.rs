//! The real gauge: the memory limits of every cgroup above this process, version 1 and 2, and the host's own memory.
//!
//! Of what a cgroup uses, clean file cache does not count: the kernel takes it back before it kills.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::limits::read;
use super::mount::{Mount, Version};
use super::{MemoryGauge, Room};

/// Kept free under a limit, in bytes: at least this much, or a sixteenth of the limit ...
const HEADROOM_MIN: u64 = 64 << 20;
/// ... up to this much; but of a small limit a quarter at most.
const HEADROOM_MAX: u64 = 512 << 20;

/// Version 1 says "no limit" as the largest page-aligned number; nothing real comes near it.
pub(super) const NO_LIMIT: u64 = 1 << 60;

/// Reads limits and usage under `/proc` and the mounted cgroup trees, afresh at each question.
#[derive(Debug, Clone)]
pub struct CgroupGauge {
    /// Stands for `/` in every path that is read.
    root: PathBuf,
    trees: Arc<[Mount]>,
}

/// What the two versions call the same things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// What kills beyond it, and what throttles to a stop: memory like ours can't be written back.
    pub(super) limits: &'static [&'static str],
    usage: &'static str,
    /// Lines of `memory.stat`: file cache, and how much of it is not clean.
    cache: [&'static str; 2],
    unclean: [&'static str; 2],
    /// The line of `memory.stat` that tells the tightest limit of the groups above, seen or not.
    pub(super) above: Option<&'static str>,
}

const V1: Names = Names {
    limits: &["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
    unclean: ["total_dirty", "total_writeback"],
    above: Some("hierarchical_memory_limit"),
};

const V2: Names = Names {
    limits: &["memory.max", "memory.high"],
    usage: "memory.current",
    cache: ["inactive_file", "active_file"],
    unclean: ["file_dirty", "file_writeback"],
    above: None,
};

impl Version {
    pub(super) fn names(self) -> Names {
        match self {
            Self::One => V1,
            Self::Two => V2,
        }
    }
}

impl Default for CgroupGauge {
    fn default() -> Self {
        Self::new("/")
    }
}

impl MemoryGauge for CgroupGauge {
    fn room(&self, wanted: u64) -> Room {
        let rooms = self.host().into_iter().chain(self.groups(wanted));
        rooms.min_by_key(|room| room.free).unwrap_or_else(Room::unbound)
    }
}

impl CgroupGauge {
    /// Reads below `root`, which has a `proc` folder: `/`, but for tests. Where the trees are mounted is looked up here;
    /// everything else at use.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let mut gauge = Self { root: root.into(), trees: Arc::default() };
        let mounts = gauge.read("/proc/self/mountinfo").unwrap_or_default();
        gauge.trees = mounts.lines().filter_map(Mount::parse).collect();
        gauge
    }

    /// What the limits of the cgroups above this process leave.
    fn groups(&self, wanted: u64) -> Vec<Room> {
        let lines = self.read("/proc/self/cgroup").unwrap_or_default();
        let folders = self.trees.iter().filter_map(|tree| Some((tree, lines.lines().find_map(|l| tree.group_in(l))?)));
        folders
            .flat_map(|(tree, group)| tree.folders(group).map(|folder| (tree.version, folder)))
            .filter_map(|(version, folder)| self.group(version, &folder, wanted))
            .collect()
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

    /// What one cgroup leaves, if it has a limit. The statistics are slow to read, and only read if it seems too little.
    fn group(&self, version: Version, folder: &Path, wanted: u64) -> Option<Room> {
        let names = version.names();
        let number = |name: &str| self.read(folder.join(name))?.trim().parse::<u64>().ok();
        let limits = names.limits.iter().filter_map(|name| Some((number(name)?, name)));
        let (limit, name) = limits.min().filter(|(limit, _)| *limit < NO_LIMIT)?;
        let usage = number(names.usage)?;
        let left = |usage| limit.saturating_sub(headroom(limit)).saturating_sub(usage);
        let mut free = left(usage);
        if free < wanted {
            free = left(usage.saturating_sub(self.reclaimable(names, folder)));
        }
        Some(Room { free, bound_by: format!("{} = {limit}", folder.join(name).display()) })
    }

    /// How much of what a cgroup uses is clean file cache, in bytes.
    fn reclaimable(&self, names: Names, folder: &Path) -> u64 {
        let stat = self.read(folder.join("memory.stat")).unwrap_or_default();
        let sum = |lines: [&str; 2]| lines.iter().filter_map(|name| line_value(&stat, name)).sum::<u64>();
        sum(names.cache).saturating_sub(sum(names.unclean))
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        read(&self.root, path)
    }
}

/// The number behind a name that starts a line.
pub(super) fn line_value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok()).flatten()
    })
}

/// How much of a limit is not for payloads.
fn headroom(limit: u64) -> u64 {
    (limit / 16).clamp(HEADROOM_MIN, HEADROOM_MAX).min(limit / 4)
}
