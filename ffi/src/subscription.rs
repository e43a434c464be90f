//! Streams, followed.

use std::ffi::c_char;
use std::time::Duration;

use payload_manager_client::blocking::{Client, Subscription};
use payload_manager_client::{Start, StreamEntry, StreamName};

use crate::client::{connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::handle::{self, enter, handles};
use crate::input::{Options, Out, Result, options, stream, text};
use crate::kept::{Cursor, Kept};
use crate::panic::call;
use crate::stream::pm_entry;

/// A stream that is followed. One thread at a time uses it. Made by pm_subscribe; yours until pm_subscription_close.
pub struct pm_subscription(());

/// What is behind it.
struct Followed {
    entries: Cursor<Subscription>,
    client: Client,
    stream: StreamName,
    group: String,
}

handles!(Followed => pm_subscription, 8);

/// Where to begin.
#[repr(u32)]
pub enum pm_start {
    /// At the oldest entry that is kept.
    PM_START_BEGINNING = 0,
    /// At the next that is appended.
    PM_START_LATEST = 1,
    /// At pm_subscribe_options.offset.
    PM_START_OFFSET = 2,
}

/// Wait without end.
pub const PM_FOREVER: u64 = u64::MAX;

/// How to follow a stream. Begin with PM_SUBSCRIBE_OPTIONS_INIT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_subscribe_options {
    /// sizeof(pm_subscribe_options).
    pub size: u32,
    /// A pm_start; for a group, where to begin when it has committed nothing yet.
    pub start: u32,
    /// For PM_START_OFFSET.
    pub offset: u64,
    /// A group, which goes on after what it has committed; or null.
    pub group: *const c_char,
}

// SAFETY: integers and a pointer without padding, the first a u32, the size.
unsafe impl Options for pm_subscribe_options {
    const NONE: Self = Self { size: 24, start: 0, offset: 0, group: std::ptr::null() };
}

fn begin(options: &pm_subscribe_options, committed: Option<u64>) -> Result<Start> {
    match (committed, options.start) {
        (Some(next), _) => Ok(Start::Offset(next)),
        (None, 0) => Ok(Start::Beginning),
        (None, 1) => Ok(Start::Latest),
        (None, 2) => Ok(Start::Offset(options.offset)),
        (None, other) => Err(Failure::bad(format!("start: there is no number {other}"))),
    }
}

fn shown(kept: &mut Kept, entry: StreamEntry) -> pm_entry {
    let event = entry.what.event_time.unwrap_or_default();
    let (tags, tags_len) = kept.tags(entry.what.tags);
    pm_entry {
        id: entry.what.payload.into(),
        offset: entry.offset,
        append_ms: entry.append_time.0,
        event_seconds: event.seconds,
        event_nanos: event.nanos,
        has_event_time: u32::from(entry.what.event_time.is_some()),
        duration_ns: entry.what.duration_ns,
        tags,
        tags_len,
    }
}

/// Follows a stream: what it holds, then what is appended. Blocks. `options` may be null: from the oldest entry. `*out` is
/// yours: close it with pm_subscription_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_subscribe(
    client: *const pm_client,
    stream: *const c_char,
    options: *const pm_subscribe_options,
    out: *mut *mut pm_subscription,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(std::ptr::null_mut());
        // SAFETY: as above.
        let (stream, options) = unsafe { (self::stream(stream)?, self::options(options)?) };
        // SAFETY: as above.
        let group = unsafe { text(options.group, "group") }?.to_owned();
        let client = connected(client)?.client.clone();
        let committed = if group.is_empty() { None } else { client.committed_offset(&stream, &group)? };
        let entries = Cursor::new(client.subscribe(&stream, begin(&options, committed)?)?);
        let followed = Followed { entries, client, stream, group };
        out.set(handle::open(followed).ok_or_else(Failure::full)?);
        Ok(pm_status::PM_OK)
    })
}

/// The next entry. Blocks until there is one, at most so many milliseconds (PM_FOREVER: without end), then PM_TIMEOUT. An
/// error is the end of the subscription. What `out` points to is good until the next call with this subscription.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_subscription_next(
    subscription: *mut pm_subscription,
    timeout_ms: u64,
    out: *mut pm_entry,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        let inside = enter::<Followed>(subscription)?;
        let mut step = inside.entries.step()?;
        let (entries, kept) = &mut *step;
        let next = match timeout_ms {
            PM_FOREVER => entries.next().transpose()?.ok_or(pm_status::PM_END),
            ms => entries.next_within(Duration::from_millis(ms))?.ok_or(pm_status::PM_TIMEOUT),
        };
        Ok(match next {
            Ok(entry) => {
                out.set(shown(kept, entry));
                pm_status::PM_OK
            }
            Err(none) => none,
        })
    })
}

/// Remembers that this subscription's group is done with the entries up to this one. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_subscription_commit(subscription: *const pm_subscription, offset: u64) -> pm_status {
    call(|| {
        let inside = enter::<Followed>(subscription)?;
        if inside.group.is_empty() {
            return Err(Failure::bad("this subscription has no group"));
        }
        inside.client.commit_offset(&inside.stream, &inside.group, offset.saturating_add(1))?;
        Ok(pm_status::PM_OK)
    })
}

/// Ends a subscription. Does not block, unless it is the last of a connection that is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_subscription_close(subscription: *mut pm_subscription) -> pm_status {
    call(|| Ok(handle::close::<Followed>(subscription).map(|()| pm_status::PM_OK)?))
}
