//! Streams in memory.

use std::collections::BTreeMap;

use payload_manager_types::{NewEntry, Retention, StreamEntry, StreamName, UnixMillis};

use super::State;
use crate::change::{Outcome, Refusal, TRIM};
use crate::store::{ConsumerGroup, Span, StreamInfo, horizon};

/// One stream.
#[derive(Debug)]
pub(super) struct Log {
    retention: Retention,
    created: UnixMillis,
    next: u64,
    entries: BTreeMap<u64, StreamEntry>,
    pub(super) groups: BTreeMap<String, ConsumerGroup>,
}

impl State {
    pub(super) fn create_stream(
        &mut self,
        name: &StreamName,
        retention: Retention,
        next: u64,
        created: UnixMillis,
    ) -> Outcome {
        if self.streams.contains_key(name) {
            return Outcome::Refused(Refusal::StreamExists);
        }
        let log = Log { retention, created, next, entries: BTreeMap::new(), groups: BTreeMap::new() };
        self.streams.insert(name.clone(), log);
        self.mark_log(name);
        Outcome::Done
    }

    pub(super) fn delete_stream(&mut self, name: &StreamName) {
        if self.streams.remove(name).is_some() {
            self.mark_log(name);
        }
    }

    pub(super) fn append(&mut self, stream: &StreamName, entries: &[NewEntry], at: UnixMillis) -> Outcome {
        let Some(log) = self.streams.get_mut(stream) else { return Outcome::Refused(Refusal::NoSuchStream) };
        if entries.is_empty() {
            return Outcome::Done;
        }
        let first = log.next;
        for what in entries {
            log.entries.insert(log.next, StreamEntry { offset: log.next, append_time: at, what: what.clone() });
            log.next += 1;
        }
        let last = log.next - 1;
        log.trim(at);
        let oldest = log.oldest();
        self.mark_log(stream);
        Outcome::Appended { first, last, oldest }
    }

    pub(super) fn trim(&mut self, stream: &StreamName, at: UnixMillis) -> Outcome {
        let Some(log) = self.streams.get_mut(stream) else { return Outcome::Refused(Refusal::NoSuchStream) };
        let (before, more) = (log.oldest(), log.trim(at));
        let oldest = log.oldest();
        if oldest > before {
            self.mark_log(stream);
        }
        Outcome::Trimmed { oldest, more }
    }

    pub(super) fn commit(&mut self, stream: &StreamName, group: &str, offset: u64, at: UnixMillis) -> Outcome {
        let Some(log) = self.streams.get_mut(stream) else { return Outcome::Refused(Refusal::NoSuchStream) };
        if offset > log.next {
            return Outcome::Refused(Refusal::OffsetBeyondEnd { next: log.next });
        }
        log.groups.insert(group.to_owned(), ConsumerGroup { name: group.to_owned(), offset, at });
        self.mark_log(stream);
        Outcome::Done
    }
}

impl Log {
    pub(super) fn info(&self, name: &StreamName) -> StreamInfo {
        let (first, next) = (self.oldest(), self.next);
        StreamInfo { name: name.clone(), retention: self.retention, first, next, created: self.created }
    }

    pub(super) fn span(&self, Span { from, to, not_before }: Span) -> impl Iterator<Item = &StreamEntry> {
        let entries = self.entries.range(from..).map(|(_, entry)| entry).take_while(move |entry| entry.offset <= to);
        entries.filter(move |entry| not_before.is_none_or(|time| entry.append_time >= time))
    }

    fn oldest(&self) -> u64 {
        self.entries.keys().next().copied().unwrap_or(self.next)
    }

    /// Removes what retention no longer keeps; true if there may be more.
    fn trim(&mut self, at: UnixMillis) -> bool {
        while self.retention.max_entries != 0 && self.entries.len() as u64 > self.retention.max_entries {
            self.entries.pop_first();
        }
        for _ in 0..TRIM {
            match self.entries.first_entry() {
                Some(first) if first.get().append_time < horizon(self.retention, at) => drop(first.remove()),
                _ => return false,
            }
        }
        !self.entries.is_empty()
    }
}
