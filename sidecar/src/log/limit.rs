//! How much one place of the program may say: so many lines in a time, then none until it is over. What is at fault, and how
//! often, is in the first lines and in the count.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The time in which lines are counted.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Lines of one place in that time.
const MOST: u64 = 20;

static PLACES: LazyLock<Places> = LazyLock::new(Places::default);

/// Lines left out since the start of the process.
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// How many lines were left out since the start of the process.
pub(crate) fn suppressed() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

/// What was left out since this was last asked, by place.
pub(super) fn left_out() -> Vec<LeftOut> {
    PLACES.left_out()
}

/// Lines of one place that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) lines: u64,
    pub(super) place: String,
}

/// A format that writes nothing of what may not be said. Details are never limited: who asks for them wants all of them.
///
/// Here and not in a filter: a filter that changes its mind from event to event confuses the others of its registry.
pub(super) struct Limited<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let said = event.metadata();
        if *said.level() > Level::INFO || PLACES.may_say(said.callsite(), said, Instant::now()) {
            return self.0.format_event(context, writer, event);
        }
        SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The places that have said something: as many as there are in the program.
#[derive(Default)]
struct Places(Mutex<HashMap<Identifier, Place>>);

struct Place {
    of: &'static Metadata<'static>,
    since: Instant,
    said: u64,
    left_out: u64,
}

impl Places {
    /// Counts a line; whether it may be said.
    fn may_say(&self, place: Identifier, of: &'static Metadata<'static>, now: Instant) -> bool {
        let mut places = self.0.lock();
        let place = match places.entry(place) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) => place.insert(Place { of, since: now, said: 0, left_out: 0 }),
        };
        if now.duration_since(place.since) >= PERIOD {
            (place.since, place.said) = (now, 0);
        }
        place.said += 1;
        let may = place.said <= MOST;
        place.left_out += u64::from(!may);
        may
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let mut places = self.0.lock();
        let some = places.values_mut().filter(|place| place.left_out > 0);
        some.map(|place| {
            let (file, line) = (place.of.file().unwrap_or(place.of.target()), place.of.line().unwrap_or(0));
            LeftOut { lines: std::mem::take(&mut place.left_out), place: format!("{file}:{line}") }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_so_much_in_a_time_and_what_is_left_out_is_told_once() {
        let subscriber = tracing_subscriber::registry();
        let (one, other) = tracing::subscriber::with_default(subscriber, || {
            (tracing::info_span!("one").metadata(), tracing::info_span!("other").metadata())
        });
        let (Some(one), Some(other)) = (one, other) else { panic!("spans without metadata") };
        let (places, start) = (Places::default(), Instant::now());
        let say = |of: &'static Metadata<'static>, at| places.may_say(of.callsite(), of, at);
        assert!((0..MOST).all(|_| say(one, start)));
        assert!((0..7).all(|_| !say(one, start)));
        assert!(say(other, start), "another place is another matter");
        let told = places.left_out();
        assert!(matches!(told.as_slice(), [LeftOut { lines: 7, place }] if place.contains("limit.rs:")), "{told:?}");
        assert_eq!(places.left_out(), []);
        assert!(say(one, start + PERIOD));
        assert_eq!(places.left_out(), []);
    }
}
