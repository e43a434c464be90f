//! A client's end of its lease page: leases are taken here.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use payload_manager_types::{BlockName, EntryIndex, InstanceId, PayloadId, Tier};

use super::clock::Clock;
use super::lease::Lease;
use super::lines::{Lines, with_slot};
use super::notes::{Note, Notes};
use super::plan;
use super::renewals::Renewals;
use crate::directory::{DirectoryReader, Face};
use crate::error::OpenError;
use crate::layout::{DirectoryEntry, HEADER_BYTES, Kind, counter_of, read_words, session_counters_at};
use crate::page::Page;
use crate::slot::line::{self, SLOTS, Shipped};
use crate::slot::{self, NotTaken, PAGE_OPEN, Word};
use crate::sync::{AtomicU64, Ordering};

/// What a lease is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How long it is to hold. The daemon lowers what is beyond its maximum.
    pub duration: Duration,
    /// The slowest tier that will do.
    pub min_tier: Tier,
}

/// Why there is no lease without asking the daemon. Never an answer to whether the payload exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The directory does not show the payload, or not as readable.
    NotShown,
    /// Its fastest copy is in this tier, slower than was wanted.
    Slower(Tier),
    /// Its time to live is over.
    Ended,
    /// The caller can't read from where it is.
    Elsewhere,
    /// It is being moved about.
    Moving,
    /// All slots of the page are in use.
    NoSlot,
    /// The session is over: the page is closed.
    SessionOver,
    /// This process is a child of the one that the session belongs to. It needs a session of its own.
    Forked,
}

/// How often a payload may move while its lease is being taken.
const TRIES: usize = 8;

/// The lease page of a session, in the process that it belongs to. Cheap to clone; every method can be called from any
/// thread at any time.
///
/// `K` is what has to outlive the leases, such as the mappings of the bytes: it is dropped with the last lease and the
/// last clone. Leases count on it thread by thread, so that two threads that take leases share no written cache line.
#[derive(Debug)]
pub struct LeaseTable<K = ()> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for LeaseTable<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared<K> {
    body: Arc<Body<K>>,
    /// One for each line: a lease counts on that of its own.
    anchors: Box<[Arc<Anchor<K>>]>,
}

/// Keeps the table while there are leases of one line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Anchor<K> {
    pub(super) body: Arc<Body<K>>,
}

#[derive(Debug)]
pub(super) struct Body<K> {
    pub(super) directory: DirectoryReader,
    pub(super) page: Page,
    pub(super) lines: Arc<Lines>,
    /// By line.
    notes: Box<[Notes]>,
    pub(super) clock: Clock,
    pub(super) keep: K,
}

impl<K> LeaseTable<K> {
    /// Maps the page behind `page`, which the daemon made for this session, and takes leases on what `directory` shows.
    ///
    /// # Errors
    /// It is no lease page of the directory's daemon or of another shape, or can't be mapped for writing.
    pub fn new(directory: DirectoryReader, page: File, clock: Clock, keep: K) -> Result<Self, OpenError> {
        let (page, instance) = Page::of_client(page, Kind::SessionLeases, plan(directory.max_entries()))?;
        belongs(&directory, instance)?;
        let os = |source| OpenError::Os { name: "the mark of this process".to_owned(), source };
        let count = page.max() as usize / SLOTS;
        let lines = Arc::new(Lines::new(count).map_err(os)?);
        let notes = (0..count).map(|_| Notes::new()).collect();
        let body = Arc::new(Body { directory, page, lines, notes, clock, keep });
        let anchors = (0..count).map(|_| Arc::new(Anchor { body: Arc::clone(&body) })).collect();
        Ok(Self { shared: Arc::new(Shared { body, anchors }) })
    }

    /// Takes a lease on the fastest copy of a payload. No system call, no allocation (but for a thread's first lease).
    ///
    /// # Errors
    /// The daemon has to be asked, for the reason given.
    #[inline]
    pub fn take(&self, id: PayloadId, wanted: Wanted) -> Result<Lease<K>, Fallback> {
        self.take_if(id, wanted, |_| true)
    }

    /// As [`Self::take`], on a copy that the caller can reach: `reachable` looks at the tier and the place.
    ///
    /// # Errors
    /// As [`Self::take`]; [`Fallback::Elsewhere`] where it is not reachable.
    #[inline]
    pub fn take_if(
        &self,
        id: PayloadId,
        wanted: Wanted,
        reachable: impl Fn(&Face) -> bool,
    ) -> Result<Lease<K>, Fallback> {
        let body = &*self.shared.body;
        if !body.lines.are_ours() {
            return Err(Fallback::Forked);
        }
        for _ in 0..TRIES {
            let (index, face, seq) = body.directory.lookup(id).ok_or(Fallback::NotShown)?;
            body.check(&face, wanted)?;
            if !reachable(&face) {
                return Err(Fallback::Elsewhere);
            }
            match self.write(index, face, seq, wanted)? {
                Some(lease) => return Ok(lease),
                None => std::hint::spin_loop(),
            }
        }
        Err(Fallback::Moving)
    }

    /// Writes the slot of a lease. `None`: the entry is no longer what it was.
    #[inline]
    fn write(&self, index: EntryIndex, face: Face, seq: u64, wanted: Wanted) -> Result<Option<Lease<K>>, Fallback> {
        let body = &*self.shared.body;
        let (entry, state) = body.words(index).ok_or(Fallback::NotShown)?;
        let millis = u64::try_from(wanted.duration.as_millis()).unwrap_or(u64::MAX);
        let until = body.clock.deadline(millis.min(LONGEST_MS));
        let word = Word::live(BlockName { index, generation: face.generation() }, body.directory.tick(until));
        let slots = body.slots();
        let taken = with_slot(
            &body.lines,
            |line| body.free_slot(line),
            |at| {
                body.note(at)?.begin(until.0, millis);
                Some((at, slot::take(slots.get(at)?, entry.seq_word(), state, word, seq)))
            },
        );
        match taken.flatten().ok_or(Fallback::NoSlot)? {
            (_, Err(NotTaken::EntryMoved)) => Ok(None),
            (_, Err(NotTaken::PageClosed)) => Err(Fallback::SessionOver),
            (at, Ok(())) => {
                body.count(at);
                body.note_read(index);
                let anchor = self.shared.anchors.get(at / SLOTS).ok_or(Fallback::NoSlot)?;
                Ok(Some(Lease::new(Arc::clone(anchor), at, word, face)))
            }
        }
    }

    /// For whoever prolongs its leases.
    #[must_use]
    pub fn renewals(&self) -> Renewals<K> {
        Renewals(Arc::downgrade(&self.shared.body))
    }

    /// The directory that leases are taken from.
    #[must_use]
    pub fn directory(&self) -> &DirectoryReader {
        &self.shared.body.directory
    }

    /// How many leases there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.body.slots().len()
    }

    /// What outlives the leases.
    #[must_use]
    pub fn kept(&self) -> &K {
        &self.shared.body.keep
    }

    /// The clock that its deadlines are counted on.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.body.clock
    }

    /// Whether leases can still be taken: the daemon has not closed the page, and this is the process it is for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let state = self.shared.body.state().map(|state| state.load(Ordering::Acquire));
        self.shared.body.lines.are_ours() && state == Some(PAGE_OPEN)
    }

    /// Slots in use: the leases of all threads, and those that were never given back.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.shared.body.slots().iter().filter(|slot| slot.load(Ordering::Relaxed) != 0).count()
    }
}

/// No lease is longer than half of the range in which deadlines are compared, whatever the daemon's maximum.
pub(super) const LONGEST_MS: u64 = 1 << 28;

impl<K> Body<K> {
    #[inline]
    fn check(&self, face: &Face, wanted: Wanted) -> Result<(), Fallback> {
        if !face.is_readable() {
            return Err(Fallback::NotShown);
        }
        if !face.tier.is_at_least(wanted.min_tier) {
            return Err(Fallback::Slower(face.tier));
        }
        match face.expires {
            Some(at) if self.clock.is_past(at) => Err(Fallback::Ended),
            _ => Ok(()),
        }
    }

    #[inline]
    pub(super) fn state(&self) -> Option<&AtomicU64> {
        self.page.header().map(|header| &header.state)
    }

    #[inline]
    fn words(&self, index: EntryIndex) -> Option<(&DirectoryEntry, &AtomicU64)> {
        Some((self.directory.entry(index)?, self.state()?))
    }

    #[inline]
    pub(super) fn slots(&self) -> &[AtomicU64] {
        self.page.items().unwrap_or_default()
    }

    /// What is noted of the lease in a slot.
    #[inline]
    pub(super) fn note(&self, slot: usize) -> Option<&Note> {
        Some(self.notes.get(slot / SLOTS)?.of(slot))
    }

    /// A free slot of one's own line, counted from the start of the page.
    #[inline]
    fn free_slot(&self, line: usize) -> Option<usize> {
        let first = line * SLOTS;
        let found = line::free_slot::<_, Shipped>(self.slots().get(first..first + SLOTS)?)?;
        // Mostly a load: only a line that was never used has anything to say.
        line::raise_reach(&self.page.header()?.reach, line as u64 + 1);
        Some(first + found)
    }

    /// One more lease was taken in the line of this slot, which nobody else takes in: so a load and a store will do.
    #[inline]
    fn count(&self, slot: usize) {
        let lines = self.lines.count();
        let counters: &[AtomicU64] =
            self.page.many(session_counters_at(self.directory.max_entries()), lines).unwrap_or_default();
        if let Some(counter) = counters.get(counter_of(slot / SLOTS, lines)) {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Tells eviction that the payload is read, when the daemon next looks. Mostly a load.
    #[inline]
    fn note_read(&self, index: EntryIndex) {
        let words: &[AtomicU64] =
            self.page.many(HEADER_BYTES, read_words(self.directory.max_entries())).unwrap_or_default();
        let bit = 1 << (index.get() % u64::BITS);
        if let Some(word) = words.get((index.get() / u64::BITS) as usize)
            && word.load(Ordering::Relaxed) & bit == 0
        {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }
}

fn belongs(directory: &DirectoryReader, instance: InstanceId) -> Result<(), OpenError> {
    if instance == directory.instance() {
        return Ok(());
    }
    Err(OpenError::Foreign { name: "the lease page".to_owned(), found: instance })
}
