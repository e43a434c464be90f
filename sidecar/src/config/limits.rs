//! How much each tier may hold, and what binds it: promise honest-full.
//!
//! Shared memory that is reserved beyond a control group's limit is not an error but a killed process, so the RAM tier
//! is never given more than every bound allows, less headroom for what else lives under it. Each bound is kept, so that
//! the daemon can say at start what the limit is and why.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use payload_manager_tiers::gauge;

use super::machine::Machine;
use super::units::size_for_people;

/// One thing that limits a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// What it is: `shared memory at /dev/shm`, `memory allowed by /sys/fs/cgroup/memory.max`.
    pub what: String,
    /// What it allows in all, in bytes.
    pub total: u64,
    /// What of that is left alone, in bytes: for the daemon itself, and for others who live there.
    pub headroom: u64,
}

impl Bound {
    /// What it leaves for the tier, in bytes.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.total.saturating_sub(self.headroom)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", size_for_people(self.total), self.what)?;
        if self.headroom > 0 {
            write!(f, ", less {} headroom", size_for_people(self.headroom))?;
        }
        Ok(())
    }
}

/// How a capacity was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// As it was asked for.
    AsAsked,
    /// Less than these bytes that were asked for: a bound is tighter.
    Capped(u64),
    /// Nobody asked: this share of the tightest bound, in percent.
    Share(u64),
}

/// How many bytes a tier may hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// The limit in bytes.
    pub bytes: u64,
    /// How it came about.
    pub settled: Settled,
    /// What the machine allows, tightest first; never empty.
    pub bounds: Vec<Bound>,
}

impl Capacity {
    /// The RAM tier's, `asked` or a half of the tightest of shared memory, control groups and memory, each less what the
    /// shared pages may grow to.
    ///
    /// # Errors
    /// When there is no shared memory, or nothing of it is left.
    pub fn of_ram(machine: &Machine, asked: Option<u64>, pages: Pages) -> Result<Self, String> {
        Self::settle(ram_bounds(machine, pages)?, asked, RAM_SHARE)
    }

    /// The DISK tier's, `asked` or four fifths of what the file system of `folder` has left for it. What already lies
    /// in the folder counts as left for it, so that a restart does not shrink the tier.
    ///
    /// # Errors
    /// When the file system can't be asked, or nothing of it is left.
    pub fn of_disk(machine: &Machine, folder: &Path, asked: Option<u64>) -> Result<Self, String> {
        let space =
            machine.space(folder).map_err(|e| format!("the room at {} can't be told: {e}", folder.display()))?;
        // What fits into the free space alone need not be held against the rest, which takes a look at every file.
        let own = if asked.is_some_and(|asked| asked <= space.available) { 0 } else { used_below(folder) };
        let what = format!("{} space at {}", if own == 0 { "free" } else { "free and own" }, folder.display());
        let bound = Bound { what, total: space.available.saturating_add(own), headroom: 0 };
        Self::settle(vec![bound], asked, DISK_SHARE)
    }

    fn settle(mut bounds: Vec<Bound>, asked: Option<u64>, share: u64) -> Result<Self, String> {
        bounds.sort_by_key(Bound::room);
        let tightest = bounds.first().ok_or("nothing on this machine tells how much there is")?;
        let room = tightest.room();
        if room < PAGE {
            return Err(format!("there is no room: {tightest} is all there is"));
        }
        let (bytes, settled) = match asked {
            Some(asked) if asked > room => (whole(room), Settled::Capped(asked)),
            Some(asked) => (asked, Settled::AsAsked),
            None => (whole(percent(room, share)), Settled::Share(share)),
        };
        Ok(Self { bytes, settled, bounds })
    }

    /// What the machine allows at most: the bound that binds, or would if more were asked for.
    #[must_use]
    pub fn tightest(&self) -> Option<&Bound> {
        self.bounds.first()
    }

    /// Why it is that much, naming the bound that binds.
    #[must_use]
    pub fn explain(&self) -> String {
        let tightest = self.tightest().map(Bound::to_string).unwrap_or_default();
        match self.settled {
            Settled::AsAsked => format!("as asked for, within {tightest}"),
            Settled::Capped(asked) => format!("{} asked for, bound by {tightest}", size_for_people(asked)),
            Settled::Share(share) => format!("{share}% of {tightest}"),
        }
    }
}

/// Bytes and reason, for the log at start.
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", size_for_people(self.bytes), self.explain())
    }
}

/// What the shared pages are made for. They lie in shared memory like the payloads, and grow with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// As many payloads as there may be.
    pub payloads: u32,
    /// As many leases as there may be.
    pub leases: u32,
}

impl Pages {
    /// Bytes of the directory for each payload: an entry, and its part of the hash table.
    const ENTRY: u64 = 64 + 16;
    /// Bytes of the records for each block of RAM; there are a quarter more than payloads.
    const RECORD: u64 = 128;
    /// Bytes of the lease pages for each lease.
    const LEASE: u64 = 16;

    /// What they may grow to in `total` bytes of shared memory: each block takes a page of it at least, so a small one has
    /// few. No more than a quarter is set aside: where they would want more, they say so when they can't grow.
    fn most(self, total: u64) -> u64 {
        let payloads = u64::from(self.payloads);
        let blocks = (payloads + payloads / 4).min(total / PAGE);
        let most = payloads * Self::ENTRY + blocks * Self::RECORD + u64::from(self.leases) * Self::LEASE;
        most.min(total / 4)
    }
}

/// Half: other programs have a claim to memory too, and who wants more says so.
const RAM_SHARE: u64 = 50;
const DISK_SHARE: u64 = 80;
const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// In 128 bits: a file system that reports no limit reports a number near 2^64.
fn percent(bytes: u64, share: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(share) / 100).unwrap_or(u64::MAX)
}

/// Rounded down to something that reads well: whole mebibytes, or pages where there is less than that.
fn whole(bytes: u64) -> u64 {
    let unit = if bytes >= MIB { MIB } else { PAGE };
    (bytes / unit * unit).max(PAGE)
}

fn ram_bounds(machine: &Machine, pages: Pages) -> Result<Vec<Bound>, String> {
    let folder = machine.at("/dev/shm");
    let shared =
        (machine.space)(&folder).map_err(|e| format!("there is no shared memory at {}: {e}", folder.display()))?;
    let mut bounds = Vec::new();
    // Directory, records and lease pages live in the same place.
    if shared.total > 0 {
        let headroom = share(shared.total, 16, 8 * MIB, 256 * MIB).max(pages.most(shared.total));
        let what = format!("shared memory at {}", folder.display());
        bounds.push(Bound { what, total: shared.total, headroom });
    }
    // The daemon's own memory, its page cache, and its neighbours in the group.
    bounds.extend(gauge::memory_limits(&machine.root).into_iter().map(|limit| Bound {
        what: format!("memory allowed by {}", limit.file.display()),
        total: limit.bytes,
        headroom: share(limit.bytes, 8, 32 * MIB, GIB),
    }));
    if let Some(total) = memory_total(machine) {
        bounds.push(Bound { what: "main memory".into(), total, headroom: share(total, 8, 64 * MIB, 4 * GIB) });
    }
    Ok(bounds)
}

/// A part of `total`, at least `least` and at most `most`, but never more than half of it.
fn share(total: u64, part: u64, least: u64, most: u64) -> u64 {
    (total / part).clamp(least, most).min(total / 2)
}

fn memory_total(machine: &Machine) -> Option<u64> {
    let text = fs::read_to_string(machine.at("/proc/meminfo")).ok()?;
    let kib: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The bytes that the files below `folder` take up on disk. Links are not followed; what can't be looked at is not ours
/// and does not count.
fn used_below(folder: &Path) -> u64 {
    let mut used = 0u64;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => used = used.saturating_add(found.blocks().saturating_mul(512)),
                Err(_) => {}
            }
        }
    }
    used
}

#[cfg(test)]
mod tests;
