//! What the daemon does when it retires many blocks at once: one look for leases on them through the pages of all sessions,
//! under its lock.

use std::time::Instant;

use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::{
    Clock, Directory, DirectoryReader, EntryState, Face, Identity, LeaseTable, SessionPages, Wanted, object,
};
use payload_manager_types::{BlockName, InstanceId, LeaseDeadline, PayloadId, PayloadState, Place, Tier};

use super::Ground;
use crate::Result;
use crate::row::{Row, Target};
use crate::sample::{Samples, millis};

/// Slots of a session's page.
const SLOTS: u32 = 1024;

pub(super) fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let base = format!("/pm-bench-{}-retire", std::process::id());
    let measured = looks(ground, &base);
    for left in object::list(&base)? {
        object::unlink(&left.name)?;
    }
    ground.tell(Row::alone("retire.10k", "ms", &measured?, Target::AtMost(10.0)))
}

fn looks(ground: &Ground<'_>, base: &str) -> Result<Samples> {
    let (sessions, blocks) = ground.scale.retired;
    let identity = Identity::of(InstanceId::from_bytes([7; 16]))?;
    let mut directory = Directory::create(&format!("{base}-directory"), &identity, blocks)?;
    let mut names = Vec::new();
    for n in 0..blocks {
        let index = directory.insert(&face(n))?;
        names.push(BlockName { index, generation: 1 });
    }
    let now = monotonic_ms();
    let (mut pages, _) =
        SessionPages::open(base, &identity, directory.epoch_ms(), blocks, now, LeaseDeadline(now + 60_000))?;
    let mut leases = Vec::new();
    for session in 0..sessions {
        let page = pages.create(SLOTS)?;
        let file = std::os::fd::AsFd::as_fd(&page.descriptor()).try_clone_to_owned()?;
        let reader = DirectoryReader::of_file(object::open_read_only(&format!("{base}-directory"))?)?;
        let table = LeaseTable::new(reader, file.into(), Clock::with_offset(0), ())?;
        let wanted = Wanted { duration: std::time::Duration::from_secs(60), min_tier: Tier::Ram };
        for slot in 0..SLOTS {
            leases.extend(table.take(id((session * 7 + slot) % blocks), wanted));
        }
    }
    let mut samples = Samples::default();
    for _ in 0..ground.scale.calls.samples.div_ceil(20) {
        let begun = Instant::now();
        let found = pages.holders(&names, monotonic_ms());
        samples.add(millis(begun.elapsed()));
        if found.iter().all(|holders| holders.pinning == 0) {
            return Err("nobody holds anything".into());
        }
    }
    Ok(samples)
}

fn id(n: u32) -> PayloadId {
    PayloadId::from_words(1 << 60 | u64::from(n), 1 + u64::from(n))
}

fn face(n: u32) -> Face {
    Face {
        id: id(n),
        version: 1,
        tier: Tier::Ram,
        place: Place { unit: 1, offset: 64 * u64::from(n) },
        length: 64,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [0, 1, 0, 0],
        last_generation: 1,
    }
}
