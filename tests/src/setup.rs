//! How a daemon under test is to be started: small, alone in its folder, under a name of its own; and what differs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::daemon::Daemon;

/// The settings of a daemon to be started. What is not said is as [`Setup::new`] has it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What the names of its objects begin with.
    pub prefix: String,
    /// Its folder, shared by every daemon that is started with a clone of this.
    pub folder: Arc<TempDir>,
    flags: BTreeMap<String, Option<OsString>>,
    env: Vec<(String, OsString)>,
    wrapper: Vec<OsString>,
}

/// A daemon that did not come up.
#[derive(Debug)]
pub struct Refused {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it said.
    pub log: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// 64 MiB of RAM, 256 MiB of DISK, a folder and a name of its own. Nothing is evicted before room is needed, so that a
    /// test knows where its payloads are.
    ///
    /// # Panics
    /// If there can be no folder.
    #[must_use]
    pub fn new() -> Self {
        let random = uuid::Uuid::now_v7().simple().to_string();
        let folder = tempfile::Builder::new().prefix("pmt-").tempdir().unwrap();
        let setup = Self {
            prefix: format!("pmt-{}", &random[24..]),
            flags: BTreeMap::new(),
            env: Vec::new(),
            wrapper: Vec::new(),
            folder: Arc::new(folder),
        };
        setup.flag("ram", "64MiB").flag("disk", "256MiB").flag("high-watermark", "100").flag("log", "info")
    }

    /// The same with `--name value`, instead of any other value.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.flags.insert(name.to_owned(), Some(value.into()));
        self
    }

    /// The same with the switch `--name`.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.flags.insert(name.to_owned(), None);
        self
    }

    /// The same without `--name`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.flags.remove(name);
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The same, dying where [`payload_manager::failpoint`] says: `name` or `name:count`.
    #[must_use]
    pub fn failpoint(self, point: &str) -> Self {
        self.env("PAYLOAD_MANAGER_FAILPOINT", point)
    }

    /// The same, run by another program, such as `["unshare", "-m"]`, that becomes it.
    #[must_use]
    pub fn wrapper<S: AsRef<str>>(mut self, words: &[S]) -> Self {
        self.wrapper = words.iter().map(|word| OsString::from(word.as_ref())).collect();
        self
    }

    /// The same, with objects named like those of another daemon.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Where its socket lies.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.folder_of("runtime-dir", "run")
    }

    /// Where its catalog lies.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder_of("data-dir", "data")
    }

    /// Where its payload files lie.
    #[must_use]
    pub fn disk_root(&self) -> PathBuf {
        match self.flags.get("disk-root") {
            Some(Some(named)) => named.into(),
            _ => self.data_dir().join("payloads"),
        }
    }

    /// The same, with an OBJECT tier in a folder.
    #[must_use]
    pub fn with_object_folder(self) -> Self {
        let uri = format!("file://{}", self.object_folder().display());
        self.flag("object-store", uri)
    }

    /// Where [`Self::with_object_folder`] has its objects.
    #[must_use]
    pub fn object_folder(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    fn folder_of(&self, flag: &str, name: &str) -> PathBuf {
        match self.flags.get(flag) {
            Some(Some(named)) => named.into(),
            _ => self.folder.path().join(name),
        }
    }

    /// The command that runs `payload-manager <subcommand>` with these settings, those of `serve` only if `all`.
    #[must_use]
    pub fn command(&self, subcommand: &str, all: bool) -> Command {
        let words = self.wrapper.iter().cloned().chain([program().into(), subcommand.into()]);
        let words: Vec<OsString> = words.collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.env.iter().map(|(name, value)| (name, value)));
        let places = [("runtime-dir", self.runtime_dir()), ("data-dir", self.data_dir())];
        for (name, folder) in places.iter().filter(|(name, _)| !self.flags.contains_key(*name)) {
            command.arg(format!("--{name}")).arg(folder);
        }
        command.args(["--shm-prefix", &self.prefix]);
        let is_place = |name: &str| matches!(name, "runtime-dir" | "data-dir" | "disk-root");
        for (name, value) in self.flags.iter().filter(|(name, _)| all || is_place(name)) {
            command.arg(format!("--{name}")).args(value.iter());
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(self) -> Daemon {
        self.try_start().unwrap_or_else(|refused| panic!("not started ({:?}):\n{}", refused.code, refused.log))
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It did not come up. Whatever it left in shared memory under its prefix is still there.
    pub fn try_start(self) -> Result<Daemon, Refused> {
        Daemon::launch(self)
    }
}

/// The program, beside the tests.
///
/// # Panics
/// If it is not built.
#[must_use]
pub fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    let program = folder.join("payload-manager");
    assert!(program.exists(), "not built yet: run `cargo build -p payload-manager`, or test the whole workspace");
    program
}
