//! `wipe`: removes everything that a stopped daemon owns, and nothing else.
//!
//! Shared memory that its records name, its shared pages, its catalog, and the files of the DISK tier that follow its
//! naming. Folders go if they are empty then; what was set aside, and what is not ours, stays.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use payload_manager_catalog::{Sqlite, Store};
use payload_manager_shm::FolderLock;
use payload_manager_tiers::disk::read_marker;
use payload_manager_tiers::{DiskOptions, DiskTier, Found, Notes, RamTier, TierStore, Unlimited};
use payload_manager_types::{InstanceId, Place};

use crate::cli::{Exit, WipeArgs};
use crate::config::Config;
use crate::grpc::serve::CONTROL_SOCKET;
use crate::instance::CATALOG_FILE;
use crate::{pages, run};

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wiped {
    /// Blocks of shared memory.
    pub blocks: u64,
    /// Files of payloads.
    pub files: u64,
}

/// Runs the command.
#[must_use]
pub fn run(args: &WipeArgs) -> Exit {
    let config = match run::load(&args.flags.given) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if !args.yes && !confirmed(&config) {
        eprintln!("payload-manager: nothing was removed; say yes, or give --yes");
        return Exit::Failure;
    }
    match everything(&config) {
        Ok(wiped) => {
            println!("removed {} blocks of shared memory and {} files", wiped.blocks, wiped.files);
            Exit::Success
        }
        Err(error) => {
            eprintln!("payload-manager: {error}");
            Exit::Refused
        }
    }
}

fn confirmed(config: &Config) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    eprint!("Remove every payload of the daemon in {}? [yes/no] ", config.data_dir.path.display());
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "yes"
}

/// Removes everything that the daemon of this configuration owns. It must not run.
///
/// # Errors
/// The daemon runs, or something can't be removed: what was removed until then is gone.
pub fn everything(config: &Config) -> Result<Wiped, Box<dyn std::error::Error>> {
    let (data_dir, root) = (&config.data_dir.path, &config.disk_root.path);
    if !data_dir.exists() {
        return Ok(Wiped::default());
    }
    let lock = FolderLock::take(data_dir)?;
    let mut wiped = Wiped::default();
    if let Some(instance) = owner(data_dir, root)? {
        let ram = RamTier::new(config.shm_prefix.clone(), Arc::new(Unlimited));
        wiped.blocks = pages::drop_all(&config.shm_prefix, instance, &ram)?;
    }
    if root.exists() {
        wiped.files = remove_files(root)?;
    }
    for file in [CATALOG_FILE, "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        remove(&data_dir.join(file))?;
    }
    remove(&config.runtime_dir.path.join(CONTROL_SOCKET))?;
    for file in [crate::session::SOCKET, crate::session::BOOK, crate::observe::SOCKET] {
        remove(&config.runtime_dir.path.join(file))?;
    }
    remove(&config.runtime_dir.path.join("lock"))?;
    remove(&data_dir.join("lock"))?;
    drop(lock);
    for folder in [root, &config.runtime_dir.path, data_dir] {
        // Not empty: something in it is not ours.
        let _ = fs::remove_dir(folder);
    }
    Ok(wiped)
}

/// Whose the belongings are: the catalog's word, else the folder's.
fn owner(data_dir: &Path, root: &Path) -> Result<Option<InstanceId>, Box<dyn std::error::Error>> {
    if let Some(catalog) = Sqlite::open(&data_dir.join(CATALOG_FILE))? {
        return Ok(Some(catalog.instance()));
    }
    Ok(if root.exists() { read_marker(root)? } else { None })
}

fn remove_files(root: &Path) -> Result<u64, Box<dyn std::error::Error>> {
    let disk = DiskTier::open(root, DiskOptions::default())?;
    let mut files = 0;
    for found in disk.survey()? {
        match found {
            Found::Bin { id, .. } => {
                disk.free(id, Place::OWN)?;
                files += 1;
            }
            Found::Meta { id } => disk.free(id, Place::OWN)?,
            Found::Tmp { path } => disk.remove_tmp(&path)?,
            Found::Other { .. } => {}
        }
    }
    for note in disk.notes()? {
        disk.remove_note(&note)?;
    }
    let _ = fs::remove_dir(root.join("streams"));
    remove(&root.join("instance"))?;
    for shard in fs::read_dir(root)?.flatten().filter(|e| e.file_name().len() == 2) {
        let _ = fs::remove_dir(shard.path());
    }
    Ok(files)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
