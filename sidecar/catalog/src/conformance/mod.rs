//! What every back end does: one suite, run over each of them and over a faulty wrapper of each.
//!
//! A case opens a catalog that starts empty, as often as it likes, and panics if a word of the port is broken. A call
//! that is answered [`StoreError::Unavailable`] is made again, so that a wrapper may fail calls now and then.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite of tests, wherever it is compiled")]

mod groups;
mod lineage;
mod metadata;
mod pages;
mod payloads;
mod retention;
pub mod samples;
mod stale;
mod stale_logs;
mod streams;

use payload_manager_core::facts::Facts;
use payload_manager_types::{PayloadId, StreamEntry, StreamName};

use crate::change::{Change, DoomedFile, Outcome};
use crate::lineage::{Direction, Lineage, LineageEdge, LineageQuery};
use crate::metadata::{MetadataEvent, MetadataRecord};
use crate::page::Limit;
use crate::store::{ConsumerGroup, Reader, Span, StaleArchive, StaleLog, Store, StoreError, StreamInfo};

/// One catalog under test.
pub trait Subject {
    /// Opens it; all openings are of the same catalog, whose content outlives them.
    fn open(&self) -> Box<dyn Store>;
}

/// A case, by name.
type Case = (&'static str, fn(&dyn Subject));

/// Runs every case, each over a new subject.
///
/// # Panics
/// At the first case that fails; its name is the last one on standard error.
pub fn run(make: &dyn Fn() -> Box<dyn Subject>) {
    let all = [
        payloads::CASES,
        metadata::CASES,
        lineage::CASES,
        stale::CASES,
        stale_logs::CASES,
        streams::CASES,
        retention::CASES,
        groups::CASES,
        pages::CASES,
    ];
    for (name, case) in all.into_iter().flatten() {
        eprintln!("{name}");
        case(&*make());
    }
}

/// Everything a catalog says, in an order that is always the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// The rows, by id.
    pub payloads: Vec<Facts>,
    /// What is said about each of them.
    pub notes: Vec<(Option<MetadataRecord>, Vec<MetadataEvent>)>,
    /// What each of them was made of.
    pub lineage: Vec<LineageEdge>,
    /// Whose archives are behind.
    pub stale: Vec<StaleArchive>,
    /// Which streams' archived logs are behind.
    pub stale_logs: Vec<StaleLog>,
    /// The files to be removed, by id and tier.
    pub doomed: Vec<DoomedFile>,
    /// The streams, with all their entries.
    pub streams: Vec<(StreamInfo, Vec<StreamEntry>)>,
    /// The groups of each of them.
    pub groups: Vec<Vec<ConsumerGroup>>,
}

/// Reads everything.
///
/// # Panics
/// If it can't be read.
#[must_use]
pub fn content(store: &dyn Store) -> Content {
    let reader = &mut *sure(|| store.reader());
    let payloads = payloads(reader);
    let notes = payloads.iter().map(|row| (sure(|| reader.metadata(row.id)), events(reader, row.id))).collect();
    let lineage = payloads.iter().flat_map(|row| walked(reader, row.id, Direction::Upstream, Some(1))).collect();
    let stale = sure(|| reader.stale_archives(None, Limit::NONE)).items;
    let stale_logs = sure(|| reader.stale_logs(None, Limit::NONE)).items;
    let mut doomed = sure(|| reader.doomed());
    doomed.sort_by_key(|file| (file.id, file.tier));
    let streams = sure(|| reader.streams());
    let groups = streams.iter().map(|info| sure(|| reader.groups(&info.name, None, Limit::NONE)).items).collect();
    let entries = |info: StreamInfo| (info.clone(), entries(reader, &info.name));
    let streams = streams.into_iter().map(entries).collect();
    Content { payloads, notes, lineage, stale, stale_logs, doomed, streams, groups }
}

fn entries(reader: &mut dyn Reader, stream: &StreamName) -> Vec<StreamEntry> {
    let page = sure(|| reader.entries(stream, Span::from(0), Limit::NONE));
    assert!(!page.more, "without a limit");
    page.items
}

fn events(reader: &mut dyn Reader, id: PayloadId) -> Vec<MetadataEvent> {
    let page = sure(|| reader.metadata_events(id, None, Limit::NONE));
    assert!(!page.more, "without a limit");
    page.items
}

fn walked(reader: &mut dyn Reader, of: PayloadId, direction: Direction, max_depth: Option<u32>) -> Vec<LineageEdge> {
    match sure(|| reader.lineage(&LineageQuery { of, direction, max_depth, max_bytes: usize::MAX })) {
        Lineage::Whole(edges) => edges,
        Lineage::TooLarge => panic!("without a limit"),
    }
}

/// The rows, by id.
fn payloads(reader: &mut dyn Reader) -> Vec<Facts> {
    let mut rows = sure(|| {
        let mut rows = Vec::new();
        reader.payloads(&mut |facts| rows.push(facts)).map(|()| rows)
    });
    rows.sort_by_key(|facts| facts.id);
    rows
}

/// Applies a batch; there must be one outcome a change.
fn apply(store: &mut dyn Store, changes: &[Change]) -> Vec<Outcome> {
    let outcomes = sure(|| store.apply(changes, changes.len().is_multiple_of(2)));
    assert_eq!(outcomes.len(), changes.len(), "one outcome a change");
    outcomes
}

/// Applies a batch of which nothing is refused.
fn done(store: &mut dyn Store, changes: &[Change]) {
    assert!(apply(store, changes).iter().all(|outcome| *outcome == Outcome::Done), "{changes:?}");
}

/// Calls until it succeeds; only a store that is out of reach for now is called again.
fn sure<T>(mut call: impl FnMut() -> Result<T, StoreError>) -> T {
    for _ in 0..100 {
        match call() {
            Ok(answer) => return answer,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("out of reach a hundred times")
}
