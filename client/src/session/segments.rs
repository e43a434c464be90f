//! Segments that a session has mapped, by number: once each, for all payloads in them.
//!
//! Every seat has its own way to a mapping, so that threads on different seats count their views on different cache lines.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use payload_manager_api::session::v1::{self, SegmentResult, segment_result};
use payload_manager_shm::{SegmentMap, SegmentWriter};

use super::slabs::Slab;

/// As many are kept mapped; beyond, those go that no view and no seat is in. They take address space and no memory: the
/// daemon gives that back, whoever has it mapped.
const MOST: usize = 1024;

/// A segment, mapped.
#[derive(Debug, Clone)]
pub(super) struct Mapped {
    /// For shm_open.
    name: Arc<str>,
    /// For reading.
    map: Arc<SegmentMap>,
    /// For writing, if the session is its producer.
    own: Option<Arc<SegmentMap>>,
}

/// A seat's way to a mapping: its views count on this.
#[derive(Debug)]
pub(super) struct Mapping(Mapped);

/// A view's bytes: inside, as was seen when this was made.
#[derive(Debug, Clone)]
pub(super) struct Part {
    mapping: Arc<Mapping>,
    offset: u64,
    length: u64,
}

impl Part {
    /// `None` if that is not inside.
    #[inline]
    pub(super) fn of(mapping: &Arc<Mapping>, offset: u64, length: u64) -> Option<Self> {
        mapping.0.map.bytes(offset, length)?;
        Some(Self { mapping: Arc::clone(mapping), offset, length })
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.mapping.0.map.bytes(self.offset, self.length).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        &self.mapping.0.name
    }

    /// Bytes of the whole segment.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.mapping.0.map.len() as u64
    }
}

impl Mapped {
    /// Maps what the daemon shares. `None` if it is not as long as it says.
    fn new(told: v1::Segment, file: &File) -> Option<Self> {
        let right = |map: &SegmentMap| map.len() as u64 == told.length_bytes;
        let map = SegmentMap::read_only(file).ok().filter(right)?;
        let own = if told.writable { Some(SegmentMap::writable(file).ok().filter(right)?) } else { None };
        Some(Self { name: told.shm_name.into(), map: Arc::new(map), own: own.map(Arc::new) })
    }

    /// A part to be filled by this process.
    pub(super) fn write(&self, offset: u64, length: u64) -> Option<SegmentWriter> {
        self.own.as_ref()?.write(offset, length)
    }

    /// A seat's way to it.
    pub(super) fn seated(&self) -> Arc<Mapping> {
        Arc::new(Mapping(self.clone()))
    }

    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.map) > 1 || self.own.as_ref().is_some_and(|own| Arc::strong_count(own) > 1)
    }
}

/// What one session has mapped.
#[derive(Debug, Default)]
pub(super) struct Segments(Mutex<HashMap<u32, Mapped>>);

impl Segments {
    pub(super) fn get(&self, id: u32) -> Option<Mapped> {
        self.0.lock().get(&id).cloned()
    }

    /// Whether more can only be kept in place of others.
    pub(super) fn are_many(&self) -> bool {
        self.0.lock().len() >= MOST
    }

    /// Keeps it. Where somebody was quicker, theirs is taken: parts that are written must not be in two mappings.
    pub(super) fn keep(&self, id: u32, mapped: Mapped) -> Mapped {
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.retain(|_, mapped| mapped.is_in_use());
        }
        all.entry(id).or_insert(mapped).clone()
    }

    /// Another daemon is there: what it calls by these numbers is to be asked anew.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// What came of asking for one.
pub(super) enum Got {
    Segment(Mapped),
    Slab(Slab),
    Nothing,
}

/// What was shared, each with its descriptor if it has one; `daemon` is the count of daemons before it was asked for.
pub(super) fn got(results: Vec<SegmentResult>, descriptors: Vec<OwnedFd>, daemon: u32) -> Vec<Got> {
    let mut files = descriptors.into_iter();
    let mut of = |result: SegmentResult| match result.outcome? {
        segment_result::Outcome::Segment(told) => Mapped::new(told, &files.next()?.into()).map(Got::Segment),
        segment_result::Outcome::Slab(told) => {
            let file = if told.ipc_handle.is_empty() { Some(files.next()?) } else { None };
            let opened = Slab::open(&told, file.as_ref(), daemon);
            opened.inspect_err(|error| tracing::warn!(%error, "a slab can't be opened")).ok().map(Got::Slab)
        }
        segment_result::Outcome::Error(_) => None,
    };
    results.into_iter().map(|result| of(result).unwrap_or(Got::Nothing)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 4096;

    fn told(length_bytes: u64, writable: bool) -> v1::Segment {
        v1::Segment { shm_name: "/pm-test".to_owned(), length_bytes, writable }
    }

    fn object() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(BYTES).unwrap();
        file
    }

    #[test]
    fn when_there_are_many_those_stay_that_a_view_or_a_writer_is_in() {
        let (file, all) = (object(), Segments::default());
        for id in 0..u32::try_from(MOST).unwrap() {
            assert!(!all.are_many());
            all.keep(id, Mapped::new(told(BYTES, id == 2), &file).unwrap());
        }
        assert!(all.are_many());
        let view = Part::of(&all.get(1).unwrap().seated(), 0, BYTES).unwrap();
        let writer = all.get(2).unwrap().write(0, 1).unwrap();
        all.keep(9_000, Mapped::new(told(BYTES, false), &file).unwrap());
        let kept: Vec<_> = [0, 1, 2, 3, 9_000].into_iter().filter(|id| all.get(*id).is_some()).collect();
        assert_eq!((kept, all.are_many()), (vec![1, 2, 9_000], false));
        assert_eq!((view.bytes().len(), writer.len()), (4096, 1));
    }

    #[test]
    fn the_first_mapping_of_a_segment_is_everybodys() {
        let (file, all) = (object(), Segments::default());
        let [first, second] = [0; 2].map(|_| all.keep(7, Mapped::new(told(BYTES, true), &file).unwrap()));
        let part = first.write(0, 100).unwrap();
        assert!(second.write(50, 100).is_none(), "parts that are written are in one mapping");
        drop(part);
        assert!(second.write(50, 100).is_some());
        all.clear();
        assert!(all.get(7).is_none());
    }

    #[test]
    fn what_is_not_as_long_as_was_said_or_not_for_writing_is_not_mapped() {
        let file = object();
        for length in [0, BYTES - 1, BYTES + 1, u64::MAX] {
            assert!(Mapped::new(told(length, false), &file).is_none(), "{length}");
        }
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let read_only = File::open(path).unwrap();
        assert!(Mapped::new(told(BYTES, true), &read_only).is_none());
        let mapping = Mapped::new(told(BYTES, false), &read_only).unwrap().seated();
        assert!(Part::of(&mapping, 1, BYTES).is_none() && Part::of(&mapping, u64::MAX, 2).is_none());
        assert_eq!(
            (Part::of(&mapping, 1, BYTES - 1).unwrap().bytes().len(), mapping.0.write(0, 1).is_none()),
            (4095, true)
        );
    }
}
