//! The shared pages of an instance: opened as the last daemon left them, or made anew.

use payload_manager_shm::{Directory, Identity, OpenError, Records, RpcLeases, SessionPages, SetAside, object};
use payload_manager_tiers::{RamTier, TierStore};
use payload_manager_types::{InstanceId, LeaseDeadline};

use crate::engine::SharedPages;
use crate::instance::base_name;

/// How large they may grow.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Payloads.
    pub max_payloads: u32,
    /// Leases of RPC callers.
    pub max_leases: u32,
    /// The longest lease, in milliseconds.
    pub lease_max_ms: u64,
}

/// Why they can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// What is there is not to be trusted.
    #[error("the shared memory of this instance can't be used: {0}. Start with --fresh to drop what only RAM holds")]
    Open(#[from] OpenError),
    /// They are another user's, and so are the payloads.
    #[error("the shared memory of this instance is of user {0}: run this as that user")]
    Owner(u32),
    /// They can't be made.
    #[error("shared memory can't be made: {0}; see that /dev/shm is mounted, writable and large enough")]
    Make(#[from] object::ObjectError),
    /// The system refused.
    #[error("shared memory: {0}")]
    Io(#[from] std::io::Error),
}

/// Opens the pages; the second value says whether they were gone and had to be made anew.
///
/// # Errors
/// [`PagesError`].
pub fn open(prefix: &str, instance: InstanceId, sizes: Sizes, now_ms: u64) -> Result<(SharedPages, bool), PagesError> {
    let identity = Identity::of(instance)?;
    let base = base_name(prefix, instance);
    let (records_name, directory_name) = (format!("{base}-records"), format!("{base}-directory"));
    let (records, lost) = match Records::open(&records_name, &identity) {
        Ok(records) => (records, false),
        Err(OpenError::NotThere | OpenError::OtherBoot { .. }) => {
            drop_own(&base)?;
            (Records::create(&records_name, &identity, records_for(sizes.max_payloads))?, true)
        }
        Err(error) => return Err(error.into()),
    };
    let directory = match Directory::open(&directory_name, &identity) {
        Ok(directory) => directory,
        Err(OpenError::NotThere) => made_again(&directory_name, &identity, &records, sizes)?,
        Err(error) => return Err(error.into()),
    };
    let latest = LeaseDeadline(now_ms + sizes.lease_max_ms);
    let leases = RpcLeases::open(&base, &identity, directory.epoch_ms(), sizes.max_leases, now_ms, latest)?;
    let (epoch, entries) = (directory.epoch_ms(), directory.max_entries());
    let (sessions, aside) = SessionPages::open(&base, &identity, epoch, entries, now_ms, latest)?;
    aside.iter().for_each(set_aside);
    let for_clients = object::open_read_only(&directory_name)?;
    Ok((SharedPages::new(directory, records, leases, sessions, for_clients, sizes.lease_max_ms), lost))
}

/// Says what is wrong with a page that is not to be trusted, and removes it if it is only its client who has spoilt it
/// (promise no-leak).
fn set_aside(page: &SetAside) {
    let (object, why) = (&page.name, &page.why);
    if !page.is_garbage() {
        tracing::error!(object, %why, "a session's lease page is not to be trusted: its leases are lost. Remove the object once it has been looked at");
        return;
    }
    tracing::error!(object, %why, "a session's lease page is not to be trusted: its leases are lost, and it is removed");
    if let Err(error) = object::unlink(object) {
        tracing::error!(object, %error, "it can't be removed; the next start tries again");
    }
}

/// A block keeps its record until its last lease is gone: so there are more than there can be payloads.
fn records_for(max_payloads: u32) -> u32 {
    max_payloads.saturating_add(max_payloads / 4).saturating_add(64)
}

/// A directory in which every payload that a record names has the entry it had, closed until recovery opens it.
fn made_again(name: &str, identity: &Identity, records: &Records, sizes: Sizes) -> Result<Directory, PagesError> {
    let mut directory = Directory::create(name, identity, sizes.max_payloads)?;
    for (_, stored) in records.iter() {
        let Ok(stored) = stored else { continue };
        let Some(block) = stored.record.block else { continue };
        let mut generations = [0; 4];
        if let Some(slot) = generations.get_mut(payload_manager_types::Tier::Ram.index()) {
            *slot = block.generation;
        }
        let face = payload_manager_shm::Face {
            id: stored.record.id,
            version: stored.record.version,
            tier: payload_manager_types::Tier::Ram,
            place: stored.record.place,
            length: stored.record.length,
            state: payload_manager_shm::EntryState::Closed,
            expires: stored.record.expires,
            generations,
            last_generation: block.generation,
        };
        if let Err(error) = directory.insert_at(block.index, &face) {
            tracing::error!(payload = %stored.record.id, %error, "its entry could not be made again");
        }
    }
    Ok(directory)
}

/// Unlinks the instance's own objects: directory, records, lease pages. No payload's.
fn drop_own(base: &str) -> std::io::Result<()> {
    for found in object::names(&format!("{base}-"))? {
        object::unlink(&found)?;
    }
    Ok(())
}

/// Drops everything of the instance that lies in shared memory: first the payloads that its records name, then the
/// pages.
///
/// # Errors
/// [`PagesError::Owner`], and nothing is unlinked then; [`PagesError::Io`].
pub fn drop_all(prefix: &str, instance: InstanceId, ram: &RamTier) -> Result<u64, PagesError> {
    let base = base_name(prefix, instance);
    let mut dropped = 0;
    let name = format!("{base}-records");
    let records = match Records::open(&name, &Identity::of(instance)?) {
        // What only they name would be left for ever.
        Err(OpenError::OtherOwner { uid, .. }) => return Err(PagesError::Owner(uid)),
        // Shared memory does not outlive a boot: this is one, seen from a container that is told of another.
        Err(OpenError::OtherBoot { found, .. }) => Records::open(&name, &Identity { instance, boot: found }).ok(),
        other => other.ok(),
    };
    if let Some(records) = records {
        for (_, stored) in records.iter() {
            let Ok(stored) = stored else { continue };
            // What is in a segment goes with it, below, and what is sealed went with its daemon.
            if stored.record.place.unit != 0 {
                dropped += 1;
                continue;
            }
            let freed = ram.remove_unfinished(stored.record.id);
            match freed.and_then(|()| ram.free(stored.record.id, stored.record.place)) {
                Ok(()) => dropped += 1,
                Err(error) => tracing::error!(payload = %stored.record.id, %error, "its object could not be removed"),
            }
        }
    }
    drop_own(&base)?;
    Ok(dropped)
}
