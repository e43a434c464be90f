//! What every back end does: one suite, run over each of them and over a faulty wrapper of each.
//!
//! A case opens a catalog that starts empty, as often as it likes, and panics if a word of the port is broken. A call
//! that is answered [`StoreError::Unavailable`] is made again, so that a wrapper may fail calls now and then.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite of tests, wherever it is compiled")]

mod payloads;
pub mod samples;
mod streams;

use payload_manager_core::facts::Facts;

use crate::change::{Change, DoomedFile, Outcome};
use crate::store::{Reader, Store, StoreError, StreamInfo};

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
    for (name, case) in payloads::CASES.iter().chain(streams::CASES) {
        eprintln!("{name}");
        case(&*make());
    }
}

/// Everything a catalog says, in an order that is always the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// The rows, by id.
    pub payloads: Vec<Facts>,
    /// The files to be removed, by id and tier.
    pub doomed: Vec<DoomedFile>,
    /// The streams, with all their entries.
    pub streams: Vec<(StreamInfo, Vec<payload_manager_types::StreamEntry>)>,
}

/// Reads everything.
///
/// # Panics
/// If it can't be read.
#[must_use]
pub fn content(store: &dyn Store) -> Content {
    let mut reader = sure(|| store.reader());
    let streams = sure(|| reader.streams());
    let entries = |info: StreamInfo, reader: &mut dyn Reader| {
        let entries = sure(|| reader.entries(&info.name, 0, usize::MAX, None));
        (info, entries)
    };
    let streams = streams.into_iter().map(|info| entries(info, &mut *reader)).collect();
    let mut doomed = sure(|| reader.doomed());
    doomed.sort_by_key(|file| (file.id, file.tier));
    Content { payloads: payloads(&mut *reader), doomed, streams }
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
