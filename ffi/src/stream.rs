//! Streams of payload ids.

use std::ffi::c_char;

use payload_manager_client::{NewEntry, Retention, Timestamp};

use crate::client::{connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::id::pm_id;
use crate::input::{Out, Result, array, required_text, stream};
use crate::panic::call;
use crate::payload::{pm_tag, tags};

/// An entry of a stream.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_entry {
    /// The payload.
    pub id: pm_id,
    /// Its number in the stream, from 0; not looked at if you give it.
    pub offset: u64,
    /// When it was appended, in milliseconds since 1970; not looked at if you give it.
    pub append_ms: u64,
    /// When what it is about happened: seconds since 1970, if has_event_time is 1.
    pub event_seconds: i64,
    /// And nanoseconds.
    pub event_nanos: u32,
    /// 1 if there is an event time.
    pub has_event_time: u32,
    /// How long what it is about took.
    pub duration_ns: u64,
    /// Words of one's own; null if tags_len is 0.
    pub tags: *const pm_tag,
    /// How many.
    pub tags_len: usize,
}

/// # Safety
/// The entry's pointers are what the header asks for.
unsafe fn new_entry(entry: &pm_entry) -> Result<NewEntry> {
    let (seconds, nanos) = (entry.event_seconds, entry.event_nanos);
    Ok(NewEntry {
        payload: entry.id.into(),
        event_time: (entry.has_event_time != 0).then_some(Timestamp { seconds, nanos }),
        duration_ns: entry.duration_ns,
        // SAFETY: as the caller promised.
        tags: unsafe { tags(entry.tags, entry.tags_len) }?,
    })
}

/// Makes a stream, called "name" or "namespace/name", that keeps so many entries for so long; 0 is without limit. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_stream_create(
    client: *const pm_client,
    stream: *const c_char,
    max_entries: u64,
    max_age_seconds: u64,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let name = unsafe { self::stream(stream) }?;
        connected(client)?.client.create_stream(&name, Retention { max_entries, max_age_sec: max_age_seconds })?;
        Ok(pm_status::PM_OK)
    })
}

/// Deletes a stream with its entries and groups, and ends its subscriptions. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_stream_delete(client: *const pm_client, stream: *const c_char) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let name = unsafe { self::stream(stream) }?;
        connected(client)?.client.delete_stream(&name)?;
        Ok(pm_status::PM_OK)
    })
}

/// Appends committed payloads: all `len` of them or none. Blocks until they are durable. Of an entry, set `id` and leave
/// the rest 0 if there is nothing to say. `first_offset` is the number of the first, and may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_stream_append(
    client: *const pm_client,
    stream: *const c_char,
    entries: *const pm_entry,
    len: usize,
    first_offset: *mut u64,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (name, entries, out) =
            unsafe { (self::stream(stream)?, array(entries, len, "entries")?, Out::optional(first_offset)) };
        if entries.is_empty() {
            return Err(Failure::bad("there is nothing to append"));
        }
        // SAFETY: as above.
        let entries = entries.iter().map(|entry| unsafe { new_entry(entry) }).collect::<Result<Vec<_>>>()?;
        out.set(connected(client)?.client.append(&name, entries)?.start);
        Ok(pm_status::PM_OK)
    })
}

/// The offset at which a group goes on, or PM_NOTHING if it has committed nothing. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_stream_committed(
    client: *const pm_client,
    stream: *const c_char,
    group: *const c_char,
    out: *mut u64,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (name, group, out) =
            unsafe { (self::stream(stream)?, required_text(group, "group")?, Out::new(out, "out")?) };
        let committed = connected(client)?.client.committed_offset(&name, group)?;
        let Some(offset) = committed else { return Ok(pm_status::PM_NOTHING) };
        out.set(offset);
        Ok(pm_status::PM_OK)
    })
}
