//! What the daemon runs with: from defaults, a file, the environment and flags, each winning over those before it.
//!
//! ```text
//!  keys ──► value, units, people      one table of settings; what text means
//!    │
//!    ├──► file ┐
//!    ├──► env  ├─► load ─► derive ─► Config ─► explain
//!    └──► cli ─┘             │
//!          machine ─► folders, limits
//! ```
//!
//! Reading a configuration changes nothing on the machine; [`Folder::prepare`] does, when the daemon starts.

mod derive;
mod explain;
mod file;
mod folders;
mod keys;
mod limits;
mod machine;
mod people;
mod source;
mod telemetry;
pub mod units;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use payload_manager_tiers::object::Address;
use payload_manager_types::Tier;

pub use folders::{Folder, FolderError};
pub use keys::{ENV_PREFIX, Fallback, KEYS, Key, find, nearest};
pub use limits::{Bound, Capacity, Settled};
pub use machine::{Machine, Space};
pub use people::Peers;
pub use source::{ConfigError, Problem, Setting, Source};
pub use telemetry::{MetricsPage, Otlp};
pub use value::{Cards, Kind, Value};

/// Everything that `serve` needs to know, checked and complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the sockets; not made yet.
    pub runtime_dir: Folder,
    /// The folder of the catalog; not made yet.
    pub data_dir: Folder,
    /// The folder of the DISK tier's files; not made yet.
    pub disk_root: Folder,
    /// What the names of shared-memory objects begin with: no slash, no trailing dash.
    pub shm_prefix: String,
    /// What the RAM tier may hold.
    pub ram: Capacity,
    /// What the DISK tier may hold.
    pub disk: Capacity,
    /// What the GPU tier may take.
    pub gpu: Cards,
    /// The CUDA driver's library.
    pub cuda_driver: PathBuf,
    /// Where what is committed on a GPU is copied to at once.
    pub gpu_eager_copy: Option<Tier>,
    /// The prefix of the OBJECT tier, if there is one.
    pub object_store: Option<Address>,
    /// The largest payload that may be allocated, in bytes.
    pub max_payload: u64,
    /// How many payloads there may be, below 2^24.
    pub max_payloads: u32,
    /// How many leases taken by RPC may be live.
    pub max_leases: u32,
    /// How many sessions one user may have.
    pub sessions_per_uid: usize,
    /// Percent of RAM's capacity that one user's sessions may keep from being freed.
    pub pinned_per_uid: u8,
    /// A loopback address to serve gRPC on too.
    pub listen: Option<SocketAddr>,
    /// Who may connect to the Unix sockets.
    pub peers: Peers,
    /// How long a lease lives whose taker names no time.
    pub lease_default: Duration,
    /// How long a lease may live; not below `lease_default`.
    pub lease_max: Duration,
    /// When an allocation that was never committed is reclaimed.
    pub allocation_timeout: Duration,
    /// How long a stop waits for what is under way.
    pub shutdown_grace: Duration,
    /// How many copies between tiers run at once.
    pub transfers: usize,
    /// Percent of a tier's capacity above which it is evicted from.
    pub high_watermark: u8,
    /// Percent of a tier's capacity at which eviction ends; below `high_watermark`.
    pub low_watermark: u8,
    /// Whether copies in OBJECT that shrink are compressed with LZ4.
    pub object_lz4: bool,
    /// Whether large payloads go past the page cache.
    pub direct_io: DirectIo,
    /// The smallest payload that does, in bytes.
    pub direct_io_min: u64,
    /// Whether to start anew.
    pub fresh: bool,
    /// Log directives: a level, and `MODULE=LEVEL`s, separated by commas.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where metrics are served.
    pub metrics_page: MetricsPage,
    /// What is sent to a collector.
    pub otlp: Otlp,
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// What the person who starts the daemon should know, in sentences.
    pub warnings: Vec<String>,
    /// Every setting, in the order of [`KEYS`].
    settings: Vec<Setting>,
}

/// Whether large payloads go past the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectIo {
    /// Where the file system allows it.
    Auto,
    /// Never.
    Off,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// The values that flags give.
    pub flags: Vec<(&'static Key, Value)>,
}

impl Given {
    /// The same with one more flag, for programs that start a daemon of their own.
    ///
    /// # Errors
    /// When there is no such key, or the value is none for it.
    pub fn with(mut self, name: &str, text: &str) -> Result<Self, ConfigError> {
        let problem = |message| Problem { place: None, key: Some(name.to_owned()), message };
        let key = find(name).ok_or_else(|| problem("unknown key".into()))?;
        let value = key.kind.parse(text).map_err(problem)?;
        self.flags.push((key, value));
        Ok(self)
    }
}

impl Config {
    /// The configuration on `machine`, with what the command line says.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the sources.
    pub fn load(machine: &Machine, given: &Given) -> Result<Self, ConfigError> {
        let (settings, file) = gather(machine, given)?;
        let mut config = derive::config(machine, settings)?;
        config.file = file;
        config.warnings.extend(misspelt_env(machine));
        Ok(config)
    }

    /// The folder of the sockets alone. It looks at no disk: what asks a daemon how it is must not find out first what that
    /// may hold.
    ///
    /// # Errors
    /// As [`Self::load`], but for what binds settings together.
    pub fn runtime_dir(machine: &Machine, given: &Given) -> Result<PathBuf, ConfigError> {
        let (settings, _) = gather(machine, given)?;
        derive::runtime_dir(machine, settings)
    }

    /// Every setting in force and where it comes from, in the order of [`KEYS`].
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The configuration in force as a TOML file that can be used as one, with where each value comes from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        explain::toml(self)
    }

    /// The same for programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        explain::json(self)
    }
}

/// What file, environment and flags say, the later ones winning, and the file.
fn gather(machine: &Machine, given: &Given) -> Result<(Vec<Setting>, Option<PathBuf>), ConfigError> {
    let file = given.file.clone().or_else(|| machine.env(CONFIG_ENV).map(PathBuf::from));
    let file = file.map(|file| machine.working_dir.join(file));
    let (mut settings, mut problems) = match file.as_deref().map(file::read) {
        None => (Vec::new(), Vec::new()),
        Some(Ok(settings)) => (settings, Vec::new()),
        Some(Err(problems)) => (Vec::new(), problems),
    };
    let (from_env, more) = from_env(machine);
    settings.extend(from_env);
    problems.extend(more);
    settings.extend(from_flags(given, &machine.working_dir));
    if problems.is_empty() { Ok((settings, file)) } else { Err(ConfigError { problems }) }
}

/// The environment variable that names the configuration file.
pub const CONFIG_ENV: &str = "PAYLOAD_MANAGER_CONFIG";

fn from_env(machine: &Machine) -> (Vec<Setting>, Vec<Problem>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for key in &KEYS {
        let Some(name) = key.env() else { continue };
        let Some(text) = machine.env(&name) else { continue };
        let value = text.to_str().ok_or_else(|| "not UTF-8".to_owned()).and_then(|text| key.kind.parse(text));
        let source = Source::Env(name);
        match value {
            Ok(value) => settings.push(Setting::new(key, value.within(&machine.working_dir), source)),
            Err(message) => {
                problems.push(Problem { place: Some(source.to_string()), key: Some(key.name.to_owned()), message });
            }
        }
    }
    (settings, problems)
}

fn from_flags(given: &Given, working_dir: &Path) -> Vec<Setting> {
    let setting = |(key, value): &(&'static Key, Value)| {
        Setting::new(key, value.clone().within(working_dir), Source::Flag(key.flag()))
    };
    given.flags.iter().map(setting).collect()
}

/// Variables that look like ours, misspelt. An unknown one is no error as in the file: clients have variables too, and
/// orchestrators set `PAYLOAD_MANAGER_SERVICE_HOST` and `…_PORT` for a service of that name.
fn misspelt_env(machine: &Machine) -> Vec<String> {
    let known: Vec<String> = KEYS.iter().filter_map(Key::env).chain([CONFIG_ENV.to_owned()]).collect();
    let ours = machine.env.keys().filter_map(|name| name.to_str()).filter(|name| name.starts_with(ENV_PREFIX));
    ours.filter(|name| !known.iter().any(|known| known == name))
        .filter_map(|name| {
            let near = known.iter().find(|known| strsim::damerau_levenshtein(known, name) <= 2)?;
            Some(format!("the environment variable {name} is not known and has no effect; {near} is"))
        })
        .collect()
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
