//! Where bytes and their archives lie: the DISK tier's folder, a prefix of an object store. Only read.

use std::path::PathBuf;

use payload_manager_tiers::disk::read_marker;
use payload_manager_tiers::{DiskOptions, DiskTier, Found, ObjectTier, TierError, object};
use payload_manager_types::{InstanceId, PayloadId, Tier};

use crate::bucket;
use crate::config::Config;

/// One of them.
pub(super) enum Shelf {
    Disk(DiskTier, PathBuf),
    Object(ObjectTier, String),
}

/// What lies on it.
pub(super) enum Thing {
    /// So many bytes of a payload.
    Bytes(PayloadId, u64),
    /// What is said about one.
    Archive(PayloadId),
}

/// Those that were named, the faster one first.
///
/// # Errors
/// [`TierError`].
pub(super) fn open(from: &[String], config: &Config) -> Result<Vec<Shelf>, TierError> {
    let mut shelves = Vec::new();
    if from.iter().any(|place| !place.contains("://")) {
        let root = config.disk_root.path.clone();
        shelves.push(Shelf::Disk(DiskTier::open(&root, DiskOptions { direct_io_min: u64::MAX })?, root));
    }
    if let Some(address) = config.object_store.as_ref().filter(|_| from.iter().any(|place| place.contains("://"))) {
        let name = address.to_string();
        shelves.push(Shelf::Object(ObjectTier::open(address.clone(), bucket::options())?, name));
    }
    Ok(shelves)
}

impl Shelf {
    pub(super) fn tier(&self) -> Tier {
        match self {
            Self::Disk(..) => Tier::Disk,
            Self::Object(..) => Tier::Object,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Disk(_, root) => root.display().to_string(),
            Self::Object(_, uri) => uri.clone(),
        }
    }

    pub(super) fn marker(&self) -> Result<Option<InstanceId>, TierError> {
        match self {
            Self::Disk(_, root) => read_marker(root),
            Self::Object(tier, _) => tier.marker(),
        }
    }

    /// All that lies there and is a payload's.
    pub(super) fn things(&self) -> Result<Box<dyn Iterator<Item = Result<Thing, TierError>>>, TierError> {
        Ok(match self {
            Self::Disk(tier, _) => Box::new(tier.survey()?.into_iter().filter_map(|found| match found {
                Found::Bin { id, size } => Some(Ok(Thing::Bytes(id, size))),
                Found::Meta { id } => Some(Ok(Thing::Archive(id))),
                Found::Tmp { .. } | Found::Other { .. } => None,
            })),
            Self::Object(tier, _) => Box::new(tier.survey().filter_map(|found| match found {
                Ok(object::Found::Bin { id, size }) => Some(Ok(Thing::Bytes(id, size))),
                Ok(object::Found::Meta { id }) => Some(Ok(Thing::Archive(id))),
                Ok(object::Found::Other { .. }) => None,
                Err(error) => Some(Err(error)),
            })),
        })
    }

    /// What is said about a payload, as text.
    pub(super) fn archive(&self, id: PayloadId) -> Result<Vec<u8>, String> {
        let found = match self {
            Self::Disk(tier, _) => tier.archive(id),
            Self::Object(tier, _) => tier.archive(id),
        };
        found.map_err(|error| error.to_string())?.ok_or_else(|| "it is gone".to_owned())
    }
}
