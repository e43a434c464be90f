//! A stream's log as it is archived beside the durable copies: what a rebuilt catalog gets its streams from.
//!
//! ```text
//! streams/<hash of the name>/head.json              name, retention, bounds, consumer groups
//! streams/<hash of the name>/<chunk>.<part>.json    the entries of 512 offsets, in parts of about 1 MiB
//! ```
//!
//! The head is written last and tells which entries count. Parts say of which stream of that name they are by when it was
//! made.

use std::collections::BTreeMap;

use payload_manager_catalog::{ConsumerGroup, StreamInfo};
use payload_manager_tiers::{Notes, TierError};
use payload_manager_types::{NewEntry, PayloadId, Retention, StreamEntry, StreamName, Timestamp, UnixMillis};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// Offsets in a chunk.
pub(crate) const CHUNK: u64 = 512;

/// The newest format that this program reads, and the one that it writes.
const FORMAT: u32 = 1;

/// The note of a stream that is not one of its chunks.
const HEAD: &str = "head.json";

/// What is known of a stream but for its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    format: u32,
    namespace: String,
    name: String,
    created_unix_ms: u64,
    max_entries: u64,
    max_age_sec: u64,
    /// The oldest offset that is kept, and the one that the next entry gets.
    pub(crate) first: u64,
    pub(crate) next: u64,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    name: String,
    offset: u64,
    at_unix_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Part {
    format: u32,
    stream_created_unix_ms: u64,
    /// Of its chunk.
    last: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    offset: u64,
    append_time_unix_ms: u64,
    payload: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_time: Option<EventTime>,
    #[serde(default, skip_serializing_if = "is_zero")]
    duration_ns: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct EventTime {
    seconds: i64,
    nanos: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Head {
    pub(crate) fn of(info: &StreamInfo, groups: Vec<ConsumerGroup>) -> Self {
        let group = |ConsumerGroup { name, offset, at }| Group { name, offset, at_unix_ms: at.0 };
        Self {
            format: FORMAT,
            namespace: info.name.namespace().to_owned(),
            name: info.name.name().to_owned(),
            created_unix_ms: info.created.0,
            max_entries: info.retention.max_entries,
            max_age_sec: info.retention.max_age_sec,
            first: info.first,
            next: info.next,
            groups: groups.into_iter().map(group).collect(),
        }
    }

    /// The stream's name.
    ///
    /// # Errors
    /// In words, if no stream has such a name.
    pub(crate) fn stream(&self) -> Result<StreamName, String> {
        StreamName::new(self.namespace.clone(), self.name.clone()).map_err(|error| error.to_string())
    }

    pub(crate) fn retention(&self) -> Retention {
        Retention { max_entries: self.max_entries, max_age_sec: self.max_age_sec }
    }

    pub(crate) fn created(&self) -> UnixMillis {
        UnixMillis(self.created_unix_ms)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = ConsumerGroup> {
        let group = |group: &Group| ConsumerGroup {
            name: group.name.clone(),
            offset: group.offset,
            at: UnixMillis(group.at_unix_ms),
        };
        self.groups.iter().map(group)
    }

    /// Whether this is the stream of that time, and not another one of its name.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.created_unix_ms == other.created_unix_ms
    }

    /// What of two heads of one name rises with time.
    pub(crate) fn age(&self) -> impl Ord + use<> {
        let said = self.groups.iter().map(|group| group.at_unix_ms).max();
        (self.created_unix_ms, self.next, self.first, said)
    }

    /// The chunks in which its entries are.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = u64> + use<> {
        chunks(self.first, self.next)
    }
}

/// The chunks of the offsets from `first` up to `next`, exclusive.
pub(crate) fn chunks(first: u64, next: u64) -> impl Iterator<Item = u64> {
    first / CHUNK..next.div_ceil(CHUNK).max(first / CHUNK)
}

/// The archive of one stream on one shelf.
pub(crate) struct Archive<'a> {
    notes: &'a dyn Notes,
    folder: String,
}

impl<'a> Archive<'a> {
    pub(crate) fn of(notes: &'a dyn Notes, stream: &StreamName) -> Self {
        // Neither part has a NUL in it.
        let name = format!("{}\0{}", stream.namespace(), stream.name());
        Self { notes, folder: format!("{:032x}", xxh3_128(name.as_bytes())) }
    }

    /// All that lie there.
    pub(crate) fn all(notes: &'a dyn Notes) -> Result<Vec<Self>, TierError> {
        let heads =
            notes.notes()?.into_iter().filter_map(|name| Some(name.strip_suffix(HEAD)?.strip_suffix('/')?.to_owned()));
        Ok(heads.map(|folder| Self { notes, folder }).collect())
    }

    /// The name of its folder: the same one on every shelf.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    fn head_name(&self) -> String {
        format!("{}/{HEAD}", self.folder)
    }

    fn part_name(&self, chunk: u64, part: u64) -> String {
        format!("{}/{chunk:017}.{part:03}.json", self.folder)
    }

    /// What it says of itself; `None` if there is none.
    ///
    /// # Errors
    /// The shelf's; the inner one in words, if it can't be read as what it should be.
    pub(crate) fn head(&self) -> Result<Option<Result<Head, String>>, TierError> {
        let text = self.notes.note(&self.head_name())?;
        Ok(text.map(|text| read(&text, |head: &Head| head.format)))
    }

    pub(crate) fn put_head(&self, head: &Head) -> Result<(), TierError> {
        self.notes.put_note(&self.head_name(), &write(head))
    }

    /// Puts part number `part` of a chunk.
    pub(crate) fn put_part(
        &self,
        (chunk, part): (u64, u64),
        head: &Head,
        entries: Vec<StreamEntry>,
        last: bool,
    ) -> Result<(), TierError> {
        let entries = entries.into_iter().map(Entry::from).collect();
        let text = write(&Part { format: FORMAT, stream_created_unix_ms: head.created_unix_ms, last, entries });
        self.notes.put_note(&self.part_name(chunk, part), &text)
    }

    /// Removes all parts of a chunk, the first one last: those of one that was written anew may be fewer than before.
    pub(crate) fn remove_chunk(&self, chunk: u64) -> Result<(), TierError> {
        let mut parts = Vec::new();
        for part in 0.. {
            let name = self.part_name(chunk, part);
            if self.notes.note(&name)?.is_none() {
                break;
            }
            parts.push(name);
        }
        parts.iter().rev().try_for_each(|name| self.notes.remove_note(name))
    }

    /// Removes it: the head last, which tells what there is.
    pub(crate) fn remove(&self, head: &Head) -> Result<(), TierError> {
        head.chunks().try_for_each(|chunk| self.remove_chunk(chunk))?;
        self.notes.remove_note(&self.head_name())
    }

    /// The entries of a chunk that are of the stream of `head`, by their offsets.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn chunk(&self, chunk: u64, head: &Head) -> Result<Vec<StreamEntry>, String> {
        let mut all = Vec::new();
        for part in 0.. {
            let text = self.notes.note(&self.part_name(chunk, part)).map_err(|error| error.to_string())?;
            let text = text.ok_or_else(|| format!("{} is not there", self.part_name(chunk, part)))?;
            let read: Part = read(&text, |part: &Part| part.format)?;
            if read.stream_created_unix_ms != head.created_unix_ms {
                return Err("they are of an earlier stream of that name".into());
            }
            for entry in read.entries {
                all.push(StreamEntry::try_from(entry)?);
            }
            if read.last {
                break;
            }
        }
        all.retain(|entry| (head.first..head.next).contains(&entry.offset));
        Ok(all)
    }
}

fn write(what: &impl Serialize) -> Vec<u8> {
    // Numbers, texts and maps of texts: there is nothing in it that JSON can't say.
    serde_json::to_vec(what).unwrap_or_default()
}

fn read<T: for<'de> Deserialize<'de>>(text: &[u8], format: impl FnOnce(&T) -> u32) -> Result<T, String> {
    let read: T = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match format(&read) {
        FORMAT => Ok(read),
        other => Err(format!("it has format {other}, and this program reads {FORMAT}")),
    }
}

impl From<StreamEntry> for Entry {
    fn from(entry: StreamEntry) -> Self {
        let NewEntry { payload, event_time, duration_ns, tags } = entry.what;
        Self {
            offset: entry.offset,
            append_time_unix_ms: entry.append_time.0,
            payload: payload.to_string(),
            event_time: event_time.map(|Timestamp { seconds, nanos }| EventTime { seconds, nanos }),
            duration_ns,
            tags,
        }
    }
}

impl TryFrom<Entry> for StreamEntry {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let payload = entry.payload.parse::<PayloadId>().map_err(|error| format!("{:?}: {error}", entry.payload))?;
        let event_time = entry.event_time.map(|EventTime { seconds, nanos }| Timestamp { seconds, nanos });
        Ok(Self {
            offset: entry.offset,
            append_time: UnixMillis(entry.append_time_unix_ms),
            what: NewEntry { payload, event_time, duration_ns: entry.duration_ns, tags: entry.tags },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_not_ours_is_refused() {
        let tags = [("k\"\0".to_owned(), "🦀".to_owned())].into();
        let event_time = Some(Timestamp { seconds: -1, nanos: 999_999_999 });
        let what = NewEntry { payload: PayloadId::from_bytes([7; 16]), event_time, duration_ns: u64::MAX, tags };
        let entry = StreamEntry { offset: u64::MAX, append_time: UnixMillis(u64::MAX), what };
        let text = write(&Entry::from(entry.clone()));
        assert_eq!(StreamEntry::try_from(serde_json::from_slice::<Entry>(&text).unwrap()), Ok(entry));

        let name = StreamName::new("n".to_owned(), "s".to_owned()).unwrap();
        let retention = Retention { max_entries: 1, max_age_sec: 2 };
        let info = StreamInfo { name: name.clone(), retention, first: 3, next: 4, created: UnixMillis(5) };
        let head = Head::of(&info, vec![ConsumerGroup { name: "g".into(), offset: 4, at: UnixMillis(6) }]);
        let again: Head = read(&write(&head), |head: &Head| head.format).unwrap();
        assert_eq!((again.stream(), again.retention(), again.created()), (Ok(name), retention, UnixMillis(5)));
        assert!(again == head && again.groups().eq([ConsumerGroup { name: "g".into(), offset: 4, at: UnixMillis(6) }]));
        let newer = Head { format: 2, ..head };
        for text in [write(&newer), b"{}".to_vec(), b"".to_vec(), b"[1".to_vec()] {
            assert!(read(&text, |head: &Head| head.format).is_err());
        }
    }

    #[test]
    fn chunks_hold_what_lies_between_the_bounds() {
        let of = |first, next| chunks(first, next).collect::<Vec<_>>();
        assert_eq!((of(0, 0), of(0, 1), of(0, 512), of(511, 513)), (vec![], vec![0], vec![0], vec![0, 1]));
        assert_eq!((of(512, 512), of(513, 513), of(513, 514), of(1024, 1024)), (vec![], vec![1], vec![1], vec![]));
    }
}
