//! The kinds of value a setting can have, and how text becomes one: the only place that judges a single value.
//!
//! Rules that bind two settings together, and what a machine has, are `derive`'s business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use payload_manager_tiers::object::Address;
use payload_manager_types::DeviceUuid;

use super::telemetry::{self, MetricsPage};
use super::units;

/// What a setting's value is, with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder. Relative ones are taken from where they are written: the file's folder, else the working directory.
    Folder,
    /// Bytes, from..=to.
    Size {
        /// Smallest allowed.
        from: u64,
        /// Largest allowed.
        to: u64,
    },
    /// Bytes that a tier may hold, or `auto`: work it out.
    Capacity,
    /// A duration, from..=to.
    Time {
        /// Shortest allowed.
        from: Duration,
        /// Longest allowed.
        to: Duration,
    },
    /// A whole number, from..=to.
    Count {
        /// Smallest allowed.
        from: u64,
        /// Largest allowed.
        to: u64,
    },
    /// `HOST:PORT` on loopback, or `off`.
    Listen,
    /// The same, or `socket`.
    Page,
    /// The URI of an OpenTelemetry collector, or `off`.
    Collector,
    /// Bytes of each GPU, or of those that are named, or `off`.
    Cards,
    /// The name of a library that the system finds, or an absolute path.
    Library,
    /// The URI of a prefix in an object store, or `off`.
    Store,
    /// 1 to 32 of `a-z 0-9 . _ -`.
    Prefix,
    /// Users by name or number, separated by commas.
    Users,
    /// Groups by name or number, separated by commas.
    Groups,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// On when it is given.
    Switch,
    /// A level, and `MODULE=LEVEL` for single modules, separated by commas.
    Log,
}

/// A setting's value, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A path, absolute once it is in force.
    Path(PathBuf),
    /// Bytes.
    Bytes(u64),
    /// To be worked out.
    Auto,
    /// A duration.
    Time(Duration),
    /// A whole number.
    Count(u64),
    /// A loopback address, or none.
    Listen(Option<SocketAddr>),
    /// Where the page of metrics is.
    Page(MetricsPage),
    /// What may be taken of which GPU.
    Cards(Cards),
    /// Where an object store is, or nowhere.
    Store(Option<Address>),
    /// User or group numbers.
    Ids(Vec<u32>),
    /// A word or directives.
    Text(String),
    /// On or off.
    Switch(bool),
}

/// What may be taken of which GPU, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cards {
    /// Nothing.
    Off,
    /// So much of each.
    Each(u64),
    /// So much of these.
    Named(Vec<(DeviceUuid, u64)>),
}

/// The least that can be taken of a GPU, in bytes: its driver gives no less.
const CARD_LEAST: u64 = 2 << 20;

/// The smallest capacity that a tier can have: one page.
const PAGE: u64 = 4096;

impl Kind {
    /// The value that `text` says.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, without the setting's name.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Folder => folder(text),
            Self::Size { from, to } => units::parse_size(text).and_then(|n| bytes_within(n, from, to)),
            Self::Capacity if text.trim() == "auto" => Ok(Value::Auto),
            Self::Capacity => units::parse_size(text).and_then(|n| bytes_within(n, PAGE, units::LARGEST)),
            Self::Time { from, to } => units::parse_time(text).and_then(|time| time_within(time, from, to)),
            Self::Count { from, to } => count(text, from, to),
            Self::Listen => listen(text),
            Self::Page => telemetry::page(text),
            Self::Collector => telemetry::collector(text),
            Self::Cards => cards(text),
            Self::Library => library(text),
            Self::Store => store(text),
            Self::Prefix => prefix(text),
            Self::Users => super::people::users(text).map(Value::Ids),
            Self::Groups => super::people::groups(text).map(Value::Ids),
            Self::Choice(words) => choice(text, words),
            Self::Switch => {
                choice(text, &["true", "false"]).map(|word| Value::Switch(word == Value::Text("true".into())))
            }
            Self::Log => log(text),
        }
    }

    /// What is expected, for an error about a value of another type.
    #[must_use]
    pub fn expects(self) -> &'static str {
        match self {
            Self::Folder => "a path in quotes",
            Self::Size { .. } => "a size such as \"8GiB\", or a whole number of bytes",
            Self::Capacity => "a size such as \"8GiB\", a whole number of bytes, or \"auto\"",
            Self::Time { .. } => "a time such as \"20s\"",
            Self::Count { .. } => "a whole number",
            Self::Listen => "\"HOST:PORT\" or \"off\"",
            Self::Page => "\"HOST:PORT\", \"socket\" or \"off\"",
            Self::Collector => "a URI in quotes, or \"off\"",
            Self::Cards => "a size such as \"8GiB\", \"GPU-UUID=SIZE,...\", or \"off\"",
            Self::Library => "a library's name or path in quotes",
            Self::Store => "a URI in quotes, or \"off\"",
            Self::Prefix => "a short name in quotes",
            Self::Users => "a list of user names or numbers, such as [0, \"alice\"]",
            Self::Groups => "a list of group names or numbers, such as [0, \"video\"]",
            Self::Choice(_) => "a word in quotes",
            Self::Switch => "true or false",
            Self::Log => "log levels in quotes, such as \"info,payload_manager=debug\"",
        }
    }

    /// The placeholder that stands for the value in the help.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Folder => "FOLDER",
            Self::Size { .. } | Self::Capacity => "SIZE",
            Self::Time { .. } => "TIME",
            Self::Count { .. } => "NUMBER",
            Self::Listen => "HOST:PORT",
            Self::Page => "HOST:PORT",
            Self::Collector => "URI",
            Self::Cards => "SIZES",
            Self::Library => "LIBRARY",
            Self::Store => "URI",
            Self::Prefix => "NAME",
            Self::Users => "USERS",
            Self::Groups => "GROUPS",
            Self::Choice(_) => "WORD",
            Self::Switch => "",
            Self::Log => "LEVELS",
        }
    }
}

impl Value {
    /// The same, with a relative path taken from `folder`.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        match self {
            Self::Path(path) => Self::Path(folder.join(path)),
            other => other,
        }
    }
}

/// As the text that [`Kind::parse`] reads back.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Bytes(bytes) => f.write_str(&units::size(*bytes)),
            Self::Auto => f.write_str("auto"),
            Self::Time(time) => f.write_str(&units::time(*time)),
            Self::Count(count) => write!(f, "{count}"),
            Self::Listen(None) => f.write_str("off"),
            Self::Listen(Some(address)) => write!(f, "{address}"),
            Self::Page(MetricsPage::Off) => f.write_str("off"),
            Self::Page(MetricsPage::Socket) => f.write_str("socket"),
            Self::Page(MetricsPage::Tcp(address)) => write!(f, "{address}"),
            Self::Cards(Cards::Off) => f.write_str("off"),
            Self::Cards(Cards::Each(bytes)) => f.write_str(&units::size(*bytes)),
            Self::Cards(Cards::Named(cards)) => {
                let named = |(uuid, bytes): &(DeviceUuid, u64)| format!("{uuid}={}", units::size(*bytes));
                f.write_str(&cards.iter().map(named).collect::<Vec<_>>().join(","))
            }
            Self::Store(None) => f.write_str("off"),
            Self::Store(Some(address)) => write!(f, "{address}"),
            Self::Ids(ids) => f.write_str(&ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
            Self::Text(text) => f.write_str(text),
            Self::Switch(on) => write!(f, "{on}"),
        }
    }
}

fn folder(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err("an empty path names no folder".into());
    }
    if text.starts_with('~') {
        return Err(format!("{text:?}: ~ is expanded by shells, not here; write the whole path"));
    }
    if text.contains('\0') {
        return Err("a path has no zero bytes in it".into());
    }
    Ok(Value::Path(PathBuf::from(text)))
}

fn bytes_within(bytes: u64, from: u64, to: u64) -> Result<Value, String> {
    if bytes < from {
        return Err(format!("{} is too small: at least {}", units::size(bytes), units::size(from)));
    }
    if bytes > to {
        return Err(format!("{} is too large: at most {}", units::size(bytes), units::size(to)));
    }
    Ok(Value::Bytes(bytes))
}

fn time_within(time: Duration, from: Duration, to: Duration) -> Result<Value, String> {
    if time < from {
        return Err(format!("{} is too short: at least {}", units::time(time), units::time(from)));
    }
    if time > to {
        return Err(format!("{} is too long: at most {}", units::time(time), units::time(to)));
    }
    Ok(Value::Time(time))
}

fn count(text: &str, from: u64, to: u64) -> Result<Value, String> {
    let count = text.trim().parse::<u64>().map_err(|_| format!("{text:?} is no whole number"))?;
    if !(from..=to).contains(&count) {
        return Err(format!("{count} is out of bounds: {from} to {to}"));
    }
    Ok(Value::Count(count))
}

/// TCP has no peer credentials, so what may connect can't be checked: only this host's own programs are let near it.
pub(super) fn listen(text: &str) -> Result<Value, String> {
    if text == "off" {
        return Ok(Value::Listen(None));
    }
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => text.parse().ok(),
    };
    match address {
        Some(address) if address.ip().is_loopback() => Ok(Value::Listen(Some(address))),
        Some(address) => Err(format!(
            "{address} can be reached from outside and TCP callers are not checked: use 127.0.0.1, [::1] or localhost"
        )),
        None => Err(format!("{text:?} is no HOST:PORT; write 127.0.0.1:50051, [::1]:50051, localhost:50051 or off")),
    }
}

fn cards(text: &str) -> Result<Value, String> {
    let size = |text: &str| match units::parse_size(text).and_then(|n| bytes_within(n, CARD_LEAST, units::LARGEST))? {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(format!("{text:?} is no size")),
    };
    if text == "off" {
        return Ok(Value::Cards(Cards::Off));
    }
    if !text.contains('=') {
        return size(text).map(|bytes| Value::Cards(Cards::Each(bytes)));
    }
    let mut named: Vec<(DeviceUuid, u64)> = Vec::new();
    for card in text.split(',') {
        let (uuid, bytes) = card.split_once('=').ok_or_else(|| format!("{card:?} is no GPU-UUID=SIZE"))?;
        let uuid: DeviceUuid =
            uuid.trim().parse().map_err(|error| format!("{error}; `nvidia-smi -L` shows the UUIDs of GPUs"))?;
        if named.iter().any(|(other, _)| *other == uuid) {
            return Err(format!("{uuid} is named twice"));
        }
        named.push((uuid, size(bytes.trim())?));
    }
    Ok(Value::Cards(Cards::Named(named)))
}

fn library(text: &str) -> Result<Value, String> {
    if text.is_empty() || text.contains('\0') || (text.contains('/') && !text.starts_with('/')) {
        return Err(format!("{text:?} is neither a library's name nor an absolute path"));
    }
    Ok(Value::Text(text.into()))
}

fn store(text: &str) -> Result<Value, String> {
    if text == "off" {
        return Ok(Value::Store(None));
    }
    Address::parse(text).map(|address| Value::Store(Some(address))).map_err(|error| error.to_string())
}

fn prefix(text: &str) -> Result<Value, String> {
    let fits = (1..=32).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    if fits {
        Ok(Value::Text(text.into()))
    } else {
        Err(format!("{text:?}: 1 to 32 of a-z, 0-9, dot, underscore and dash"))
    }
}

fn choice(text: &str, words: &[&str]) -> Result<Value, String> {
    if words.contains(&text) {
        return Ok(Value::Text(text.into()));
    }
    Err(format!("{text:?} is none of: {}", words.join(", ")))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Stricter than the logger itself, which takes a misspelt level for a module's name and then logs everything in it.
fn log(text: &str) -> Result<Value, String> {
    for directive in text.split(',').map(str::trim) {
        let (module, level) = directive.split_once('=').unwrap_or(("", directive));
        if !LEVELS.contains(&level.to_lowercase().as_str()) {
            return Err(format!("{level:?} is no level: one of {}; for one module, MODULE=LEVEL", LEVELS.join(", ")));
        }
        let named = module.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'));
        if !named || (directive.contains('=') && module.is_empty()) {
            return Err(format!("{module:?} is no module's name"));
        }
    }
    Ok(Value::Text(text.split(',').map(str::trim).collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::super::KEYS;
    use super::*;

    #[test]
    fn listening_is_on_loopback_or_not_at_all() {
        let address = |text: &str| Kind::Listen.parse(text);
        assert_eq!(address("off"), Ok(Value::Listen(None)));
        assert_eq!(address("localhost:7000"), Ok(Value::Listen(Some("127.0.0.1:7000".parse().unwrap()))));
        assert_eq!(address("[::1]:0"), Ok(Value::Listen(Some("[::1]:0".parse().unwrap()))));
        assert!(address("0.0.0.0:7000").unwrap_err().contains("from outside"));
        assert!(address("192.168.1.4:7000").unwrap_err().contains("from outside"));
        for text in ["", "7000", "localhost", "localhost:", "localhost:70000", "example.com:80"] {
            assert!(address(text).unwrap_err().contains("HOST:PORT"), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_short_and_has_no_slash() {
        let longest = "a".repeat(32);
        for text in ["pm", "a", "team-7_x.y", longest.as_str()] {
            assert_eq!(Kind::Prefix.parse(text), Ok(Value::Text(text.into())));
        }
        for text in ["", "a/b", "PM", "pm ", "ü", "a".repeat(33).as_str()] {
            assert!(Kind::Prefix.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn misspelt_log_levels_are_refused() {
        for text in ["info", "off", "warn,payload_manager=debug", "info, h2=warn", "payload_manager::engine=TRACE"] {
            assert!(Kind::Log.parse(text).is_ok(), "{text}");
        }
        for text in ["", "inof", "info,", "payload_manager=loud", "=info", "payload manager=info"] {
            assert!(Kind::Log.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_are_told_with_the_value_that_breaks_them() {
        let count = Kind::Count { from: 1, to: 10 };
        assert_eq!(count.parse("11"), Err("11 is out of bounds: 1 to 10".into()));
        assert!(count.parse("-1").is_err());
        let size = Kind::Size { from: 4096, to: 1 << 30 };
        assert_eq!(size.parse("1KiB"), Err("1KiB is too small: at least 4KiB".into()));
        assert_eq!(size.parse("2GiB"), Err("2GiB is too large: at most 1GiB".into()));
        let time = Kind::Time { from: Duration::from_secs(1), to: Duration::from_secs(60) };
        assert_eq!(time.parse("2m"), Err("2m is too long: at most 1m".into()));
        assert!(Kind::Capacity.parse("0").is_err());
    }

    #[test]
    fn folders_that_can_not_be_meant_are_refused() {
        assert!(Kind::Folder.parse("").is_err());
        assert!(Kind::Folder.parse("~/data").unwrap_err().contains("shell"));
        let relative = Kind::Folder.parse("data").unwrap();
        assert_eq!(relative.clone().within(Path::new("/etc/pm")), Value::Path("/etc/pm/data".into()));
        let absolute = Kind::Folder.parse("/data").unwrap();
        assert_eq!(absolute.clone().within(Path::new("/etc/pm")), absolute);
    }

    #[test]
    fn every_value_prints_as_what_reads_back_to_it() {
        let texts = [
            "/data",
            "8GiB",
            "auto",
            "20s",
            "4",
            "off",
            "127.0.0.1:1",
            "socket",
            "http://a:1",
            "pm",
            "0,7",
            "text",
            "true",
            "info",
            "json",
        ];
        for (key, text) in KEYS.iter().flat_map(|key| texts.map(|text| (key, text))) {
            if let Ok(value) = key.kind.parse(text) {
                assert_eq!(key.kind.parse(&value.to_string()), Ok(value), "{}: {text}", key.name);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_fall_over() {
        let texts = [
            "",
            " ",
            ",",
            "=",
            "\0",
            "🦀",
            "-",
            "9".repeat(400).as_str(),
            "1e999GiB",
            ".",
            "..",
            "[::]:",
            "0x",
            "\u{202e}",
        ]
        .map(str::to_owned);
        for (key, text) in KEYS.iter().flat_map(|key| texts.iter().map(move |text| (key, text))) {
            let _ = key.kind.parse(text);
        }
    }
}
