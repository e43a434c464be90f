//! The one table of settings: each key's name, group, kind, default and help, declared once.
//!
//! Flags, environment names, the keys of the file, help texts and `payload-manager config` are all driven from here.
//! What a key's text means is [`Kind`]'s business; what a default is worked out to be, `derive`'s.

use std::time::Duration;

use super::value::Kind;

/// Where a key's value comes from when nobody gives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This text, read as if the user had written it.
    Fixed(&'static str),
    /// Worked out from the machine or from other settings, in the way that these words tell.
    Derived(&'static str),
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in the file and, after `--`, as a flag: lower case, with dashes.
    pub name: &'static str,
    /// The heading it stands under in the help.
    pub group: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds when nobody sets it.
    pub default: Fallback,
    /// What it does, for the help: no full stop at the end.
    pub help: &'static str,
    /// Whether file and environment may set it. A switch that destroys data is a flag, given once and never left lying about.
    pub lasting: bool,
}

impl Key {
    /// The environment variable that sets it, if one may: `PAYLOAD_MANAGER_` and the name in capitals.
    #[must_use]
    pub fn env(&self) -> Option<String> {
        self.lasting.then(|| format!("{ENV_PREFIX}{}", self.name.replace('-', "_").to_uppercase()))
    }

    /// The flag that sets it.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// Its help in one line, with its default if that is short.
    #[must_use]
    pub fn short_help(&self) -> String {
        match self.default {
            Fallback::Fixed(text) if self.kind != Kind::Switch => format!("{} [default: {text}]", self.help),
            _ => self.help.to_owned(),
        }
    }

    /// Its help in full: what it may be, its default, its environment variable.
    #[must_use]
    pub fn long_help(&self) -> String {
        let mut lines = vec![format!("{}.", self.help)];
        if let Kind::Choice(words) = self.kind {
            lines.push(format!("[one of: {}]", words.join(", ")));
        }
        match self.default {
            Fallback::Fixed(_) if self.kind == Kind::Switch => {}
            Fallback::Fixed(text) | Fallback::Derived(text) => lines.push(format!("[default: {text}]")),
        }
        lines.extend(self.env().map(|env| format!("[env: {env}]")));
        lines.join("\n")
    }
}

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name that looks most like `name`, dashes and capitals aside.
#[must_use]
pub fn nearest(name: &str) -> &'static str {
    let wanted = name.to_lowercase().replace('_', "-");
    let by_likeness = |a: &&Key, b: &&Key| {
        let likeness = |key: &Key| strsim::normalized_damerau_levenshtein(key.name, &wanted);
        likeness(a).total_cmp(&likeness(b))
    };
    KEYS.iter().filter(|key| key.lasting).max_by(by_likeness).map_or("", |key| key.name)
}

/// What the name of every environment variable of ours begins with.
pub const ENV_PREFIX: &str = "PAYLOAD_MANAGER_";

const KIB: u64 = 1 << 10;
const FOLDERS: &str = "Folders and names";
const LIMITS: &str = "Limits";
const ACCESS: &str = "Access";
const TIMES: &str = "Leases and times";
const COPIES: &str = "Copies and eviction";
const LOG: &str = "Log and telemetry";

const fn key(group: &'static str, name: &'static str, kind: Kind, default: Fallback, help: &'static str) -> Key {
    Key { name, group, kind, default, help, lasting: true }
}

const fn time(from: Duration, to: Duration) -> Kind {
    Kind::Time { from, to }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Every key, in the order of the help and of `payload-manager config`.
pub static KEYS: [Key; 33] = [
    key(
        FOLDERS,
        "runtime-dir",
        Kind::Folder,
        Fallback::Derived("$XDG_RUNTIME_DIR/payload-manager, /run/payload-manager or <tmp>/payload-manager-<uid>"),
        "Folder of the sockets",
    ),
    key(
        FOLDERS,
        "data-dir",
        Kind::Folder,
        Fallback::Derived(
            "$XDG_STATE_HOME/payload-manager, /var/lib/payload-manager or ~/.local/state/payload-manager",
        ),
        "Folder of the catalog, and of the DISK tier unless it is elsewhere",
    ),
    key(
        FOLDERS,
        "disk-root",
        Kind::Folder,
        Fallback::Derived("<data-dir>/payloads"),
        "Folder of the DISK tier's files",
    ),
    key(
        FOLDERS,
        "shm-prefix",
        Kind::Prefix,
        Fallback::Fixed("pm"),
        "What the names of this daemon's shared-memory objects begin with",
    ),
    key(
        FOLDERS,
        "cuda-driver",
        Kind::Library,
        Fallback::Fixed("libcuda.so.1"),
        "The CUDA driver's library, which is loaded if gpu-memory is set; clients read the same variable",
    ),
    key(
        FOLDERS,
        "object-store",
        Kind::Store,
        Fallback::Fixed("off"),
        "The OBJECT tier's prefix: s3://BUCKET/PREFIX, gs://…, az://… or file:///FOLDER; credentials come from the environment",
    ),
    key(
        COPIES,
        "object-compression",
        Kind::Choice(&["none", "lz4"]),
        Fallback::Fixed("none"),
        "How copies in OBJECT are compressed, those that shrink; what is there already stays as it is",
    ),
    key(
        LIMITS,
        "ram",
        Kind::Capacity,
        Fallback::Derived("half of what shared memory, cgroups and memory allow"),
        "What the RAM tier may hold; never more than the machine has",
    ),
    key(
        LIMITS,
        "disk",
        Kind::Capacity,
        Fallback::Derived("80% of what the file system has left"),
        "What the DISK tier may hold; never more than the file system has",
    ),
    key(
        LIMITS,
        "gpu-memory",
        Kind::Cards,
        Fallback::Fixed("off"),
        "What the GPU tier may take: SIZE of each GPU, or GPU-UUID=SIZE,… of those alone",
    ),
    key(
        LIMITS,
        "max-payload",
        Kind::Size { from: 1, to: super::units::LARGEST },
        Fallback::Fixed("128GiB"),
        "Largest payload that may be allocated",
    ),
    key(
        LIMITS,
        "max-payloads",
        Kind::Count { from: 1, to: (1 << 24) - 1 },
        Fallback::Fixed("1048576"),
        "How many payloads there may be at once, in all tiers",
    ),
    key(
        LIMITS,
        "max-leases",
        Kind::Count { from: 1, to: 1 << 24 },
        Fallback::Fixed("65536"),
        "How many leases taken by RPC may be live at once",
    ),
    key(
        ACCESS,
        "listen",
        Kind::Listen,
        Fallback::Fixed("off"),
        "Serve gRPC on this loopback HOST:PORT too; port 0 takes a free one; who connects there is not checked",
    ),
    key(
        ACCESS,
        "allow-uids",
        Kind::Users,
        Fallback::Derived("root and the daemon's own"),
        "Users, by name or number, that may connect; the daemon's own always may",
    ),
    key(
        ACCESS,
        "allow-gids",
        Kind::Groups,
        Fallback::Derived("the daemon's own group"),
        "Groups, by name or number, whose members may connect",
    ),
    key(
        ACCESS,
        "sessions-per-uid",
        Kind::Count { from: 1, to: 4096 },
        Fallback::Fixed("64"),
        "How many sessions one user may have at once",
    ),
    key(
        ACCESS,
        "pinned-per-uid",
        Kind::Count { from: 1, to: 100 },
        Fallback::Fixed("50"),
        "Percent of RAM that one user's sessions may keep from being freed; the one that keeps most is closed beyond that",
    ),
    key(
        TIMES,
        "lease-default",
        time(Duration::from_millis(1), DAY),
        Fallback::Fixed("20s"),
        "How long a lease lives whose taker names no time",
    ),
    key(
        TIMES,
        "lease-max",
        time(Duration::from_millis(1), DAY),
        Fallback::Fixed("2m"),
        "How long a lease may live at most",
    ),
    key(
        TIMES,
        "allocation-timeout",
        time(Duration::from_secs(1), Duration::from_secs(365 * 24 * 3600)),
        Fallback::Fixed("10m"),
        "When an allocation made over gRPC that was never committed is reclaimed",
    ),
    key(
        TIMES,
        "shutdown-grace",
        time(Duration::ZERO, Duration::from_secs(3600)),
        Fallback::Fixed("10s"),
        "How long a stop waits for what is under way",
    ),
    key(
        COPIES,
        "transfers",
        Kind::Count { from: 1, to: 256 },
        Fallback::Fixed("4"),
        "How many copies between tiers run at once",
    ),
    key(
        COPIES,
        "high-watermark",
        Kind::Count { from: 2, to: 100 },
        Fallback::Fixed("90"),
        "Percent of a tier's capacity above which it is evicted from; 100: only when room is needed",
    ),
    key(
        COPIES,
        "low-watermark",
        Kind::Count { from: 1, to: 99 },
        Fallback::Fixed("80"),
        "Percent of a tier's capacity at which eviction ends; below high-watermark",
    ),
    key(
        COPIES,
        "gpu-eager-copy",
        Kind::Choice(&["off", "ram", "disk", "object"]),
        Fallback::Fixed("off"),
        "Where what is committed on a GPU is copied to at once, for a GPU's memory goes with the daemon",
    ),
    key(
        COPIES,
        "direct-io",
        Kind::Choice(&["auto", "off"]),
        Fallback::Fixed("auto"),
        "Whether large payloads go past the page cache, where the file system allows it",
    ),
    key(
        COPIES,
        "direct-io-min",
        Kind::Size { from: 4 * KIB, to: super::units::LARGEST },
        Fallback::Fixed("1MiB"),
        "Smallest payload that is copied with direct I/O",
    ),
    Key {
        lasting: false,
        ..key(
            LIMITS,
            "fresh",
            Kind::Switch,
            Fallback::Fixed("false"),
            "Start anew: drop what only RAM holds and take folders over whose ids do not match",
        )
    },
    key(LOG, "log", Kind::Log, Fallback::Fixed("info"), "What is logged: a level, and MODULE=LEVEL for single modules"),
    key(LOG, "log-format", Kind::Choice(&["text", "json"]), Fallback::Fixed("text"), "How it is logged"),
    key(
        LOG,
        "metrics-listen",
        Kind::Page,
        Fallback::Fixed("off"),
        "Serve metrics for Prometheus on this loopback HOST:PORT, or on metrics.sock in runtime-dir (socket)",
    ),
    key(
        LOG,
        "otlp-endpoint",
        Kind::Collector,
        Fallback::Derived("$OTEL_EXPORTER_OTLP_ENDPOINT, or off"),
        "Send traces and metrics to this OpenTelemetry collector by gRPC; the other OTEL_ variables hold, too",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_default_is_a_value_of_its_key() {
        for key in &KEYS {
            if let Fallback::Fixed(text) = key.default {
                key.kind.parse(text).unwrap_or_else(|message| panic!("{}: {message}", key.name));
            }
        }
    }

    #[test]
    fn names_are_unique_lower_case_and_dashed() {
        for (i, key) in KEYS.iter().enumerate() {
            assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", key.name);
            assert!(KEYS.iter().skip(i + 1).all(|other| other.name != key.name), "{} twice", key.name);
        }
    }

    #[test]
    fn environment_names_follow_from_the_keys() {
        assert_eq!(find("runtime-dir").and_then(Key::env).as_deref(), Some("PAYLOAD_MANAGER_RUNTIME_DIR"));
        assert_eq!(find("fresh").and_then(Key::env), None, "what destroys is never left in an environment");
    }

    #[test]
    fn the_nearest_key_is_found_for_misspelt_ones() {
        assert_eq!(nearest("runtime_dir"), "runtime-dir");
        assert_eq!(nearest("Data-Directory"), "data-dir");
        assert_eq!(nearest("lease-maximum"), "lease-max");
        assert_eq!(nearest("rma"), "ram");
        assert_eq!(nearest("transfer"), "transfers");
    }
}
