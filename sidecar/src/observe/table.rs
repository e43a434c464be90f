//! Every metric, declared once: its name and unit by the conventions of OpenTelemetry, its kind, its attributes, and what it
//! says. The instruments are made from here, and so is the table in `docs/operations.md`.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit, by UCUM; in braces: what is counted.
    pub unit: &'static str,
    /// What its values are told apart by.
    pub attributes: &'static [&'static str],
    /// What it says: no full stop at the end.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at each start of the daemon.
    Counter,
    /// What is now.
    Gauge,
    /// How often, how much in all, and how it is distributed.
    Histogram,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    /// Its name on the page for Prometheus: dots are no letters there, and the unit and the kind are part of a name.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{suffix}", self.name.replace('.', "_"))
    }
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $unit:literal, $attributes:expr, $help:literal;)+) => {
        $(pub(super) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, unit: $unit, attributes: &$attributes, help: $help };)+

        /// All of them, in the order of the table.
        pub const METRICS: &[Metric] = &[$($constant),+];
    };
}

/// Which tier.
pub(super) const TIER: &str = "payload.tier";
/// `call` or `page`.
pub(super) const PATH: &str = "payload.lease.path";
/// `high` or `low`.
pub(super) const WATERMARK: &str = "payload.watermark";
/// Where from, a tier.
pub(super) const FROM: &str = "payload.from";
/// Where to, a tier or VOID.
pub(super) const TO: &str = "payload.to";
/// `ok` or `failed`.
pub(super) const OUTCOME: &str = "payload.outcome";
/// Why it stayed.
pub(super) const REASON: &str = "payload.reason";
/// A stream, `namespace/name`.
pub(super) const STREAM: &str = "payload.stream";
/// A consumer group of it.
pub(super) const GROUP: &str = "payload.group";
/// `grpc` or `session`.
pub(super) const SYSTEM: &str = "rpc.system.name";
/// The full name of a method.
pub(super) const METHOD: &str = "rpc.method";
/// The name of a gRPC code.
pub(super) const CODE: &str = "rpc.response.status_code";

metrics! {
    REQUESTS = "payload.rpc.duration", Histogram, "s", [SYSTEM, METHOD, CODE],
        "How long requests took, of gRPC and of sessions; of a stream, until its end";
    TIER_PAYLOADS = "payload.tier.payloads", Gauge, "{payload}", [TIER], "Payloads whose fastest copy is in the tier";
    TIER_SIZE = "payload.tier.size", Gauge, "By", [TIER], "Bytes of those payloads";
    TIER_USAGE = "payload.tier.usage", Gauge, "By", [TIER],
        "What is taken of the tier's capacity, by copies that are not the fastest and by the backlog, too";
    TIER_LIMIT = "payload.tier.limit", Gauge, "By", [TIER], "The tier's capacity; OBJECT has none";
    TIER_WATERMARK = "payload.tier.watermark", Gauge, "By", [TIER, WATERMARK],
        "Where eviction begins by itself (high), and where it ends (low)";
    LOST = "payload.lost", Gauge, "{payload}", [], "Payloads that are listed and have no good copy left";
    DAMAGED = "payload.copy.damaged", Counter, "{copy}", [TIER],
        "Copies that were set aside because their bytes are gone or are not what was written";
    LEASES_TAKEN = "payload.lease.taken", Counter, "{lease}", [PATH],
        "Leases taken, by calls, and by clients on their own pages, as those pages count them";
    LEASES_LIVE = "payload.lease.live", Gauge, "{lease}", [PATH], "Leases that hold now";
    LEASES_EXPIRED = "payload.lease.expired", Counter, "{lease}", [], "Leases that came to their deadline";
    LEASES_REVOKED = "payload.lease.revoked", Counter, "{lease}", [], "Leases that a forced deletion took away";
    BACKLOG_BLOCKS = "payload.backlog.blocks", Gauge, "{block}", [],
        "Blocks that nobody can find any more, and that leases keep or that are being freed";
    BACKLOG_SIZE = "payload.backlog.size", Gauge, "By", [], "Bytes of those that leases keep";
    BACKLOG_AGE = "payload.backlog.age", Gauge, "s", [], "How long the oldest of them has waited; 0 without any";
    TRANSFERS = "payload.transfer.duration", Histogram, "s", [FROM, TO, OUTCOME],
        "How long copies between tiers took, the wait for their turn included";
    TRANSFERS_SIZE = "payload.transfer.size", Counter, "By", [FROM, TO], "Bytes of the copies that were made";
    TRANSFERS_ACTIVE = "payload.transfer.active", Gauge, "{transfer}", [], "Copies that are under way or wait for their turn";
    EVICTIONS = "payload.eviction.begun", Counter, "{payload}", [TIER, TO],
        "Payloads that had to leave the tier to make room, and where to";
    PASSED_OVER = "payload.eviction.passed_over", Counter, "{look}", [TIER, REASON],
        "Times that a payload could not be evicted: policy, busy, pinned, leased, no_room (where it must go)";
    CATALOG_QUEUE = "payload.catalog.queue", Gauge, "{change}", [], "Changes that wait to be written to the catalog";
    CATALOG_AVAILABLE = "payload.catalog.available", Gauge, "{catalog}", [], "1 while the catalog can be written, else 0";
    SESSIONS = "payload.session.live", Gauge, "{session}", [], "Sessions that there are";
    STREAM_LAG = "payload.stream.lag", Gauge, "{entry}", [STREAM, GROUP],
        "Entries of the stream that the consumer group has not committed; of 1000 streams and 1000 groups by name at most";
    LOG_SUPPRESSED = "payload.log.suppressed", Counter, "{line}", [],
        "Lines of the log that were left out because there were too many from one place";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for (n, metric) in METRICS.iter().enumerate() {
            let fits = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_'));
            assert!(metric.name.starts_with("payload.") && fits(metric.name), "{}", metric.name);
            assert!(metric.attributes.iter().all(|attribute| fits(attribute)), "{}", metric.name);
            assert!(METRICS.iter().skip(n + 1).all(|other| other.name != metric.name), "{} twice", metric.name);
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn a_name_for_prometheus_has_its_unit_and_kind() {
        assert_eq!(REQUESTS.prometheus(), "payload_rpc_duration_seconds");
        assert_eq!(TRANSFERS_SIZE.prometheus(), "payload_transfer_size_bytes_total");
        assert_eq!(LEASES_LIVE.prometheus(), "payload_lease_live");
    }
}
