//! Payloads that a daemon finds when it starts: rows laid into its catalog, and files into its folder, while it does not
//! run.

use std::fs;

use payload_manager::instance::CATALOG_FILE;
use payload_manager_api::core::v1::PayloadId as WireId;
use payload_manager_catalog::{Change, Sqlite, Store};
use payload_manager_core::facts::{Facts, Labels, Phase};
use payload_manager_tiers::{DiskOptions, DiskTier, Location, TierStore};
use payload_manager_types::{Checksum, EvictionPolicy, PayloadId, Place, Protection, Tier, TierSet, UnixMillis};

use crate::Result;
use crate::daemon::Daemon;

/// Rows of one transaction.
const BATCH: u32 = 10_000;
/// When the first of them was made: 2026, in milliseconds of Unix time.
const THEN: u64 = 1_770_000_000_000;

/// Rows of payloads on DISK of which there are no files: listed, and lost.
pub(crate) async fn rows(daemon: &Daemon, count: u32) -> Result<()> {
    write(daemon, count, 4096, |_| Ok(())).await
}

/// Payloads of `size` bytes on DISK, files and all; not synced, for nobody pulls the plug here.
pub(crate) async fn on_disk(daemon: &Daemon, count: u32, size: u64) -> Result<Vec<WireId>> {
    let disk = DiskTier::open(daemon.disk_root(), DiskOptions::default())?;
    let bytes = vec![7; usize::try_from(size)?];
    let mut ids = Vec::new();
    write(daemon, count, size, |id| {
        let Location::File { path, .. } = disk.location(id, Place::OWN) else { return Err("not a file".into()) };
        if let Some(shard) = path.parent() {
            fs::create_dir_all(shard)?;
        }
        fs::write(&path, &bytes)?;
        fs::write(path.with_extension("meta.json"), "{}")?;
        ids.push(WireId { value: id.as_bytes().to_vec() });
        Ok(())
    })
    .await?;
    Ok(ids)
}

/// Writes rows of payloads on DISK; `each` makes what belongs to one.
async fn write(daemon: &Daemon, count: u32, size: u64, mut each: impl FnMut(PayloadId) -> Result<()>) -> Result<()> {
    let catalog = Sqlite::open(&daemon.data_dir().join(CATALOG_FILE))?;
    let mut catalog = catalog.ok_or("the daemon has made no catalog")?;
    for first in (0..count).step_by(BATCH as usize) {
        let rows = (first..count.min(first + BATCH)).map(|n| row(n, size));
        let rows: Vec<Facts> = rows.collect();
        rows.iter().try_for_each(|row| each(row.id))?;
        let rows = rows.into_iter().map(|facts| Change::Put { facts: Box::new(facts), doomed: None });
        catalog.apply(&rows.collect::<Vec<_>>(), false)?;
        // So that Ctrl-C is heard.
        tokio::task::yield_now().await;
    }
    catalog.rest()?;
    Ok(())
}

/// The `n`th payload: one a millisecond, as UUIDv7 has it.
fn row(n: u32, size: u64) -> Facts {
    let created = THEN + u64::from(n);
    let id = PayloadId::from_words((created << 16) | 0x7000, (0b10 << 62) | u64::from(n.wrapping_mul(0x9e37_79b9)));
    Facts {
        id,
        size,
        phase: Phase::Committed,
        version: 2,
        preferred: Tier::Disk,
        copies: TierSet::EMPTY.with(Tier::Disk),
        created: UnixMillis(created),
        expires: None,
        reclaim_at: None,
        policy: EvictionPolicy::default(),
        no_evict: false,
        protection: Protection::Shared,
        checksum: Some(Checksum([7; 16])),
        pin: None,
        labels: Labels::default(),
    }
}
