//! What the demo's daemon lives on: a folder of its own under the temporary one, a prefix of its own for shared memory, a
//! configuration that heeds nobody's settings; and how all of it goes again.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use payload_manager_shm::object;
use payload_manager_tiers::object::Address;
use tempfile::TempDir;

use super::files::{Picked, Taken};
use super::plan::Plan;
use super::store::Store;
use crate::config::units::{size, size_for_people};
use crate::config::{Config, ENV_PREFIX, Given, Machine};
use crate::grpc::serve::CONTROL_SOCKET;
use crate::wipe;

/// Folder, names and limits of one run.
pub(super) struct Ground {
    folder: TempDir,
    prefix: String,
    settings: Vec<(&'static str, String)>,
    config: Config,
    store: Option<Store>,
}

/// What is said when a file of the demo's own can't be made.
fn unmade(error: &io::Error) -> String {
    format!("the demo needs a folder of its own: {error}; set TMPDIR to one that can be written to")
}

impl Ground {
    /// Makes the folder and settles the limits: RAM as asked, or a third of what was picked.
    ///
    /// # Errors
    /// No folder can be made, or there is not enough room on the machine; in words.
    pub(super) fn make(picked: &Picked, ram: Option<u64>, store: Option<&Address>) -> Result<Self, String> {
        let store = store.map(Store::below).transpose()?;
        let mut machine = Machine::this().map_err(|error| error.to_string())?;
        machine.env.retain(|name, _| !is_setting(name));
        let folder = tempfile::Builder::new().prefix("payload-manager-demo-").tempdir_in(base(&machine));
        let folder = folder.map_err(|error| unmade(&error))?;
        // What the machine is asked about must be there already.
        std::fs::create_dir(folder.path().join("data")).map_err(|error| unmade(&error))?;
        let prefix = format!("pm-demo-{}", std::process::id());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut settings = vec![
            ("runtime-dir", at("run")),
            ("data-dir", at("data")),
            ("shm-prefix", prefix.clone()),
            ("ram", size(ram.unwrap_or_else(|| picked.bytes.div_ceil(3)).max(1))),
            ("disk", size(picked.bytes + picked.bytes / 4 + SLACK)),
            // Shared memory may be small, and the daemon's lists live in it, too.
            ("max-payloads", (picked.files.len() * 2 + 100).to_string()),
            ("max-leases", "1024".into()),
            ("shutdown-grace", "3s".into()),
        ];
        settings.extend(store.as_ref().map(|store| ("object-store", store.address.to_string())));
        let given = settings.iter().try_fold(Given::default(), |given, (name, value)| given.with(name, value));
        let config = given.and_then(|given| Config::load(&machine, &given)).map_err(|error| error.to_string())?;
        if config.disk.bytes < picked.bytes {
            let (bytes, disk) = (size_for_people(picked.bytes), config.disk.to_string());
            return Err(format!("{bytes} do not fit DISK ({disk}): take less with --limit, or set TMPDIR elsewhere"));
        }
        Ok(Self { folder, prefix, settings, config, store })
    }

    /// The demo's folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What RAM may hold, in bytes.
    pub(super) fn ram(&self) -> u64 {
        self.config.ram.bytes
    }

    /// What the person who looks on should know of the limits.
    pub(super) fn warnings(&self) -> &[String] {
        &self.config.warnings
    }

    /// What is to be done with these files here.
    pub(super) fn plan(&self, files: Vec<Taken>) -> Plan {
        let flags = self.settings.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]);
        Plan {
            socket: self.config.runtime_dir.path.join(CONTROL_SOCKET),
            serve: std::iter::once("serve".to_owned()).chain(flags).collect(),
            ram: self.ram(),
            object: self.store.is_some(),
            files,
        }
    }

    /// Removes everything: shared memory, catalog, files, folder, objects. The daemon must be gone.
    ///
    /// # Errors
    /// What is left behind, in words.
    pub(super) fn clear(self) -> Result<(), String> {
        let wiped = wipe::everything(&self.config).map_err(|error| error.to_string());
        // A daemon that was killed while it started has no catalog yet that would say whose these are. The prefix is
        // this run's alone.
        let left = object::list(&format!("/{}-", self.prefix)).map_err(|error| error.to_string())?;
        let unlinked = left.iter().try_for_each(|object| object::unlink(&object.name).map(|_| ()));
        let removed = self.folder.close();
        let emptied = self.store.map_or(Ok(()), Store::clear);
        let (unlinked, removed) = (unlinked.map_err(|e| e.to_string()), removed.map_err(|e| e.to_string()));
        let failed = [wiped.map(|_| ()), unlinked, removed, emptied];
        let failed: Vec<String> = failed.into_iter().filter_map(Result::err).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Leaves everything behind, and says how to look at it and how to be rid of it.
    pub(super) fn keep(self) -> String {
        let folder = self.folder.keep();
        let places =
            format!("--runtime-dir {0}/run --data-dir {0}/data --shm-prefix {1}", folder.display(), self.prefix);
        format!(
            "The folder {0} is kept. Look at it:  payload-manager serve {places}\n\
             Be rid of it:  payload-manager wipe --yes {places} && rm -r {0}",
            folder.display()
        )
    }
}

/// Room on DISK beyond the payloads' own bytes.
const SLACK: u64 = 64 << 20;

/// Whether this environment variable is a setting of the daemon: those of the person who runs the demo are not for the
/// demo's daemon.
pub(super) fn is_setting(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(ENV_PREFIX.as_bytes())
}

/// Where the folder is made: where the environment says; else the usual place, or a lasting one if that is in memory, for
/// DISK is to be a disk.
fn base(machine: &Machine) -> PathBuf {
    let usual = std::env::temp_dir();
    let lasting = Path::new("/var/tmp");
    let in_memory = |path: &Path| (machine.space)(path).is_ok_and(|space| space.in_memory);
    let better = machine.env("TMPDIR").is_none() && in_memory(&usual) && !in_memory(lasting);
    if better && tempfile::tempfile_in(lasting).is_ok() { lasting.to_path_buf() } else { usual }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(bytes: u64) -> Picked {
        Picked { bytes, ..Picked::default() }
    }

    #[test]
    fn ram_is_a_third_unless_somebody_says_otherwise() {
        assert_eq!(Ground::make(&picked(3 << 20), None, None).unwrap().ram(), 1 << 20);
        assert_eq!(Ground::make(&picked(3 << 20), Some(2 << 20), None).unwrap().ram(), 2 << 20);
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        let ground = Ground::make(&picked(1 << 20), None, None).unwrap();
        let folder = ground.folder().to_path_buf();
        ground.plan(Vec::new()).write(&folder).unwrap();
        object::create(&format!("/{}-left", ground.prefix), 4096, 0o600).unwrap();
        let prefix = ground.prefix.clone();
        ground.clear().unwrap();
        assert!(!folder.exists());
        assert!(object::list(&format!("/{prefix}-")).unwrap().is_empty());
    }

    #[test]
    fn more_than_the_disk_has_is_refused_with_a_way_out() {
        let error = Ground::make(&picked(1 << 60), Some(1 << 20), None).map(|_| ()).unwrap_err();
        assert!(error.contains("--limit"), "{error}");
    }
}
