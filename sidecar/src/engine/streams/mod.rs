//! Streams: ordered logs of payload ids, kept by the catalog, with their newest entries in memory.
//!
//! ```text
//! append ─► ledger: all committed? ─► catalog, synced ─► tail, in the order of the catalog ─► subscribers wake
//! ```
//!
//! A subscriber reads the tail, or the catalog where the tail does not reach back far enough, at its own pace: nobody
//! waits for it, and nothing is kept for it.
//!
//! `live` is one stream as it is now, `tails` bounds what all of them keep in memory, `write` changes them, `read` and
//! `follow` look at them, `age` removes what is too old, `archive` writes them where a rebuild finds them. This file knows which streams there are.
//!
//! # One name, two streams
//!
//! The catalog knows streams by name, and a stream may be deleted and made again at any time. What was written is taken
//! in by the stream that has the name at that point of the catalog's order ([`Streams::find`] on its thread). What was
//! read counts only if the stream that it was read for still stood, and nobody had begun to delete it, after the read
//! ([`Streams::standing`]): a deletion is announced before the catalog hears of it.

mod age;
mod archive;
mod follow;
mod live;
mod read;
mod tails;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use payload_manager_catalog::{Catalog, StreamInfo};
use payload_manager_types::{NewEntry, Retention, StreamName, UnixMillis};
use tokio::sync::Notify;

use super::Error;
pub use follow::{Start, Subscription};
use live::Live;
pub use read::ReadSpan;
use tails::Tails;

/// All streams.
pub(super) struct Streams {
    known: RwLock<Known>,
    tails: Tails,
    /// Rung when there is something new that will be too old one day.
    ages: Notify,
    /// Rung when an archived log is behind.
    logs: Notify,
}

#[derive(Default)]
struct Known {
    live: HashMap<StreamName, Arc<Live>>,
    /// Those of them that keep entries for some time only.
    aged: HashMap<StreamName, Arc<Live>>,
    /// Names that somebody is deleting, and how many do.
    leaving: HashMap<StreamName, u32>,
}

/// What has become of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is there.
    Here,
    /// Somebody is deleting it, and may not succeed; it wakes its subscribers either way.
    Leaving,
    /// It is deleted. There may be another one of its name.
    Gone,
}

impl Streams {
    /// Every stream of the catalog.
    pub(super) fn load(catalog: &Catalog) -> Result<Self, Error> {
        let known = catalog.read(|reader| reader.streams())?;
        let streams = Self {
            known: RwLock::default(),
            tails: Tails::new(tails::BUDGET),
            ages: Notify::new(),
            logs: Notify::new(),
        };
        for StreamInfo { name, first, next, retention, .. } in known {
            streams.insert(name, Live::new(retention, first, next));
        }
        Ok(streams)
    }

    fn find(&self, name: &StreamName) -> Result<Arc<Live>, Error> {
        self.known.read().live.get(name).cloned().ok_or_else(|| Error::NoSuchStream(name.clone()))
    }

    fn standing(&self, name: &StreamName, live: &Arc<Live>) -> Standing {
        let known = self.known.read();
        match known.live.get(name) {
            Some(there) if !Arc::ptr_eq(there, live) => Standing::Gone,
            None => Standing::Gone,
            Some(_) if known.leaving.contains_key(name) => Standing::Leaving,
            Some(_) => Standing::Here,
        }
    }

    fn insert(&self, name: StreamName, live: Arc<Live>) {
        let mut known = self.known.write();
        if live.retention.max_age_sec != 0 {
            known.aged.insert(name.clone(), Arc::clone(&live));
        }
        known.live.insert(name, live);
    }

    /// The catalog has made a stream.
    fn made(&self, name: StreamName, retention: Retention) {
        self.insert(name, Live::new(retention, 0, 0));
        self.logs.notify_one();
    }

    /// Somebody is about to delete it.
    fn leaving(&self, name: &StreamName) {
        *self.known.write().leaving.entry(name.clone()).or_default() += 1;
    }

    /// Who was about to delete it has done so, or has failed.
    fn left(&self, name: &StreamName, gone: bool) {
        let mut known = self.known.write();
        if let Some(count) = known.leaving.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                known.leaving.remove(name);
            }
        }
        let live = if gone { known.live.remove(name) } else { known.live.get(name).cloned() };
        if gone {
            known.aged.remove(name);
        }
        drop(known);
        self.logs.notify_one();
        if let Some(live) = live {
            if gone { live.end() } else { live.wake() }
        }
    }

    /// The catalog has appended to it.
    fn appended(&self, name: &StreamName, first: u64, at: UnixMillis, entries: Vec<NewEntry>, oldest: u64) {
        // It is there, for what deletes it comes through here in the same order.
        let Ok(live) = self.find(name) else { return };
        let (was_empty, bytes) = live.extend(first, at, entries, oldest);
        self.tails.hold(&live, bytes);
        if was_empty && live.retention.max_age_sec != 0 {
            self.ages.notify_one();
        }
        self.logs.notify_one();
    }

    /// Retention has removed what is before `oldest`.
    fn cut(&self, name: &StreamName, oldest: u64) {
        if let Ok(live) = self.find(name) {
            live.cut(oldest);
        }
        self.logs.notify_one();
    }
}
