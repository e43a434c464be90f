//! Connections.

use std::ffi::c_char;
use std::sync::Arc;

use payload_manager_client::blocking::Client;
use payload_manager_client::{BadTrace, DataPath, PayloadId, TraceContext};
use payload_manager_shm::ProcessMark;

use crate::error::{Failure, pm_status};
use crate::handle::{self, Inside, enter, handles};
use crate::id::{payload_id, pm_id};
use crate::input::{Options, Out, Result, millis, options, text};
use crate::panic::{call, value};
use crate::types::pm_descriptor;

/// A connection to this host's daemon. Any number of threads may use it at once. Made by pm_connect; yours until
/// pm_client_close.
pub struct pm_client(());

/// What is behind it.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) mark: Arc<ProcessMark>,
}

handles!(Connected => pm_client, 1);

/// How to connect. Begin with PM_CONNECT_OPTIONS_INIT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_connect_options {
    /// sizeof(pm_connect_options).
    pub size: u32,
    /// 0 for now.
    pub reserved: u32,
    /// After so long every call on this connection gives up with PM_DEADLINE; 0 is never.
    pub deadline_ms: u64,
}

// SAFETY: integers, two u32 and a u64, the first of them the size.
unsafe impl Options for pm_connect_options {
    const NONE: Self = Self { size: 16, reserved: 0, deadline_ms: 0 };
}

impl Connected {
    /// Another way to use it.
    fn with(&self, client: Client) -> Self {
        Self { client, mark: Arc::clone(&self.mark) }
    }

    fn new(client: Client) -> Result<Self> {
        let mark = ProcessMark::new().map_err(|e| Failure::new(pm_status::PM_INTERNAL, e.to_string()))?;
        Ok(Self { client, mark: Arc::new(mark) })
    }
}

/// The connection behind a handle, which must be this process's own.
#[inline]
pub(crate) fn connected(client: *const pm_client) -> Result<Inside<Connected>> {
    let inside = enter::<Connected>(client)?;
    if inside.mark.is_ours() { Ok(inside) } else { Err(Failure::forked()) }
}

/// Makes a call about one payload that answers nothing but how it went.
///
/// # Safety
/// `id` is null or good for reading.
pub(crate) unsafe fn about(
    client: *const pm_client,
    id: *const pm_id,
    ask: impl FnOnce(&Client, PayloadId) -> payload_manager_client::Result<()>,
) -> pm_status {
    call(|| {
        // SAFETY: as the caller promised.
        let (client, id) = (connected(client)?, unsafe { payload_id(id) }?);
        ask(&client.client, id)?;
        Ok(pm_status::PM_OK)
    })
}

/// Connects to the daemon. Blocks.
///
/// `address`: the path of its socket or of its runtime folder, "unix:PATH", or "http://HOST:PORT" on loopback; null for
/// this user's own daemon. `options` may be null. `*out` is yours: close it with pm_client_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_connect(
    address: *const c_char,
    options: *const pm_connect_options,
    out: *mut *mut pm_client,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (out, address) = unsafe { (Out::new(out, "out")?, text(address, "address")?) };
        out.set(std::ptr::null_mut());
        // SAFETY: as above.
        let options = unsafe { self::options(options) }?;
        let client = if address.is_empty() { Client::connect_default() } else { Client::connect(address) }?;
        let client = client.with_deadline(millis(options.deadline_ms));
        out.set(handle::open(Connected::new(client)?).ok_or_else(Failure::full)?);
        Ok(pm_status::PM_OK)
    })
}

/// The same connection, with every request part of the caller's trace: where the daemon sends traces, its spans are children
/// of the caller's. What is made with it, like a payload to be committed, belongs to the trace, too. Does not block, and is
/// cheap enough for every request that a program serves.
///
/// `traceparent`, `tracestate`: as W3C trace context has them in headers; null or ""
/// is none. PM_BAD_ARGUMENT if it is neither. `*out` is yours: close it with pm_client_close, in any order with `client`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_client_with_trace(
    client: *const pm_client,
    traceparent: *const c_char,
    tracestate: *const c_char,
    out: *mut *mut pm_client,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (out, parent) = unsafe { (Out::new(out, "out")?, text(traceparent, "traceparent")?) };
        out.set(std::ptr::null_mut());
        // SAFETY: as above.
        let state = unsafe { text(tracestate, "tracestate") }?;
        let inside = connected(client)?;
        let bad = |error: BadTrace| Failure::bad(error.to_string());
        let trace = match parent {
            "" => None,
            _ => Some(parent.parse::<TraceContext>().and_then(|trace| trace.with_state(state)).map_err(bad)?),
        };
        out.set(handle::open(inside.with(inside.client.with_trace(trace))).ok_or_else(Failure::full)?);
        Ok(pm_status::PM_OK)
    })
}

/// Closes a connection. Payloads, views and cursors made with it stay usable, and keep its thread running, until they are
/// closed too. The last of all that to be closed blocks until the daemon has been told, a second at most. In a child after
/// fork it does nothing but forget.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_client_close(client: *mut pm_client) -> pm_status {
    call(|| Ok(handle::close::<Connected>(client).map(|()| pm_status::PM_OK)?))
}

/// 1 if leases are taken in shared memory, 0 if each takes a call to the daemon (or the handle is invalid). May block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_client_has_session(client: *const pm_client) -> u8 {
    value(0, || connected(client).is_ok_and(|inside| inside.client.path() == DataPath::Session).into())
}

/// Returns when the daemon has been told of all that was released and dropped before. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_flush(client: *const pm_client) -> pm_status {
    call(|| {
        connected(client)?.client.flush();
        Ok(pm_status::PM_OK)
    })
}

/// Where a payload is now: advice, for nothing keeps it there. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_resolve(client: *const pm_client, id: *const pm_id, out: *mut pm_descriptor) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, out) = unsafe { (payload_id(id)?, Out::new(out, "out")?) };
        out.set((&connected(client)?.client.resolve(id)?).into());
        Ok(pm_status::PM_OK)
    })
}

/// Deletes a payload in every tier. PM_LEASED if somebody reads it, unless `force` is 1: then leases are over from that
/// moment, and bytes that are mapped stay until their views are released. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_delete(client: *const pm_client, id: *const pm_id, force: u8) -> pm_status {
    // SAFETY: the caller's pointers are what the header asks for.
    unsafe { about(client, id, |client, id| if force == 0 { client.delete(id) } else { client.delete_by_force(id) }) }
}
