//! Streams, from their archived logs.

use std::collections::BTreeMap;

use payload_manager_catalog::{Change, Store};
use payload_manager_types::{NewEntry, StreamEntry, StreamName};

use super::{RebuildError, Rebuilt};
use crate::shelf::Shelf;
use crate::stream_log::{Archive, Head};

/// A stream's archive on one shelf, and what it says of itself.
type Copy<'a> = (Archive<'a>, Head);

/// Makes the streams again.
pub(super) fn restore(store: &mut dyn Store, shelves: &[Shelf], rebuilt: &mut Rebuilt) -> Result<(), RebuildError> {
    let mut found: BTreeMap<String, Vec<Copy<'_>>> = BTreeMap::new();
    for shelf in shelves {
        for archive in Archive::all(shelf.notes())? {
            let folder = archive.folder().to_owned();
            match archive.head()? {
                Some(Ok(head)) => found.entry(folder).or_default().push((archive, head)),
                Some(Err(why)) => rebuilt.left.push(format!("stream {folder} in {}: {why}", shelf.name())),
                // Gone meanwhile.
                None => {}
            }
        }
    }
    for mut copies in found.into_values() {
        // The newest says what counts; of equal ones the faster shelf's.
        copies.sort_by_key(|(_, head)| std::cmp::Reverse(head.age()));
        let Some((_, head)) = copies.first() else { continue };
        match head.stream() {
            Ok(name) => restore_one(store, &name, &copies, rebuilt)?,
            Err(why) => rebuilt.left.push(format!("a stream: {why}")),
        }
    }
    Ok(())
}

fn restore_one(
    store: &mut dyn Store,
    name: &StreamName,
    copies: &[Copy<'_>],
    rebuilt: &mut Rebuilt,
) -> Result<(), RebuildError> {
    let Some((_, head)) = copies.first() else { return Ok(()) };
    let start = first_offset(name, head, copies, rebuilt);
    let restore =
        Change::RestoreStream { name: name.clone(), retention: head.retention(), next: start, created: head.created() };
    store.apply(&[restore], false)?;
    for chunk in crate::stream_log::chunks(start, head.next) {
        // It was read before, so it is there.
        let entries = read(chunk, head, copies).unwrap_or_default();
        let entries = entries.into_iter().filter(|entry| entry.offset >= start).collect();
        rebuilt.entries += append(store, name, entries)?;
    }
    let commits = head.groups().map(|group| Change::CommitOffset {
        stream: name.clone(),
        group: group.name,
        // What a group has said just when the head was written may be of entries that came after it.
        offset: group.offset.min(head.next),
        at: group.at,
    });
    store.apply(&commits.collect::<Vec<_>>(), false)?;
    rebuilt.streams += 1;
    Ok(())
}

/// The offset from which on everything is there. What lies before something that is missing is older, and left: a log has
/// no holes.
fn first_offset(name: &StreamName, head: &Head, copies: &[Copy<'_>], rebuilt: &mut Rebuilt) -> u64 {
    let mut start = head.first;
    for chunk in head.chunks() {
        let from = head.first.max(chunk * crate::stream_log::CHUNK);
        let to = head.next.min((chunk + 1) * crate::stream_log::CHUNK);
        let entries = match read(chunk, head, copies) {
            Ok(entries) => entries,
            Err(why) => {
                rebuilt.left.push(format!("stream {name}: entries {from} to {}: {why}", to - 1));
                Vec::new()
            }
        };
        // The longest end of the chunk that is whole.
        let whole = entries.iter().rev().zip((from..to).rev()).take_while(|(entry, offset)| entry.offset == *offset);
        let missing = to - from - whole.count() as u64;
        if missing > 0 {
            start = from + missing;
        }
    }
    if start > head.first {
        rebuilt.left.push(format!("stream {name}: entries {} to {}: a log has no holes", head.first, start - 1));
    }
    start
}

/// A chunk from the first shelf that has it.
fn read(chunk: u64, head: &Head, copies: &[Copy<'_>]) -> Result<Vec<StreamEntry>, String> {
    let mut why = "it is on no shelf".to_owned();
    for (archive, _) in copies.iter().filter(|(_, other)| other.is_of(head)) {
        match archive.chunk(chunk, head) {
            Ok(entries) => return Ok(entries),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Appends entries, each with the time it had; how many.
fn append(store: &mut dyn Store, name: &StreamName, entries: Vec<StreamEntry>) -> Result<u64, RebuildError> {
    let count = entries.len() as u64;
    let mut changes: Vec<Change> = Vec::new();
    for StreamEntry { append_time, what, .. } in entries {
        match changes.last_mut() {
            Some(Change::Append { entries, at, .. }) if *at == append_time => entries.push(what),
            _ => changes.push(appending(name, what, append_time)),
        }
    }
    store.apply(&changes, false)?;
    Ok(count)
}

fn appending(name: &StreamName, what: NewEntry, at: payload_manager_types::UnixMillis) -> Change {
    Change::Append { stream: name.clone(), entries: vec![what], at }
}
