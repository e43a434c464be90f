//! What the engine says of streams, as messages that fit an answer.

use std::sync::Arc;

use payload_manager_api::convert::entry_to_wire;
use payload_manager_api::runtime::v1;
use payload_manager_catalog::{ConsumerGroup, StreamInfo};
use payload_manager_types::{StreamEntry, StreamName};
use tonic::Status;

use crate::grpc::status::bad_page_token;
use crate::grpc::wire::{ANSWER_LIMIT, taken};

/// Entries that are put into one answer.
pub(super) struct Filling<'a> {
    stream: &'a StreamName,
    entries: Vec<v1::StreamEntry>,
    left: usize,
    full: bool,
}

impl<'a> Filling<'a> {
    pub(super) fn new(stream: &'a StreamName) -> Self {
        Self { stream, entries: Vec::new(), left: ANSWER_LIMIT, full: false }
    }

    /// Puts an entry in; false if it does not fit, and nothing after it will.
    pub(super) fn take(&mut self, entry: &Arc<StreamEntry>) -> bool {
        let wire = entry_to_wire(self.stream, StreamEntry::clone(entry));
        let bytes = taken(&wire);
        self.full |= bytes > self.left;
        if !self.full {
            self.left -= bytes;
            self.entries.push(wire);
        }
        !self.full
    }

    /// All that was put in; `None` if something did not fit.
    pub(super) fn all(self) -> Option<Vec<v1::StreamEntry>> {
        (!self.full).then_some(self.entries)
    }
}

/// As many entries as fit one answer; one at least, and the reader asks for the rest.
pub(super) fn what_fits(stream: &StreamName, entries: Vec<Arc<StreamEntry>>) -> Vec<v1::StreamEntry> {
    let mut filling = Filling::new(stream);
    // No entry is larger than an answer.
    let _ = entries.iter().all(|entry| filling.take(entry));
    filling.entries
}

pub(super) fn info(found: &StreamInfo) -> v1::StreamInfo {
    v1::StreamInfo {
        stream: Some((&found.name).into()),
        first_offset: found.first,
        next_offset: found.next,
        retention_max_entries: found.retention.max_entries,
        retention_max_age_sec: found.retention.max_age_sec,
        created_at: Some(found.created.into()),
    }
}

pub(super) fn group(group: ConsumerGroup) -> v1::ConsumerGroup {
    v1::ConsumerGroup { name: group.name, committed_offset: group.offset, committed_at: Some(group.at.into()) }
}

/// Where a listing goes on, opaque to its reader: the last stream's name, which has no control characters.
pub(super) fn page_token(last: &StreamName) -> String {
    use std::fmt::Write as _;
    let name = format!("{}\0{}", last.namespace(), last.name());
    name.bytes().fold(String::with_capacity(2 * name.len()), |mut token, byte| {
        // Writing to a string does not fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// The inverse of [`page_token`].
pub(super) fn cursor(token: &str) -> Result<Option<StreamName>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let digits = token.bytes().map(|digit| char::from(digit).to_digit(16)).collect::<Option<Vec<_>>>()?;
        let pairs = digits.chunks_exact(2);
        let whole = pairs.remainder().is_empty();
        let bytes = pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or(0)));
        let text = String::from_utf8(bytes.collect()).ok().filter(|_| whole)?;
        let (namespace, name) = text.split_once('\0')?;
        StreamName::new(namespace, name).ok()
    };
    parse().map(Some).ok_or_else(bad_page_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_is_read_back_and_garbage_is_refused() {
        for (namespace, name) in [("", "s"), ("ключ", "a/b"), ("/", "/")] {
            let name = StreamName::new(namespace, name).unwrap();
            assert_eq!(cursor(&page_token(&name)).unwrap(), Some(name));
        }
        assert_eq!(cursor("").unwrap(), None);
        let long = "61".repeat(100_000);
        for garbage in ["x", "0", "00", "6100", "610", "ff0061", "ä", "+1+1", &long] {
            assert_eq!(cursor(garbage).unwrap_err().code(), tonic::Code::InvalidArgument, "{garbage:.20}");
        }
    }
}
