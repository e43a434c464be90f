//! Requests about streams, and their entries both ways.

use payload_manager_types::{NewEntry, Retention, StreamEntry, StreamName, UnixMillis, check_name};

use super::field::{payload_id, tags_at_most, time};
use super::invalid::{About as _, Invalid};
use crate::reason::Reason;
use crate::runtime::v1;

/// Entries that one Read answers at most, and when the caller says nothing.
pub const READ_LIMIT: usize = 10_000;

/// Bytes of tags that one entry, and of parameters that one lineage edge may have, so that every one fits an answer.
pub const ITEM_LIMIT: usize = 1 << 20;

/// A stream to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub stream: StreamName,
    /// What it keeps.
    pub retention: Retention,
}

/// Entries for the end of a stream: all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Which stream.
    pub stream: StreamName,
    /// In order; possibly none.
    pub entries: Vec<NewEntry>,
}

/// Entries to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Of which stream.
    pub stream: StreamName,
    /// From this offset, or the oldest kept one.
    pub start: u64,
    /// 1 to [`READ_LIMIT`].
    pub max_entries: usize,
    /// Without those appended earlier.
    pub not_before: Option<UnixMillis>,
}

/// Entries between two offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRange {
    /// Of which stream.
    pub stream: StreamName,
    /// The first.
    pub start: u64,
    /// The last; not before the first.
    pub end: u64,
}

/// Where a subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this offset, once it exists.
    Offset(u64),
    /// At the oldest kept entry.
    Beginning,
    /// At the next append.
    Latest,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// To which stream.
    pub stream: StreamName,
    /// From where.
    pub start: Start,
    /// Entries to buffer; `None` for the daemon's default.
    pub max_inflight: Option<u32>,
}

/// How far a consumer group has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// In which stream.
    pub stream: StreamName,
    /// The group's name.
    pub group: String,
    /// The offset.
    pub offset: u64,
}

/// A question after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetCommitted {
    /// In which stream.
    pub stream: StreamName,
    /// The group's name.
    pub group: String,
}

impl TryFrom<v1::CreateStreamRequest> for CreateStream {
    type Error = Invalid;

    fn try_from(wire: v1::CreateStreamRequest) -> Result<Self, Invalid> {
        let retention = Retention { max_entries: wire.retention_max_entries, max_age_sec: wire.retention_max_age_sec };
        Ok(Self { stream: name(wire.stream)?, retention })
    }
}

impl TryFrom<v1::DeleteStreamRequest> for StreamName {
    type Error = Invalid;

    fn try_from(wire: v1::DeleteStreamRequest) -> Result<Self, Invalid> {
        name(wire.stream)
    }
}

impl TryFrom<v1::GetStreamRequest> for StreamName {
    type Error = Invalid;

    fn try_from(wire: v1::GetStreamRequest) -> Result<Self, Invalid> {
        name(wire.stream)
    }
}

impl TryFrom<v1::AppendRequest> for Append {
    type Error = Invalid;

    fn try_from(wire: v1::AppendRequest) -> Result<Self, Invalid> {
        let stream = name(wire.stream)?;
        let entries = wire.items.into_iter().map(item).collect::<Result<_, _>>().about(&stream)?;
        Ok(Self { stream, entries })
    }
}

impl TryFrom<v1::ReadRequest> for Read {
    type Error = Invalid;

    fn try_from(wire: v1::ReadRequest) -> Result<Self, Invalid> {
        let stream = name(wire.stream)?;
        let asked = usize::try_from(wire.max_entries).unwrap_or(READ_LIMIT).min(READ_LIMIT);
        let max_entries = if asked == 0 { READ_LIMIT } else { asked };
        let not_before = time(wire.not_before, "not_before").about(&stream)?;
        Ok(Self { stream, start: wire.start_offset, max_entries, not_before })
    }
}

impl TryFrom<v1::GetRangeRequest> for GetRange {
    type Error = Invalid;

    fn try_from(wire: v1::GetRangeRequest) -> Result<Self, Invalid> {
        let stream = name(wire.stream)?;
        let (start, end) = (wire.start_offset, wire.end_offset);
        if end < start {
            let message = format!("{end} is before start_offset {start}; both ends are inclusive");
            return Err(Invalid::new(Reason::BadRange, "end_offset", message)).about(&stream);
        }
        Ok(Self { stream, start, end })
    }
}

impl TryFrom<v1::SubscribeRequest> for Subscribe {
    type Error = Invalid;

    fn try_from(wire: v1::SubscribeRequest) -> Result<Self, Invalid> {
        use v1::subscribe_request::Start as Wire;
        let start = match wire.start {
            Some(Wire::Offset(offset)) => Start::Offset(offset),
            Some(Wire::FromLatest(true)) => Start::Latest,
            Some(Wire::FromLatest(false) | Wire::FromBeginning(_)) | None => Start::Beginning,
        };
        let max_inflight = Some(wire.max_inflight).filter(|n| *n != 0);
        Ok(Self { stream: name(wire.stream)?, start, max_inflight })
    }
}

impl TryFrom<v1::CommitRequest> for Commit {
    type Error = Invalid;

    fn try_from(wire: v1::CommitRequest) -> Result<Self, Invalid> {
        let stream = name(wire.stream)?;
        Ok(Self { group: group(wire.consumer_group).about(&stream)?, stream, offset: wire.offset })
    }
}

impl TryFrom<v1::GetCommittedRequest> for GetCommitted {
    type Error = Invalid;

    fn try_from(wire: v1::GetCommittedRequest) -> Result<Self, Invalid> {
        let stream = name(wire.stream)?;
        Ok(Self { group: group(wire.consumer_group).about(&stream)?, stream })
    }
}

impl From<&StreamName> for v1::StreamId {
    fn from(stream: &StreamName) -> Self {
        Self { name: stream.name().to_owned(), namespace: stream.namespace().to_owned() }
    }
}

impl TryFrom<v1::StreamId> for StreamName {
    type Error = Invalid;

    fn try_from(wire: v1::StreamId) -> Result<Self, Invalid> {
        name(Some(wire))
    }
}

impl TryFrom<v1::AppendItem> for NewEntry {
    type Error = Invalid;

    fn try_from(wire: v1::AppendItem) -> Result<Self, Invalid> {
        item(wire)
    }
}

impl From<NewEntry> for v1::AppendItem {
    fn from(entry: NewEntry) -> Self {
        Self {
            payload_id: Some(entry.payload.into()),
            event_time: entry.event_time.map(Into::into),
            duration_ns: entry.duration_ns,
            tags: entry.tags.into_iter().collect(),
        }
    }
}

/// An entry of `stream`, as it travels.
#[must_use]
pub fn entry_to_wire(stream: &StreamName, entry: StreamEntry) -> v1::StreamEntry {
    v1::StreamEntry {
        stream: Some(stream.into()),
        offset: entry.offset,
        payload_id: Some(entry.what.payload.into()),
        event_time: entry.what.event_time.map(Into::into),
        append_time: Some(entry.append_time.into()),
        duration_ns: entry.what.duration_ns,
        tags: entry.what.tags.into_iter().collect(),
    }
}

/// An entry as a client gets it.
///
/// # Errors
/// [`Invalid`] where the daemon broke the contract.
pub fn entry(wire: v1::StreamEntry) -> Result<StreamEntry, Invalid> {
    Ok(StreamEntry {
        offset: wire.offset,
        append_time: time(wire.append_time, "append_time")?.unwrap_or_default(),
        what: item(v1::AppendItem {
            payload_id: wire.payload_id,
            event_time: wire.event_time,
            duration_ns: wire.duration_ns,
            tags: wire.tags,
        })?,
    })
}

fn item(wire: v1::AppendItem) -> Result<NewEntry, Invalid> {
    let payload = payload_id(wire.payload_id, "payload_id")?;
    let event_time = time(wire.event_time, "event_time").about(payload)?;
    tags_at_most(&wire.tags, ITEM_LIMIT, "tags").about(payload)?;
    Ok(NewEntry { payload, event_time, duration_ns: wire.duration_ns, tags: wire.tags.into_iter().collect() })
}

fn name(wire: Option<v1::StreamId>) -> Result<StreamName, Invalid> {
    let v1::StreamId { name, namespace } = wire.unwrap_or_default();
    let shown = format!("{namespace:?} / {name:?}");
    StreamName::new(namespace, name)
        .map_err(|e| Invalid::new(Reason::BadStreamName, "stream", format!("{shown}: {e}; choose another name")))
}

fn group(name: String) -> Result<String, Invalid> {
    check_name(&name).map(|()| name.clone()).map_err(|e| {
        Invalid::new(Reason::BadGroupName, "consumer_group", format!("{name:?}: {e}; choose another name"))
    })
}
