//! Where bytes and their archives lie, looked at without a daemon: the DISK tier's folder, a prefix of an object store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use payload_manager_tiers::disk::read_marker;
use payload_manager_tiers::{DiskOptions, DiskTier, Found, Notes, ObjectTier, TierError, TierStore, object};
use payload_manager_types::{InstanceId, PayloadId, Tier};

use crate::bucket;
use crate::config::{Config, ConfigError, Given, Machine};

/// Why the places that were named can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// Two of one kind.
    #[error("--from {0}: one folder and one prefix at most")]
    Twice(String),
    /// Nobody's.
    #[error("{0} has no mark of an instance: it is no place of Payload Manager's, or not the right one")]
    NoMarker(String),
    /// Two daemons' things.
    #[error("{one} is instance {of_one}'s, {other} is instance {of_other}'s: name places of one daemon")]
    Different {
        /// Where.
        one: String,
        /// Whose.
        of_one: InstanceId,
        /// Where.
        other: String,
        /// Whose.
        of_other: InstanceId,
    },
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine can't be asked.
    #[error("/proc: {0}")]
    Machine(#[from] std::io::Error),
    /// One can't be read.
    #[error(transparent)]
    Tier(#[from] TierError),
}

/// The configuration with these places in it.
pub(crate) fn configured(from: &[String], given: &Given) -> Result<Config, ShelfError> {
    let mut given = given.clone();
    let mut named = Vec::new();
    for place in from {
        let key = if place.contains("://") { "object-store" } else { "disk-root" };
        if named.contains(&key) {
            return Err(ShelfError::Twice(place.clone()));
        }
        named.push(key);
        given = given.with(key, place)?;
    }
    let machine = Machine::this()?;
    Ok(Config::load(&machine, &given)?)
}

/// Whose things these are.
pub(crate) fn owner(shelves: &[Shelf]) -> Result<InstanceId, ShelfError> {
    let mut found: Option<(String, InstanceId)> = None;
    for shelf in shelves {
        let name = shelf.name();
        let owner = shelf.marker()?.ok_or_else(|| ShelfError::NoMarker(name.clone()))?;
        match &found {
            Some((one, of_one)) if *of_one != owner => {
                let one = one.clone();
                return Err(ShelfError::Different { one, of_one: *of_one, other: name, of_other: owner });
            }
            _ => found = Some((name, owner)),
        }
    }
    found.map(|(_, owner)| owner).ok_or_else(|| ShelfError::NoMarker("nothing".into()))
}

/// One of them.
pub(crate) enum Shelf {
    Disk(DiskTier, PathBuf),
    Object(ObjectTier, String),
}

/// What lies on it.
pub(crate) enum Thing {
    /// So many bytes of a payload.
    Bytes(PayloadId, u64),
    /// What is said about one.
    Archive(PayloadId),
}

/// Those that were named, the faster one first.
///
/// # Errors
/// [`TierError`].
pub(crate) fn open(from: &[String], config: &Config) -> Result<Vec<Shelf>, TierError> {
    let mut shelves = Vec::new();
    if from.iter().any(|place| !place.contains("://")) {
        let root = config.disk_root.path.clone();
        shelves.push(Shelf::Disk(DiskTier::open(&root, DiskOptions { direct_io_min: u64::MAX })?, root));
    }
    if let Some(address) = config.object_store.as_ref().filter(|_| from.iter().any(|place| place.contains("://"))) {
        let name = address.to_string();
        shelves.push(Shelf::Object(ObjectTier::open(address.clone(), bucket::options(config.object_lz4))?, name));
    }
    Ok(shelves)
}

impl Shelf {
    pub(crate) fn tier(&self) -> Tier {
        match self {
            Self::Disk(..) => Tier::Disk,
            Self::Object(..) => Tier::Object,
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Disk(_, root) => root.display().to_string(),
            Self::Object(_, uri) => uri.clone(),
        }
    }

    pub(crate) fn marker(&self) -> Result<Option<InstanceId>, TierError> {
        match self {
            Self::Disk(_, root) => read_marker(root),
            Self::Object(tier, _) => tier.marker(),
        }
    }

    /// All that lies there and is a payload's.
    pub(crate) fn things(&self) -> Result<Box<dyn Iterator<Item = Result<Thing, TierError>>>, TierError> {
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

    /// The tier itself.
    pub(crate) fn store(&self) -> &dyn TierStore {
        match self {
            Self::Disk(tier, _) => tier,
            Self::Object(tier, _) => tier,
        }
    }

    /// The logs of streams.
    pub(crate) fn notes(&self) -> &dyn Notes {
        match self {
            Self::Disk(tier, _) => tier,
            Self::Object(tier, _) => tier,
        }
    }

    /// What is said about a payload, as text.
    pub(crate) fn archive(&self, id: PayloadId) -> Result<Vec<u8>, String> {
        let found = match self {
            Self::Disk(tier, _) => tier.archive(id),
            Self::Object(tier, _) => tier.archive(id),
        };
        found.map_err(|error| error.to_string())?.ok_or_else(|| "it is gone".to_owned())
    }
}

/// A bar of so many payloads, where standard error is a terminal.
pub(crate) fn progress(payloads: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:32} {pos} of {len} payloads, {elapsed}, {eta} to go");
    ProgressBar::new(payloads).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What is on the shelves of one payload: in each tier how many bytes, if any, and whether an archive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces(pub(crate) BTreeMap<Tier, (Option<u64>, bool)>);

/// All that lies there, by payload.
///
/// # Errors
/// [`TierError`].
pub(crate) fn take_stock(shelves: &[Shelf]) -> Result<BTreeMap<PayloadId, Pieces>, TierError> {
    let mut stock: BTreeMap<PayloadId, Pieces> = BTreeMap::new();
    for shelf in shelves {
        for thing in shelf.things()? {
            match thing? {
                Thing::Bytes(id, size) => {
                    stock.entry(id).or_default().0.entry(shelf.tier()).or_default().0 = Some(size);
                }
                Thing::Archive(id) => stock.entry(id).or_default().0.entry(shelf.tier()).or_default().1 = true,
            }
        }
    }
    Ok(stock)
}

impl Pieces {
    /// In words.
    pub(crate) fn what_is_missing(&self) -> String {
        let bytes = self.0.values().any(|(bytes, _)| bytes.is_some());
        if bytes { "bytes without an archive".into() } else { "an archive without bytes".into() }
    }
}
