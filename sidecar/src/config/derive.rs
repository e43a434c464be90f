//! From the values that somebody gave to a complete configuration: defaults, what the machine decides, and the rules that
//! bind two settings together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use payload_manager_tiers::object::Address;
use payload_manager_types::Tier;

use super::folders::{self, Folder};
use super::keys::{self, Fallback, KEYS};
use super::limits::{Capacity, Pages, Settled};
use super::machine::Machine;
use super::source::{ConfigError, Problem, Setting, Source};
use super::telemetry::{self, MetricsPage, Otlp};
use super::value::{Cards, Value};
use super::{Config, DirectIo, LogFormat, Peers, units};

/// The configuration in which the later of `given` win.
///
/// # Errors
/// When two settings contradict each other, or the machine has no room.
pub(super) fn config(machine: &Machine, given: Vec<Setting>) -> Result<Config, ConfigError> {
    let mut force = InForce::over_defaults(given)?;
    let mut warnings = Vec::new();
    let runtime_dir = force.folder("runtime-dir", || folders::runtime(machine))?;
    let data_dir = force.folder("data-dir", || folders::data(machine))?;
    let disk_root = force.folder("disk-root", || below_data(&data_dir))?;
    check_folders(&force, &runtime_dir.path, &data_dir.path, &disk_root.path)?;
    warnings.extend(fleeting(&force, machine, &data_dir.path));
    let pages = Pages { payloads: force.count("max-payloads")?, leases: force.count("max-leases")? };
    let ram = force.capacity("ram", &mut warnings, |asked| Capacity::of_ram(machine, asked, pages))?;
    let disk = force.capacity("disk", &mut warnings, |asked| Capacity::of_disk(machine, &disk_root.path, asked))?;
    let object_store = force.store_beside(&disk_root.path)?;
    let gpu_eager_copy = force.eager_copy(object_store.is_some())?;
    let peers = force.peers(machine)?;
    let (lease_default, lease_max) = force.lease_times()?;
    let (high_watermark, low_watermark) = force.watermarks()?;
    let otlp = force.otlp(machine)?;
    warnings.extend(otlp.warnings(machine));
    let direct_io = if force.text("direct-io")? == "off" { DirectIo::Off } else { DirectIo::Auto };
    let log_format = if force.text("log-format")? == "json" { LogFormat::Json } else { LogFormat::Text };
    Ok(Config {
        runtime_dir,
        data_dir,
        disk_root,
        shm_prefix: force.text("shm-prefix")?,
        ram,
        disk,
        gpu: force.cards("gpu-memory")?,
        cuda_driver: PathBuf::from(force.text("cuda-driver")?),
        gpu_eager_copy,
        object_store,
        max_payload: force.bytes("max-payload")?,
        max_payloads: force.count("max-payloads")?,
        max_leases: force.count("max-leases")?,
        sessions_per_uid: force.count("sessions-per-uid")? as usize,
        pinned_per_uid: force.percent("pinned-per-uid")?,
        listen: force.listen("listen")?,
        peers,
        lease_default,
        lease_max,
        allocation_timeout: force.time("allocation-timeout")?,
        shutdown_grace: force.time("shutdown-grace")?,
        transfers: force.count("transfers")? as usize,
        high_watermark,
        low_watermark,
        object_lz4: force.text("object-compression")? == "lz4",
        direct_io,
        direct_io_min: force.bytes("direct-io-min")?,
        fresh: force.switch("fresh")?,
        log: force.text("log")?,
        log_format,
        metrics_page: force.page("metrics-listen")?,
        otlp,
        file: None,
        warnings,
        settings: force.into_settings(),
    })
}

/// The folder of the sockets, if the later of `given` win.
///
/// # Errors
/// When there is none.
pub(super) fn runtime_dir(machine: &Machine, given: Vec<Setting>) -> Result<PathBuf, ConfigError> {
    let mut force = InForce::over_defaults(given)?;
    Ok(force.folder("runtime-dir", || folders::runtime(machine))?.path)
}

/// The settings in force, by name.
struct InForce(BTreeMap<&'static str, Setting>);

/// A getter for the values of one variant; a key of another kind is a mistake in this file, which a test finds.
macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty) => {
        fn $name(&self, key: &str) -> Result<$type, Problem> {
            match self.0.get(key).map(|setting| &setting.value) {
                Some(Value::$variant(value)) => Ok(value.clone()),
                other => Err(mistake(key, other)),
            }
        }
    };
}

fn mistake(key: &str, value: Option<&Value>) -> Problem {
    let message = format!("a mistake in payload-manager itself: unexpected value {value:?}");
    Problem { place: None, key: Some(key.to_owned()), message }
}

impl InForce {
    getter!(text, Text, String);
    getter!(bytes, Bytes, u64);
    getter!(time, Time, Duration);
    getter!(listen, Listen, Option<SocketAddr>);
    getter!(page, Page, MetricsPage);
    getter!(store, Store, Option<Address>);
    getter!(cards, Cards, Cards);
    getter!(switch, Switch, bool);
    getter!(ids, Ids, Vec<u32>);
    getter!(path, Path, PathBuf);
    getter!(number, Count, u64);

    fn over_defaults(given: Vec<Setting>) -> Result<Self, Problem> {
        let mut force = Self(BTreeMap::new());
        for key in &KEYS {
            if let Fallback::Fixed(text) = key.default {
                let setting = |value| Setting::new(key, value, Source::Default);
                force.set(key.kind.parse(text).map(setting).map_err(|_| mistake(key.name, None))?);
            }
        }
        for setting in given {
            // `auto` takes back what an earlier source said.
            if setting.value == Value::Auto {
                force.0.remove(setting.key.name);
            } else {
                force.set(setting);
            }
        }
        Ok(force)
    }

    fn set(&mut self, setting: Setting) {
        self.0.insert(setting.key.name, setting);
    }

    /// Fills in what nobody gave.
    fn derive(&mut self, key: &'static str, value: Value, why: String) -> Result<(), Problem> {
        let key = keys::find(key).ok_or_else(|| mistake(key, None))?;
        self.set(Setting::new(key, value, Source::Derived(why)));
        Ok(())
    }

    fn count(&self, key: &str) -> Result<u32, Problem> {
        self.number(key).and_then(|n| u32::try_from(n).map_err(|_| mistake(key, None)))
    }

    fn folder(&mut self, key: &'static str, choose: impl FnOnce() -> (Folder, String)) -> Result<Folder, Problem> {
        if self.0.contains_key(key) {
            return self.path(key).map(Folder::named);
        }
        let (folder, why) = choose();
        self.derive(key, Value::Path(folder.path.clone()), why)?;
        Ok(folder)
    }

    fn capacity(
        &mut self,
        key: &'static str,
        warnings: &mut Vec<String>,
        settle: impl FnOnce(Option<u64>) -> Result<Capacity, String>,
    ) -> Result<Capacity, Problem> {
        let asked = if self.0.contains_key(key) { Some(self.bytes(key)?) } else { None };
        let capacity = settle(asked).map_err(|message| Problem { place: None, key: Some(key.to_owned()), message })?;
        match (self.0.get_mut(key), capacity.settled) {
            (Some(setting), Settled::Capped(_)) => {
                let note = format!("capped: {}", capacity.explain());
                warnings.push(format!("{}: {key} is {note}", setting.source));
                setting.value = Value::Bytes(capacity.bytes);
                setting.note = Some(note);
            }
            (Some(_), _) => {}
            (None, _) => self.derive(key, Value::Bytes(capacity.bytes), capacity.explain())?,
        }
        Ok(capacity)
    }

    /// Files of the same names would lie in each other's way.
    fn store_beside(&self, disk_root: &Path) -> Result<Option<Address>, Problem> {
        let store = self.store("object-store")?;
        match store.as_ref().and_then(Address::folder) {
            Some(folder) if folder.starts_with(disk_root) || disk_root.starts_with(&folder) => {
                let message = format!("{} and disk-root lie in each other; name another folder", folder.display());
                Err(self
                    .0
                    .get("object-store")
                    .map_or_else(|| mistake("object-store", None), |key| key.problem(message)))
            }
            _ => Ok(store),
        }
    }

    fn eager_copy(&self, has_store: bool) -> Result<Option<Tier>, Problem> {
        const KEY: &str = "gpu-eager-copy";
        match self.text(KEY)?.as_str() {
            "ram" => Ok(Some(Tier::Ram)),
            "disk" => Ok(Some(Tier::Disk)),
            "object" if has_store => Ok(Some(Tier::Object)),
            "object" => {
                let message = "there is no object-store to copy to; name one, or use disk".to_owned();
                Err(self.0.get(KEY).map_or_else(|| mistake(KEY, None), |setting| setting.problem(message)))
            }
            _ => Ok(None),
        }
    }

    fn peers(&mut self, machine: &Machine) -> Result<Peers, Problem> {
        if !self.0.contains_key("allow-uids") {
            let uids = if machine.uid == 0 { vec![0] } else { vec![0, machine.uid] };
            self.derive("allow-uids", Value::Ids(uids), "root and the daemon's own".into())?;
        }
        if !self.0.contains_key("allow-gids") {
            self.derive("allow-gids", Value::Ids(vec![machine.gid]), "the daemon's own group".into())?;
        }
        let mut peers = Peers { uids: self.ids("allow-uids")?, gids: self.ids("allow-gids")? };
        if !peers.uids.contains(&machine.uid) {
            peers.uids.push(machine.uid);
        }
        Ok(peers)
    }

    /// The default follows a maximum that was set below it, unless somebody set both.
    fn lease_times(&mut self) -> Result<(Duration, Duration), Problem> {
        let (default, max) = (self.time("lease-default")?, self.time("lease-max")?);
        if default <= max {
            return Ok((default, max));
        }
        if let Some(setting) = self.0.get("lease-default").filter(|setting| setting.source != Source::Default) {
            let (ours, theirs) = (units::time(default), units::time(max));
            let whose = self.0.get("lease-max").map(|max| max.source.to_string()).unwrap_or_default();
            return Err(setting.problem(format!("{ours} is longer than lease-max, which is {theirs} ({whose})")));
        }
        self.derive("lease-default", Value::Time(max), "lease-max, which is shorter than the usual default".into())?;
        Ok((max, max))
    }

    /// The low one follows a high one that was set below it, unless somebody set both.
    fn watermarks(&mut self) -> Result<(u8, u8), Problem> {
        let (high, low) = (self.percent("high-watermark")?, self.percent("low-watermark")?);
        if low < high {
            return Ok((high, low));
        }
        if let Some(setting) = self.0.get("low-watermark").filter(|setting| setting.source != Source::Default) {
            let whose = self.0.get("high-watermark").map(|high| high.source.to_string()).unwrap_or_default();
            return Err(setting.problem(format!("{low} is not below high-watermark, which is {high} ({whose})")));
        }
        let low = high.saturating_sub(10).max(1);
        self.derive("low-watermark", Value::Count(low.into()), "ten below high-watermark".into())?;
        Ok((high, low))
    }

    fn otlp(&mut self, machine: &Machine) -> Result<Otlp, Problem> {
        const KEY: &str = "otlp-endpoint";
        if self.0.contains_key(KEY) {
            return Ok(Otlp::settle(machine, Some(self.text(KEY)?)));
        }
        let key = keys::find(KEY).ok_or_else(|| mistake(KEY, None))?;
        let source = || Source::Env(telemetry::ENDPOINT.to_owned());
        let standard =
            machine.env(telemetry::ENDPOINT).and_then(|value| value.to_str()).filter(|text| !text.is_empty());
        let parsed = standard.map(|text| key.kind.parse(text)).transpose();
        match parsed.map_err(|message| Problem {
            place: Some(source().to_string()),
            key: Some(KEY.to_owned()),
            message,
        })? {
            Some(value) => self.set(Setting::new(key, value, source())),
            None => self.derive(KEY, Value::Text("off".to_owned()), format!("{} is not set", telemetry::ENDPOINT))?,
        }
        Ok(Otlp::settle(machine, None))
    }

    fn percent(&self, key: &str) -> Result<u8, Problem> {
        self.number(key).and_then(|n| u8::try_from(n).map_err(|_| mistake(key, None)))
    }

    fn into_settings(mut self) -> Vec<Setting> {
        KEYS.iter().filter_map(|key| self.0.remove(key.name)).collect()
    }
}

fn below_data(data_dir: &Folder) -> (Folder, String) {
    (Folder { path: data_dir.path.join("payloads"), private: data_dir.private }, "in data-dir".into())
}

/// What the kernel takes as a socket's path, less the longest name that we put behind the folder.
const LONGEST_RUNTIME_DIR: usize = 107 - "/control.sock".len();

fn check_folders(force: &InForce, runtime: &Path, data: &Path, disk: &Path) -> Result<(), Problem> {
    let problem = |key: &str, message: String| {
        force.0.get(key).map_or_else(|| mistake(key, None), |setting| setting.problem(message))
    };
    let length = runtime.as_os_str().len();
    if length > LONGEST_RUNTIME_DIR {
        let limit = format!("{length} bytes long; sockets work in folders of at most {LONGEST_RUNTIME_DIR} bytes");
        return Err(problem("runtime-dir", limit));
    }
    for (name, folder) in [("data-dir", data), ("runtime-dir", runtime)] {
        if folder.starts_with(disk) {
            let message = format!("{} is or contains {name}; payload files need a folder of their own", disk.display());
            return Err(problem("disk-root", message));
        }
    }
    Ok(())
}

/// A warning when the data lies where a reboot or a clean-up takes it away.
fn fleeting(force: &InForce, machine: &Machine, data: &Path) -> Option<String> {
    let place = data.display();
    if matches!(force.0.get("data-dir").map(|s| &s.source), Some(Source::Derived(why)) if why.starts_with(folders::TEMPORARY))
    {
        return Some(format!("{place} is {}: name a data-dir to keep what is spilled", folders::TEMPORARY));
    }
    let in_memory = machine.space(data).is_ok_and(|space| space.in_memory);
    in_memory.then(|| format!("{place} lies in memory: what is called durable there does not survive a reboot"))
}
