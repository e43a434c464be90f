//! One shared page object of the daemon's: made whole or not at all, checked at each opening, grown by steps.
//!
//! What its items are is not known here (`directory`, `records`, `lease_page`). Address space is mapped once for all
//! that there can ever be; memory is reserved as it is needed, and nothing beyond is touched: a page that the file
//! system has not reserved would be allocated by the fault, or be a SIGBUS when it is full (promise honest-full).

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};

use payload_manager_types::InstanceId;

use crate::boot::Identity;
use crate::error::{Full, OpenError};
use crate::layout::{self, Header, Kind, MAGIC, PAGE_BYTES, bytes_of, low32, words_of};
use crate::map::{Pages, Shared};
use crate::object::{self, ObjectError};
use crate::sync::Ordering;

/// Memory is reserved in steps of this many bytes.
const STEP_BYTES: usize = 1 << 20;

/// What the name of a page ends with until it is whole.
pub(crate) const DRAFT: &str = ".new";

/// Where the items of a page stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// Where the first item is.
    pub(crate) items_at: usize,
    /// How long an item is.
    pub(crate) item_bytes: usize,
    /// How many there can be.
    pub(crate) max: u32,
    /// What they are called in messages.
    pub(crate) what: &'static str,
}

impl Plan {
    /// The length of the object: all items.
    fn bytes(&self) -> usize {
        (self.items_at + self.item_bytes * self.max as usize).next_multiple_of(PAGE_BYTES)
    }
}

/// A page object, mapped.
#[derive(Debug)]
pub(crate) struct Page {
    file: File,
    pages: Pages,
    plan: Plan,
    epoch_ms: u64,
}

impl Page {
    /// Makes the object under a draft name, with the first `items` items reserved, and names it when it is whole.
    pub(crate) fn create(
        name: &str,
        identity: &Identity,
        plan: Plan,
        epoch_ms: u64,
        items: u32,
    ) -> Result<Self, ObjectError> {
        let draft = draft(name);
        // What a start that was killed left half made; nobody ever used it.
        object::unlink(&draft).map_err(|e| os(&draft, e))?;
        let file = object::create_empty(&draft, 0o600)?;
        let made = Self::fill(file, &draft, identity, plan, epoch_ms, items)
            .and_then(|page| object::rename_new(&draft, name).map(|()| page));
        if made.is_err() {
            // Best effort: the error that counts is the one we are about to tell.
            let _ = object::unlink(&draft);
        }
        made
    }

    fn fill(
        file: File,
        name: &str,
        identity: &Identity,
        plan: Plan,
        epoch_ms: u64,
        items: u32,
    ) -> Result<Self, ObjectError> {
        let bytes = plan.bytes() as u64;
        let full = |source| ObjectError::Full { name: name.to_owned(), bytes, source };
        file.set_len(bytes).map_err(|e| os(name, e))?;
        object::reserve(&file, 0, plan.items_at as u64).map_err(full)?;
        let pages = Pages::writable(&file, plan.bytes()).map_err(|e| os(name, e))?;
        let page = Self { file, pages, plan, epoch_ms };
        page.grow_to(items).map_err(|e| match e {
            Full::Memory { source, .. } => full(source),
            Full::Limit { .. } => ObjectError::BadName(name.to_owned()),
        })?;
        page.write_header(identity);
        Ok(page)
    }

    fn write_header(&self, identity: &Identity) {
        let Some(header) = self.header() else { return };
        let set = |words: &[crate::sync::AtomicU64; 2], bytes| {
            words.iter().zip(words_of(bytes)).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
        };
        let kind = u64::from(self.plan.kind as u32) << 32;
        header.version_and_kind.store(kind | u64::from(layout::VERSION), Ordering::Relaxed);
        set(&header.instance, *identity.instance.as_bytes());
        set(&header.boot, identity.boot);
        header.epoch_ms.store(self.epoch_ms, Ordering::Relaxed);
        header.max.store(u64::from(self.plan.max), Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
    }

    /// Opens the daemon's own object, for reading and writing.
    ///
    /// `plan` gets the maximum that the header names, and says where the items are then.
    pub(crate) fn open(
        name: &str,
        identity: &Identity,
        kind: Kind,
        plan: impl Fn(u32) -> Plan,
    ) -> Result<Self, OpenError> {
        let file = object::open(name).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => OpenError::NotThere,
            _ => OpenError::Os { name: name.to_owned(), source },
        })?;
        let os = |source| OpenError::Os { name: name.to_owned(), source };
        let uid = file.metadata().map_err(os)?.uid();
        if uid != nix::unistd::geteuid().as_raw() {
            return Err(OpenError::OtherOwner { name: name.to_owned(), uid });
        }
        let facts = Facts::read(name, &file, kind)?;
        facts.belongs_to(name, identity)?;
        let plan = facts.fits(name, &file, plan)?;
        let pages = Pages::writable(&file, plan.bytes()).map_err(os)?;
        // Promise no-leak: a draft beside the page is what a start that was killed left.
        object::unlink(&draft(name)).map_err(os)?;
        Ok(Self { file, pages, plan, epoch_ms: facts.epoch_ms })
    }

    /// Opens somebody's object by a descriptor, for reading. Also gives the instance it belongs to.
    pub(crate) fn read_only(
        file: File,
        kind: Kind,
        plan: impl Fn(u32) -> Plan,
    ) -> Result<(Self, InstanceId), OpenError> {
        let name = "the descriptor";
        let facts = Facts::read(name, &file, kind)?;
        let plan = facts.fits(name, &file, plan)?;
        let pages =
            Pages::read_only(&file, plan.bytes()).map_err(|source| OpenError::Os { name: name.to_owned(), source })?;
        Ok((Self { file, pages, plan, epoch_ms: facts.epoch_ms }, facts.instance))
    }

    /// Opens a page that the daemon gave to this client for writing, by its descriptor. Also gives the instance.
    pub(crate) fn of_client(
        file: File,
        kind: Kind,
        plan: impl Fn(u32) -> Plan,
    ) -> Result<(Self, InstanceId), OpenError> {
        let name = "the descriptor";
        let facts = Facts::read(name, &file, kind)?;
        let plan = facts.fits(name, &file, plan)?;
        let pages =
            Pages::writable(&file, plan.bytes()).map_err(|source| OpenError::Os { name: name.to_owned(), source })?;
        Ok((Self { file, pages, plan, epoch_ms: facts.epoch_ms }, facts.instance))
    }

    /// Where it is mapped, for the guard.
    pub(crate) fn range(&self) -> (usize, usize) {
        self.pages.range()
    }

    pub(crate) const fn epoch_ms(&self) -> u64 {
        self.epoch_ms
    }

    #[inline]
    pub(crate) const fn max(&self) -> u32 {
        self.plan.max
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// The front of the page. There is one: a mapping without was never made.
    #[inline]
    pub(crate) fn header(&self) -> Option<&Header> {
        self.pages.one(0)
    }

    /// Words of another kind than the items, before them.
    #[inline]
    pub(crate) fn many<T: Shared>(&self, offset: usize, count: usize) -> Option<&[T]> {
        self.pages.many(offset, count)
    }

    /// All items of a page that was grown to its full size when it was made, whatever its header says by now.
    #[inline]
    pub(crate) fn items<T: Shared>(&self) -> Option<&[T]> {
        let fits = size_of::<T>() == self.plan.item_bytes;
        fits.then(|| self.pages.many(self.plan.items_at, self.plan.max as usize)).flatten()
    }

    /// How many items have memory behind them.
    #[inline]
    pub(crate) fn grown(&self) -> u32 {
        let told = self.header().map_or(0, |h| h.grown.load(Ordering::Relaxed));
        crate::sync::fence(Ordering::Acquire);
        u32::try_from(told).unwrap_or(u32::MAX).min(self.plan.max)
    }

    /// The item at `index`, if there is memory behind it.
    #[inline]
    pub(crate) fn item<T: Shared>(&self, index: u32) -> Option<&T> {
        if index >= self.grown() || size_of::<T>() != self.plan.item_bytes {
            return None;
        }
        self.pages.one(self.plan.items_at + self.plan.item_bytes * index as usize)
    }

    /// Reserves memory for at least `items` items, by steps. Nothing changes when there is none.
    pub(crate) fn grow_to(&self, items: u32) -> Result<(), Full> {
        let Plan { items_at, item_bytes, max, what, .. } = self.plan;
        let grown = self.grown();
        if items <= grown {
            return Ok(());
        }
        if items > max {
            return Err(Full::Limit { what, max });
        }
        let from = (items_at + item_bytes * grown as usize) / PAGE_BYTES * PAGE_BYTES;
        let need = items_at + item_bytes * items as usize;
        let to = need.next_multiple_of(STEP_BYTES).min(self.plan.bytes());
        let bytes = (to - from) as u64;
        object::reserve(&self.file, from as u64, bytes).map_err(|source| Full::Memory { what, bytes, source })?;
        let now = u32::try_from((to - items_at) / item_bytes).unwrap_or(max).min(max);
        if let Some(header) = self.header() {
            header.grown.store(u64::from(now), Ordering::Release);
        }
        Ok(())
    }
}

/// The name of a page that is being made.
fn draft(name: &str) -> String {
    format!("{name}{DRAFT}")
}

fn os(name: &str, source: io::Error) -> ObjectError {
    ObjectError::Os { name: name.to_owned(), source }
}

/// What a header says, read once.
struct Facts {
    instance: InstanceId,
    boot: [u8; 16],
    epoch_ms: u64,
    max: u64,
    grown: u64,
}

impl Facts {
    /// Through the descriptor and not through a mapping: who can write the page can also cut it short meanwhile.
    fn read(name: &str, file: &File, kind: Kind) -> Result<Self, OpenError> {
        let torn = |what: &str| OpenError::Torn { name: name.to_owned(), what: what.to_owned() };
        let mut bytes = [0; size_of::<Header>()];
        file.read_exact_at(&mut bytes, 0).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => torn("shorter than its header"),
            _ => OpenError::Os { name: name.to_owned(), source },
        })?;
        let word =
            |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_ne_bytes(*word));
        if word(offset_of!(Header, magic)) != MAGIC {
            return Err(torn("not a page of this program"));
        }
        let version_and_kind = word(offset_of!(Header, version_and_kind));
        match low32(version_and_kind) {
            layout::VERSION => {}
            0 => return Err(torn("layout 0")),
            found => return Err(OpenError::OtherLayout { name: name.to_owned(), found, known: layout::VERSION }),
        }
        if version_and_kind >> 32 != u64::from(kind as u32) {
            return Err(torn("a page of another kind"));
        }
        let pair = |at: usize| bytes_of([word(at), word(at + size_of::<u64>())]);
        Ok(Self {
            instance: InstanceId::from_bytes(pair(offset_of!(Header, instance))),
            boot: pair(offset_of!(Header, boot)),
            epoch_ms: word(offset_of!(Header, epoch_ms)),
            max: word(offset_of!(Header, max)),
            grown: word(offset_of!(Header, grown)),
        })
    }

    fn belongs_to(&self, name: &str, identity: &Identity) -> Result<(), OpenError> {
        let name = name.to_owned();
        if self.instance != identity.instance {
            return Err(OpenError::Foreign { name, found: self.instance });
        }
        if self.boot != identity.boot {
            return Err(OpenError::OtherBoot { name, found: self.boot });
        }
        Ok(())
    }

    /// The plan for what the header claims, if the object is as long as that, and its growth within it.
    fn fits(&self, name: &str, file: &File, plan: impl Fn(u32) -> Plan) -> Result<Plan, OpenError> {
        let torn = |what: String| OpenError::Torn { name: name.to_owned(), what };
        let max = u32::try_from(self.max).ok().filter(|max| (1..crate::MOST_ITEMS + 1).contains(max));
        let plan = plan(max.ok_or_else(|| torn(format!("room for {} items", self.max)))?);
        let there = file.metadata().map_err(|source| OpenError::Os { name: name.to_owned(), source })?.len();
        if there != plan.bytes() as u64 {
            return Err(torn(format!("{there} bytes long, not {}", plan.bytes())));
        }
        if self.grown > self.max {
            return Err(torn(format!("{} of {} items in use", self.grown, self.max)));
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests;
