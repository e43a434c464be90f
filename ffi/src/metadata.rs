//! What is said about payloads.

use std::ffi::{c_char, c_void};

use payload_manager_client::blocking::MetadataEvents;
use payload_manager_client::{Metadata, MetadataOptions, NewMetadataEvent};

use crate::client::{about, connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::handle::{self, enter, handles};
use crate::id::{payload_id, pm_id};
use crate::input::{Out, Result, array, text};
use crate::kept::{Cursor, Kept};
use crate::panic::call;

/// Metadata, or an event of it, with what it points to. Made by pm_metadata_get; yours until pm_metadata_close.
pub struct pm_metadata(());

/// Events, oldest first. One thread at a time uses it. Made by pm_metadata_events; yours until pm_metadata_events_close.
pub struct pm_metadata_cursor(());

/// What is behind it, only to be kept.
struct Answer(#[expect(dead_code, reason = "C looks at it")] parking_lot::Mutex<Kept>);

handles!(Answer => pm_metadata, 4);
handles!(Cursor<MetadataEvents> => pm_metadata_cursor, 5);

/// What is said about a payload.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_metadata_info {
    /// Opaque to everybody but those who wrote it; may be null if data_len is 0 and you give it.
    pub data: *const c_void,
    /// Bytes.
    pub data_len: usize,
    /// What data is; null is "" if you give it.
    pub schema: *const c_char,
    /// Of an event: who said it; null is "" if you give it.
    pub source: *const c_char,
    /// Of an event: which version said it; null is "" if you give it.
    pub version: *const c_char,
    /// When it was said, in milliseconds since 1970; not looked at if you give it.
    pub at_ms: u64,
}

fn info(kept: &mut Kept, what: NewMetadataEvent, at_ms: u64) -> pm_metadata_info {
    let (data, data_len) = kept.bytes(what.metadata.data);
    let (schema, source) = (kept.text(what.metadata.schema), kept.text(what.source));
    pm_metadata_info { data: data.cast(), data_len, schema, source, version: kept.text(what.version), at_ms }
}

/// # Safety
/// `at` is null or leads to what the header asks for.
unsafe fn said(at: *const pm_metadata_info) -> Result<NewMetadataEvent> {
    // SAFETY: as the caller promised.
    unsafe {
        let info = crate::input::given(at, "metadata")?;
        let data = array(info.data.cast::<u8>(), info.data_len, "metadata's data")?.to_vec();
        let schema = text(info.schema, "schema")?.to_owned();
        let (source, version) = (text(info.source, "source")?.to_owned(), text(info.version, "version")?.to_owned());
        Ok(NewMetadataEvent { metadata: Metadata { data, schema }, source, version })
    }
}

/// What is said about a payload now; PM_NOTHING, and `*owner` null, if nothing is. Blocks. `out` points into `*owner`,
/// which is yours: close it with pm_metadata_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_get(
    client: *const pm_client,
    id: *const pm_id,
    owner: *mut *mut pm_metadata,
    out: *mut pm_metadata_info,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, owner, out) = unsafe { (payload_id(id)?, Out::new(owner, "owner")?, Out::new(out, "out")?) };
        owner.set(std::ptr::null_mut());
        let stored = connected(client)?.client.metadata(id)?;
        let Some(stored) = stored else { return Ok(pm_status::PM_NOTHING) };
        let mut kept = Kept::default();
        let answer = info(&mut kept, stored.metadata.into(), stored.updated.0);
        owner.set(handle::open(Answer(kept.into())).ok_or_else(Failure::full)?);
        out.set(answer);
        Ok(pm_status::PM_OK)
    })
}

/// Ends what pm_metadata_get made. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_close(owner: *mut pm_metadata) -> pm_status {
    call(|| Ok(handle::close::<Answer>(owner).map(|()| pm_status::PM_OK)?))
}

/// Says something about a payload, instead of what was said; with `merge` 1 the data or the schema that comes empty keeps
/// its stored value. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_set(
    client: *const pm_client,
    id: *const pm_id,
    metadata: *const pm_metadata_info,
    merge: u8,
) -> pm_status {
    // SAFETY: the caller's pointers are what the header asks for.
    let said = match unsafe { said(metadata) } {
        Ok(said) => said.metadata,
        Err(failure) => return call(|| Err(failure)),
    };
    let options = MetadataOptions { merge: merge != 0, ..MetadataOptions::default() };
    // SAFETY: as above.
    unsafe { about(client, id, |client, id| client.set_metadata_with(id, said, options).map(drop)) }
}

/// Adds an event to what is said about a payload. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_append_event(
    client: *const pm_client,
    id: *const pm_id,
    event: *const pm_metadata_info,
) -> pm_status {
    // SAFETY: the caller's pointers are what the header asks for.
    let said = match unsafe { said(event) } {
        Ok(said) => said,
        Err(failure) => return call(|| Err(failure)),
    };
    // SAFETY: as above.
    unsafe { about(client, id, |client, id| client.append_metadata_event(id, said).map(drop)) }
}

/// The events of a payload. Does not block. `*out` is yours: close it with pm_metadata_events_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_events(
    client: *const pm_client,
    id: *const pm_id,
    out: *mut *mut pm_metadata_cursor,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, out) = unsafe { (payload_id(id)?, Out::new(out, "out")?) };
        out.set(std::ptr::null_mut());
        let events = connected(client)?.client.metadata_events(id);
        out.set(handle::open(Cursor::new(events)).ok_or_else(Failure::full)?);
        Ok(pm_status::PM_OK)
    })
}

/// The next event, or PM_END. Blocks. What `out` points to is good until the next call with this cursor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_events_next(
    events: *mut pm_metadata_cursor,
    out: *mut pm_metadata_info,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        let inside = enter::<Cursor<MetadataEvents>>(events)?;
        let mut step = inside.step()?;
        let (events, kept) = &mut *step;
        let Some(event) = events.next().transpose()? else { return Ok(pm_status::PM_END) };
        out.set(info(kept, event.what, event.at.0));
        Ok(pm_status::PM_OK)
    })
}

/// Ends a cursor. Does not block, unless it is the last of a connection that is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_metadata_events_close(events: *mut pm_metadata_cursor) -> pm_status {
    call(|| Ok(handle::close::<Cursor<MetadataEvents>>(events).map(|()| pm_status::PM_OK)?))
}
