//! The instruments: what the daemon tells as it happens, and what is looked up when somebody asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::Mutex;
use payload_manager_core::counts::Kept;
use payload_manager_types::{SpillTarget, Tier};

use super::SCOPE;
use super::table::{self, Metric};
use crate::engine::{Figures, WeakEngine};
use crate::log;

/// Where the buckets of durations end, in seconds: from what memory takes to what an object store may take.
const SECONDS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What is told as it happens. Clones tell the same instruments; where nobody reads them there are none.
#[derive(Debug, Clone, Default)]
pub struct Meters(Option<Arc<Instruments>>);

#[derive(Debug)]
struct Instruments {
    requests: Histogram<f64>,
    transfers: Histogram<f64>,
    transferred: Counter<u64>,
    damaged: Counter<u64>,
}

impl Meters {
    /// The instruments of a provider.
    pub(super) fn of(provider: &SdkMeterProvider) -> Self {
        let meter = provider.meter(SCOPE);
        Self(Some(Arc::new(Instruments {
            requests: histogram(&meter, table::REQUESTS),
            transfers: histogram(&meter, table::TRANSFERS),
            transferred: counter(&meter, table::TRANSFERS_SIZE),
            damaged: counter(&meter, table::DAMAGED),
        })))
    }

    /// A request was answered.
    pub(crate) fn answered(&self, request: &Request, code: &'static str) {
        let Some(instruments) = &self.0 else { return };
        let attributes = [
            KeyValue::new(table::SYSTEM, request.system),
            KeyValue::new(table::METHOD, Arc::clone(&request.method)),
            KeyValue::new(table::CODE, code),
        ];
        instruments.requests.record(request.since.elapsed().as_secs_f64(), &attributes);
    }

    /// A copy between tiers has come to its end.
    pub(crate) fn transferred(&self, from: Tier, to: Tier, bytes: Option<u64>, took: Duration) {
        let Some(instruments) = &self.0 else { return };
        let (from, to) = (KeyValue::new(table::FROM, name(from)), KeyValue::new(table::TO, name(to)));
        let outcome = KeyValue::new(table::OUTCOME, if bytes.is_some() { "ok" } else { "failed" });
        if let Some(bytes) = bytes {
            instruments.transferred.add(bytes, &[from.clone(), to.clone()]);
        }
        instruments.transfers.record(took.as_secs_f64(), &[from, to, outcome]);
    }

    /// A copy was set aside.
    pub(crate) fn damaged(&self, tier: Tier) {
        if let Some(instruments) = &self.0 {
            instruments.damaged.add(1, &[KeyValue::new(table::TIER, name(tier))]);
        }
    }
}

/// A request that is being answered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `grpc` or `session`.
    pub(crate) system: &'static str,
    /// The full name of its method.
    pub(crate) method: Arc<str>,
    /// When it came.
    pub(crate) since: Instant,
}

fn counter(meter: &Meter, metric: Metric) -> Counter<u64> {
    meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

fn histogram(meter: &Meter, metric: Metric) -> Histogram<f64> {
    let builder = meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.help);
    builder.with_boundaries(SECONDS.to_vec()).build()
}

const fn name(tier: Tier) -> &'static str {
    match tier {
        Tier::Gpu => "GPU",
        Tier::Ram => "RAM",
        Tier::Disk => "DISK",
        Tier::Object => "OBJECT",
    }
}

const fn target(to: SpillTarget) -> &'static str {
    match to {
        SpillTarget::Tier(tier) => name(tier),
        SpillTarget::Void => "VOID",
    }
}

const fn reason(kept: Kept) -> &'static str {
    match kept {
        Kept::Policy => "policy",
        Kept::Busy => "busy",
        Kept::Pinned => "pinned",
        Kept::Leased => "leased",
        Kept::NoRoom => "no_room",
    }
}

/// What is looked up when somebody asks. One look serves all that are asked for together.
struct Asked {
    engine: WeakEngine,
    last: Mutex<Option<(Instant, Arc<Figures>)>>,
}

/// For how long a look is good: somebody who asks for one figure asks for all of them.
const GOOD_FOR: Duration = Duration::from_millis(100);

impl Asked {
    fn figures(&self) -> Option<Arc<Figures>> {
        let mut last = self.last.lock();
        if let Some((_, figures)) = last.as_ref().filter(|(at, _)| at.elapsed() < GOOD_FOR) {
            return Some(Arc::clone(figures));
        }
        let figures = Arc::new(self.engine.upgrade()?.figures());
        *last = Some((Instant::now(), Arc::clone(&figures)));
        Some(figures)
    }
}

/// How one metric is looked up: tells the values there are.
type Look = fn(&Figures, &mut dyn FnMut(f64, &[KeyValue]));

/// Has the provider ask the engine, as long as there is one.
pub(super) fn ask(provider: &SdkMeterProvider, engine: WeakEngine) {
    let meter = provider.meter(SCOPE);
    let asked = Arc::new(Asked { engine, last: Mutex::default() });
    for (metric, look) in LOOKS {
        let asked = Arc::clone(&asked);
        let tell = move |to: &dyn AsyncInstrument<f64>| {
            if let Some(figures) = asked.figures() {
                look(&figures, &mut |value, attributes| to.observe(value, attributes));
            }
        };
        match metric.kind {
            table::Kind::Counter => {
                let builder = meter.f64_observable_counter(metric.name).with_unit(metric.unit);
                builder.with_description(metric.help).with_callback(tell).build();
            }
            table::Kind::Gauge | table::Kind::Histogram => {
                let builder = meter.f64_observable_gauge(metric.name).with_unit(metric.unit);
                builder.with_description(metric.help).with_callback(tell).build();
            }
        }
    }
}

/// Counts and bytes are told as floating point numbers: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53, of bytes 8 PiB")]
const fn number(value: u64) -> f64 {
    value as f64
}

const LOOKS: [(Metric, Look); 21] = [
    (table::TIER_PAYLOADS, |f, tell| each_tier(f, |tier| tell(number(count(f, tier).payloads), &[of(tier)]))),
    (table::TIER_SIZE, |f, tell| each_tier(f, |tier| tell(number(count(f, tier).bytes), &[of(tier)]))),
    (table::TIER_USAGE, |f, tell| each_budget(f, |tier, used, _| tell(number(used), &[of(tier)]))),
    (table::TIER_LIMIT, |f, tell| {
        each_budget(f, |tier, _, limit| limit.into_iter().for_each(|limit| tell(number(limit), &[of(tier)])));
    }),
    (table::TIER_WATERMARK, |f, tell| {
        each_budget(f, |tier, _, limit| {
            let Some(limit) = limit else { return };
            for (word, percent) in [("high", f.watermarks.high), ("low", f.watermarks.low)] {
                let bytes = number(limit) * f64::from(percent) / 100.0;
                tell(bytes.floor(), &[of(tier), KeyValue::new(table::WATERMARK, word)]);
            }
        });
    }),
    (table::LOST, |f, tell| tell(number(f.stats.lost), &[])),
    (table::LEASES_TAKEN, |f, tell| by_path(f.leases.taken, tell)),
    (table::LEASES_LIVE, |f, tell| by_path(f.leases.live, tell)),
    (table::LEASES_EXPIRED, |f, tell| tell(number(f.leases.expired), &[])),
    (table::LEASES_REVOKED, |f, tell| tell(number(f.leases.revoked), &[])),
    (table::BACKLOG_BLOCKS, |f, tell| tell(number(f.stats.backlog_blocks), &[])),
    (table::BACKLOG_SIZE, |f, tell| tell(number(f.stats.backlog_bytes), &[])),
    (table::BACKLOG_AGE, |f, tell| tell(f.backlog_age.as_secs_f64(), &[])),
    (table::TRANSFERS_ACTIVE, |f, tell| tell(number(f.transfers), &[])),
    (table::EVICTIONS, |f, tell| {
        let ways = Tier::ALL.map(SpillTarget::Tier).into_iter().chain([SpillTarget::Void]);
        for to in ways {
            each_tier(f, |tier| match f.stats.evictions.begun(tier, to) {
                0 => {}
                begun => tell(number(begun), &[of(tier), KeyValue::new(table::TO, target(to))]),
            });
        }
    }),
    (table::PASSED_OVER, |f, tell| {
        for kept in Kept::ALL {
            each_tier(f, |tier| match f.stats.evictions.passed_over(tier, kept) {
                0 => {}
                looks => tell(number(looks), &[of(tier), KeyValue::new(table::REASON, reason(kept))]),
            });
        }
    }),
    (table::CATALOG_QUEUE, |f, tell| tell(number(f.catalog_queue), &[])),
    (table::CATALOG_AVAILABLE, |f, tell| tell(f64::from(u8::from(f.catalog_available)), &[])),
    (table::SESSIONS, |f, tell| tell(number(f.sessions), &[])),
    (table::STREAM_LAG, |f, tell| {
        for lag in &f.lags {
            let stream = KeyValue::new(table::STREAM, lag.stream.clone());
            tell(number(lag.entries), &[stream, KeyValue::new(table::GROUP, lag.group.clone())]);
        }
    }),
    (table::LOG_SUPPRESSED, |_, tell| tell(number(log::suppressed()), &[])),
];

fn of(tier: Tier) -> KeyValue {
    KeyValue::new(table::TIER, name(tier))
}

fn by_path(counts: [u64; 2], tell: &mut dyn FnMut(f64, &[KeyValue])) {
    for (path, count) in ["call", "page"].into_iter().zip(counts) {
        tell(number(count), &[KeyValue::new(table::PATH, path)]);
    }
}

fn count(figures: &Figures, tier: Tier) -> payload_manager_core::ledger::TierCount {
    figures.stats.tiers.get(tier.index()).copied().unwrap_or_default()
}

/// The tiers that are configured.
fn each_tier(figures: &Figures, mut see: impl FnMut(Tier)) {
    each_budget(figures, |tier, _, _| see(tier));
}

/// Each tier, what is taken of it, and what it may hold; of OBJECT nobody says.
fn each_budget(figures: &Figures, mut see: impl FnMut(Tier, u64, Option<u64>)) {
    for (tier, budget) in Tier::ALL.into_iter().zip(figures.stats.budgets) {
        let Some((capacity, free)) = budget else { continue };
        see(tier, capacity.saturating_sub(free), Some(capacity).filter(|_| tier != Tier::Object));
    }
}
