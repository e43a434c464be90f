//! The OBJECT tier as a daemon uses it: its own by a marker in the prefix, and left in peace while it is out of reach.
//!
//! Nothing is read from or written to a prefix that is not known to be this instance's (promise: never-the-only-copy). A
//! store that did not answer is asked again after a pause that doubles; until then whoever wants something of it is told at
//! once, so that a store that is down costs no thread and no other tier's time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use payload_manager_tiers::{
    Archive, Description, Location, Notes, ObjectOptions, ObjectTier, Sealed, Sink, Source, TierError, TierStore,
};
use payload_manager_types::{Checksum, InstanceId, PayloadId, Place, Tier};

/// The first pause after a request that found nobody, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How the daemon speaks to its store: a request that fails for long is tried again by whoever wanted it, not in here.
/// `pack`: copies that shrink go there compressed.
#[must_use]
pub fn options(pack: bool) -> ObjectOptions {
    ObjectOptions {
        pack,
        request_timeout: Duration::from_secs(60),
        retries: 4,
        retry_for: Duration::from_secs(15),
        ..ObjectOptions::default()
    }
}

/// A prefix that is this instance's, or will be.
#[derive(Clone)]
pub struct Bucket {
    tier: ObjectTier,
    gate: Arc<Gate>,
}

/// What lets calls through.
struct Gate {
    instance: InstanceId,
    /// The catalog knows copies there, so the prefix must be marked.
    marked: bool,
    own: AtomicBool,
    rest: Mutex<Rest>,
}

/// How long the store is left in peace.
#[derive(Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
    said: String,
}

impl Gate {
    /// Whether the store may be asked now.
    fn may_ask(&self) -> Result<(), TierError> {
        let rest = self.rest.lock();
        match rest.until {
            Some(until) if Instant::now() < until => Err(TierError::Unavailable {
                tier: Tier::Object,
                doing: "waiting before it is asked again".into(),
                what: rest.said.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// What became of asking.
    fn note<T>(&self, result: Result<T, TierError>) -> Result<T, TierError> {
        let mut rest = self.rest.lock();
        match &result {
            Err(TierError::Unavailable { what, .. }) => {
                if rest.failures == 0 {
                    tracing::warn!(error = %what, "the object store is out of reach; it is asked again by itself");
                }
                rest.until = Some(Instant::now() + pause(rest.failures));
                rest.failures = rest.failures.saturating_add(1);
                rest.said.clone_from(what);
            }
            _ => {
                if rest.failures > 0 {
                    tracing::info!("the object store is there again");
                }
                *rest = Rest::default();
            }
        }
        result
    }
}

fn pause(failures: u32) -> Duration {
    (FIRST_PAUSE * (1 << failures.min(8))).min(LONGEST_PAUSE)
}

impl Bucket {
    /// The prefix of `tier`. `marked`: it must be `instance`'s already, because the catalog knows copies in it. Sends nothing.
    #[must_use]
    pub fn new(tier: ObjectTier, instance: InstanceId, marked: bool) -> Self {
        let gate = Gate { instance, marked, own: AtomicBool::new(false), rest: Mutex::default() };
        Self { tier, gate: Arc::new(gate) }
    }

    /// Sees that the prefix is this instance's, and marks it where it is nobody's. Blocks until the store has answered or
    /// does not.
    ///
    /// # Errors
    /// [`TierError::Unavailable`]; [`TierError::Io`], of kind `AlreadyExists` if the prefix is another instance's or lacks
    /// the mark that it must have, of kind `NotFound` for a bucket that is not there, of kind `PermissionDenied` for
    /// credentials that are missing, wrong or too weak.
    pub fn claim(&self) -> Result<(), TierError> {
        let Gate { instance, marked, own, .. } = &*self.gate;
        if own.load(Ordering::Acquire) {
            return Ok(());
        }
        let not_ours = |what: String| TierError::Io {
            tier: Tier::Object,
            doing: "using its prefix".into(),
            source: io::Error::new(io::ErrorKind::AlreadyExists, what),
        };
        match self.tier.marker()? {
            Some(owner) if owner == *instance => {}
            Some(owner) => {
                let what =
                    "give each daemon a prefix of its own, or remove the object 'instance' if that one is no more";
                return Err(not_ours(format!("it is marked as instance {owner}'s, and this is {instance}: {what}")));
            }
            None if *marked => {
                let what = "name the prefix that it was";
                return Err(not_ours(format!(
                    "the catalog of {instance} knows copies there, but it is not marked: {what}"
                )));
            }
            None => self.tier.claim(*instance)?,
        }
        own.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes a call, if it is time for one.
    fn ask<T>(&self, call: impl FnOnce(&ObjectTier) -> Result<T, TierError>) -> Result<T, TierError> {
        self.gate.may_ask()?;
        self.gate.note(self.claim().and_then(|()| call(&self.tier)))
    }

    fn watched(&self, inner: Box<dyn Sink>) -> Box<dyn Sink> {
        Box::new(WatchedSink { inner, gate: Arc::clone(&self.gate) })
    }
}

impl TierStore for Bucket {
    fn tier(&self) -> Tier {
        Tier::Object
    }

    fn location(&self, id: PayloadId, place: Place) -> Location {
        self.tier.location(id, place)
    }

    /// Where the producer uploads to is told by a store that is out of reach, too.
    fn allocate(&self, id: PayloadId, size: u64) -> Result<Place, TierError> {
        self.tier.allocate(id, size)
    }

    fn seal(&self, id: PayloadId, place: Place, size: u64, archive: &Archive<'_>) -> Result<Sealed, TierError> {
        self.ask(|tier| tier.seal(id, place, size, archive))
    }

    fn source(&self, id: PayloadId, place: Place, size: u64) -> Result<Box<dyn Source>, TierError> {
        let inner = self.ask(|tier| tier.source(id, place, size))?;
        Ok(Box::new(WatchedSource { inner, gate: Arc::clone(&self.gate) }))
    }

    fn sink(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        self.ask(|tier| tier.sink(id, size)).map(|sink| self.watched(sink))
    }

    fn replacement(&self, id: PayloadId, size: u64) -> Result<Box<dyn Sink>, TierError> {
        self.ask(|tier| tier.replacement(id, size)).map(|sink| self.watched(sink))
    }

    fn describe(&self, id: PayloadId, size: u64, archive: &Description<'_>) -> Result<(), TierError> {
        self.ask(|tier| tier.describe(id, size, archive))
    }

    fn free(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        self.ask(|tier| tier.free(id, place))
    }

    fn set_aside(&self, id: PayloadId, place: Place) -> Result<(), TierError> {
        self.ask(|tier| tier.set_aside(id, place))
    }
}

impl Notes for Bucket {
    fn put_note(&self, name: &str, text: &[u8]) -> Result<(), TierError> {
        self.ask(|tier| tier.put_note(name, text))
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        self.ask(|tier| tier.note(name))
    }

    fn remove_note(&self, name: &str) -> Result<(), TierError> {
        self.ask(|tier| tier.remove_note(name))
    }

    fn notes(&self) -> Result<Vec<String>, TierError> {
        self.ask(ObjectTier::notes)
    }
}

struct WatchedSink {
    inner: Box<dyn Sink>,
    gate: Arc<Gate>,
}

impl Sink for WatchedSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        self.gate.note(self.inner.write_at(offset, bytes))
    }

    fn finish(self: Box<Self>, checksum: Checksum, archive: &Archive<'_>) -> Result<Place, TierError> {
        let Self { inner, gate } = *self;
        gate.note(inner.finish(checksum, archive))
    }
}

struct WatchedSource {
    inner: Box<dyn Source>,
    gate: Arc<Gate>,
}

impl Source for WatchedSource {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        self.gate.note(self.inner.read_at(offset, buf))
    }
}
