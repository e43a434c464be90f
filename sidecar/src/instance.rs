//! Who owns what: catalog, DISK root and shared pages carry one instance id, and a daemon starts only where they agree
//! (promise: never-the-only-copy).

use std::path::{Path, PathBuf};

use payload_manager_catalog::{Reader, Sqlite, Store, StoreError};
use payload_manager_shm::object;
use payload_manager_tiers::TierError;
use payload_manager_tiers::disk::{read_marker, write_marker};
use payload_manager_types::InstanceId;

/// The catalog's file in the data folder.
pub const CATALOG_FILE: &str = "catalog.sqlite";

/// Why the belongings do not fit together, or can't be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Catalog and folder are two daemons'.
    #[error(
        "{catalog} belongs to instance {of_catalog}, but {root} to instance {of_root}: one of them was moved or restored alone. Put the one that belongs to the other in its place, or start with --fresh to keep the catalog and move files it does not know to {root}/orphans"
    )]
    Different {
        /// The catalog's file.
        catalog: PathBuf,
        /// Whose it is.
        of_catalog: InstanceId,
        /// The DISK root.
        root: PathBuf,
        /// Whose it is.
        of_root: InstanceId,
    },
    /// The folder has files of an instance, and no catalog knows them.
    #[error(
        "{root} belongs to instance {of_root}, but its catalog {catalog} is missing: restore it from a backup, make it again with payload-manager rebuild --from {root}, or start with --fresh to begin a new one and move the files to {root}/orphans"
    )]
    NoCatalog {
        /// The DISK root.
        root: PathBuf,
        /// Whose it is.
        of_root: InstanceId,
        /// Where the catalog should be.
        catalog: PathBuf,
    },
    /// The catalog knows payloads, and the folder is not its own.
    #[error(
        "{catalog} belongs to instance {of_catalog} and knows payloads, but {root} is not its folder (it has no file {root}/instance): mount or name the right one, or start with --fresh to go on with this one"
    )]
    NoMarker {
        /// The catalog's file.
        catalog: PathBuf,
        /// Whose it is.
        of_catalog: InstanceId,
        /// The DISK root.
        root: PathBuf,
    },
    /// The shared pages of this instance have another name.
    #[error(
        "the shared memory of instance {instance} is there under the name {found}, not under the prefix {prefix:?}: start with the --shm-prefix it was made with, or with --fresh to drop it"
    )]
    OtherPrefix {
        /// Whose.
        instance: InstanceId,
        /// The object that was found.
        found: String,
        /// What was configured.
        prefix: String,
    },
    /// The catalog can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The DISK root can't be read.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// Shared memory can't be listed.
    #[error("shared memory can't be listed: {0}")]
    Shm(#[from] std::io::Error),
}

impl InstanceError {
    /// Whether a person has to decide, rather than something being broken.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Different { .. } | Self::NoCatalog { .. } | Self::NoMarker { .. } | Self::OtherPrefix { .. } => true,
            Self::Store(error) => matches!(error, StoreError::NewerSchema { .. } | StoreError::Damaged { .. }),
            Self::Tier(_) | Self::Shm(_) => false,
        }
    }
}

/// Opens the catalog if all that is there belongs together; on a first start, makes what is missing. With `fresh`, what
/// does not belong together is taken over: the catalog's id wins, then the folder's.
///
/// # Errors
/// [`InstanceError`].
pub fn claim(data_dir: &Path, root: &Path, fresh: bool) -> Result<Sqlite, InstanceError> {
    let path = data_dir.join(CATALOG_FILE);
    let marker = read_marker(root)?;
    let Some(catalog) = Sqlite::open(&path)? else {
        if let Some(of_root) = marker.filter(|_| !fresh) {
            return Err(InstanceError::NoCatalog { root: root.to_owned(), of_root, catalog: path });
        }
        let instance = marker.unwrap_or_else(|| InstanceId::from_bytes(*uuid::Uuid::now_v7().as_bytes()));
        let (catalog, _) = Sqlite::open_or_create(&path, instance)?;
        write_marker(root, catalog.instance())?;
        return Ok(catalog);
    };
    let of_catalog = catalog.instance();
    match marker {
        Some(of_root) if of_root == of_catalog => {}
        Some(of_root) if !fresh => {
            return Err(InstanceError::Different { catalog: path, of_catalog, root: root.to_owned(), of_root });
        }
        // A first start that was killed between the two has an empty catalog.
        None if !fresh && !is_empty(&mut *catalog.reader()?)? => {
            return Err(InstanceError::NoMarker { catalog: path, of_catalog, root: root.to_owned() });
        }
        Some(_) | None => write_marker(root, of_catalog)?,
    }
    Ok(catalog)
}

fn is_empty(reader: &mut dyn Reader) -> Result<bool, StoreError> {
    let mut payloads = 0u64;
    reader.payloads(&mut |_| payloads += 1)?;
    Ok(payloads == 0 && reader.streams()?.is_empty())
}

/// How the names of an instance's own objects begin.
#[must_use]
pub fn base_name(prefix: &str, instance: InstanceId) -> String {
    format!("/{prefix}-{instance}")
}

/// Refuses to overlook shared pages that were made under another prefix.
///
/// # Errors
/// [`InstanceError::OtherPrefix`].
pub fn check_prefix(prefix: &str, instance: InstanceId) -> Result<(), InstanceError> {
    let (own, ending) = (format!("{}-records", base_name(prefix, instance)), format!("-{instance}-records"));
    let found = object::names("/")?.into_iter().find(|n| n.ends_with(&ending) && *n != own);
    match found {
        Some(found) => Err(InstanceError::OtherPrefix { instance, found, prefix: prefix.to_owned() }),
        None => Ok(()),
    }
}
