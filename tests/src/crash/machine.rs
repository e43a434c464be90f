//! What lies on the machine: shared memory, files and counters say what the listing says, and nothing more (promise:
//! no-leak).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;

use payload_manager_api::admin::v1::StatsResponse;
use payload_manager_api::core::v1::{PayloadDescriptor, PayloadId, PayloadState, Tier};
use payload_manager_tiers::disk::read_marker;

use super::belief::{Claim, Known, name_of};
use crate::remains::files_under;
use crate::wait::eventually_async;
use crate::{Daemon, Rpc};

/// What must be there, and what may be there besides: blocks that a lease nobody can count on may keep.
#[derive(Debug, Default)]
struct Expected {
    objects: BTreeSet<String>,
    files: BTreeSet<String>,
    stored: BTreeSet<String>,
    maybe: BTreeSet<String>,
    payloads: [u64; 3],
    bytes: [u64; 3],
    copied: u64,
    claims: u64,
    /// Nothing is kept by leases at all.
    quiet: bool,
}

/// Checks the machine against the listing and the leases that are known. What is being freed is waited for.
///
/// # Panics
/// If something is missing, or too much.
pub async fn check(daemon: &Daemon, rpc: &mut Rpc, known: &[&Known]) {
    let expected = expect(daemon, rpc, known).await;
    let looks = Cell::new(0u32);
    eventually_async("shared memory, files and counters agree", || async {
        let stats = rpc.clone().stats().await.unwrap();
        let difference = compare(daemon, &expected, &stats);
        looks.set(looks.get() + 1);
        // Said once, before it is given up.
        if looks.get() == 1000 {
            eprintln!("the machine is not as it should be: {difference}");
        }
        difference.is_empty()
    })
    .await;
}

async fn expect(daemon: &Daemon, rpc: &mut Rpc, known: &[&Known]) -> Expected {
    let mut expected = Expected { quiet: true, ..Expected::default() };
    for row in rpc.list().await.unwrap() {
        let descriptor = rpc.descriptor(row.id.unwrap()).await.unwrap();
        expected.listed(daemon, &descriptor);
    }
    for known in known {
        let live = known.claims.iter().filter(|claim| claim.is_live());
        for claim in live {
            expected.leased(daemon, &known.id, claim);
        }
        if known.is_haunted() {
            expected.quiet = false;
            expected.maybe.extend(names(daemon, &known.id));
        }
    }
    expected
}

impl Expected {
    fn listed(&mut self, daemon: &Daemon, descriptor: &PayloadDescriptor) {
        let id = descriptor.payload_id.as_ref().unwrap();
        let [object, bin, meta] = names(daemon, id);
        let in_tier = |tier: Tier| descriptor.copies.contains(&(tier as i32));
        if in_tier(Tier::Ram) {
            self.objects.insert(object);
            // Memory is given out in pages.
            self.copied += descriptor.size_bytes.next_multiple_of(4096);
        }
        if in_tier(Tier::Disk) {
            self.files.insert(bin.clone());
            self.copied += descriptor.size_bytes;
            if descriptor.state() == PayloadState::Allocated {
                // A commit that came to nothing may have written it.
                self.maybe.insert(meta.clone());
            } else {
                self.files.insert(meta.clone());
            }
        }
        if in_tier(Tier::Object) {
            self.stored.extend([&bin, &meta].map(|name| in_store(name)));
        }
        let shown = [Tier::Ram, Tier::Disk, Tier::Object].iter().position(|tier| *tier == descriptor.tier()).unwrap();
        self.payloads[shown] += 1;
        self.bytes[shown] += descriptor.size_bytes;
    }

    fn leased(&mut self, daemon: &Daemon, id: &PayloadId, claim: &Claim) {
        let [object, bin, meta] = names(daemon, id);
        self.claims += 1;
        self.quiet = false;
        match claim.tier {
            Tier::Ram => drop(self.objects.insert(object)),
            _ => self.files.extend([bin, meta]),
        }
    }
}

/// Object, file and metadata of a payload.
fn names(daemon: &Daemon, id: &PayloadId) -> [String; 3] {
    let name = name_of(id);
    let shard = &name[name.len() - 2..];
    [format!("/{}-{name}", daemon.setup().prefix), format!("{shard}/{name}.bin"), format!("{shard}/{name}.meta.json")]
}

/// The object that is named like a file.
fn in_store(file: &str) -> String {
    file.split('/').next_back().unwrap_or_default().to_owned()
}

/// The objects of a store in a folder, but for the marker and the streams' logs.
fn stored(daemon: &Daemon) -> BTreeSet<String> {
    let files = files_under(&daemon.setup().object_folder());
    files
        .iter()
        .filter(|path| !path.starts_with("streams"))
        .map(|p| p.display().to_string())
        .filter(|name| name != "instance")
        .collect()
}

/// What differs, in words; empty if nothing does.
fn compare(daemon: &Daemon, expected: &Expected, stats: &StatsResponse) -> String {
    let mut said = Vec::new();
    let objects = payload_objects(daemon);
    let files: BTreeSet<String> = daemon.disk_files().iter().map(|p| p.display().to_string()).collect();
    let stored = stored(daemon);
    let kinds = [
        ("object", &objects, &expected.objects),
        ("file", &files, &expected.files),
        ("object in the store", &stored, &expected.stored),
    ];
    for (kind, there, wanted) in kinds {
        said.extend(wanted.difference(there).map(|name| format!("{kind} {name} is missing")));
        let extra = there.difference(wanted).filter(|name| !expected.maybe.contains(*name));
        said.extend(extra.map(|name| format!("{kind} {name} is left over")));
    }
    let counts = [stats.payloads_ram, stats.payloads_disk, stats.payloads_object];
    let bytes = [stats.bytes_ram, stats.bytes_disk, stats.bytes_object];
    let wanted = (expected.payloads, expected.bytes);
    if (counts, bytes) != wanted {
        said.push(format!("Stats counts {counts:?} and {bytes:?}, the listing {wanted:?}"));
    }
    let used: u64 = stats.tiers.iter().filter(|t| !t.unlimited).map(|t| t.capacity_bytes - t.free_bytes).sum();
    // What is held is told in bytes, and takes pages.
    let least = expected.copied + stats.backlog_bytes;
    if !(least..=least + 4096 * stats.backlog_blocks).contains(&used) {
        said.push(format!("{used} bytes are taken, {} by copies, {} held", expected.copied, stats.backlog_bytes));
    }
    if stats.live_leases < expected.claims {
        said.push(format!("{} leases live, {} are known", stats.live_leases, expected.claims));
    }
    if expected.quiet && (stats.live_leases, stats.backlog_blocks, stats.backlog_bytes) != (0, 0, 0) {
        said.push(format!("nobody holds anything, and {stats:?}"));
    }
    said.join("; ")
}

/// The shared-memory objects of payloads: what is under the prefix and is not a page of the daemon's own.
#[must_use]
pub fn payload_objects(daemon: &Daemon) -> BTreeSet<String> {
    let own = own_pages(&daemon.setup().prefix, &daemon.setup().disk_root());
    daemon.shm().into_iter().filter(|name| !name.starts_with(&own)).collect()
}

/// How the names of a daemon's own pages begin.
///
/// # Panics
/// If its folder does not say whose it is.
#[must_use]
pub fn own_pages(prefix: &str, root: &Path) -> String {
    format!("/{prefix}-{}-", read_marker(root).unwrap().unwrap())
}
