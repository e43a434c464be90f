//! Payloads that are being read.

use std::ffi::c_void;

use payload_manager_client::blocking::PayloadView;
use payload_manager_client::{DeviceUuid, Promotion, ReadOptions};

use crate::client::{connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::handle::{self, Room, enter, handles};
use crate::id::{payload_id, pm_id};
use crate::input::{Options, Out, Result, array_mut, millis, options, tier_or_none};
use crate::panic::{call, value};
use crate::types::{on_device, pm_bytes, pm_descriptor, pm_device};

/// A committed payload's bytes, in place, kept there by a lease that is renewed by itself. Any number of threads may read
/// them and use the view. Made by pm_read; yours until pm_view_release.
pub struct pm_view(());

handles!(PayloadView => pm_view, 3);

/// How to read. Begin with PM_READ_OPTIONS_INIT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_read_options {
    /// sizeof(pm_read_options).
    pub size: u32,
    /// The slowest pm_tier to read from; 0 is any. What is slower is promoted first.
    pub min_tier: u32,
    /// 1: do not wait for a promotion but answer PM_MIN_TIER_NOT_MET, while it is made in the background.
    pub no_wait: u32,
    /// 1: memory of a GPU will do, too: look at device_kind before the pointer is followed. 0: what lies there alone is
    /// answered with PM_PLACE. A min_tier of PM_TIER_GPU means 1.
    pub on_device: u32,
    /// How long a lease to ask for; 0 leaves that to the daemon.
    pub lease_ms: u64,
    /// For a min_tier of PM_TIER_GPU, the UUID of the device to copy it to where it is on none; zeros are any that this
    /// process may see.
    pub device: [u8; 16],
}

// SAFETY: integers without padding, the first a u32, the size.
unsafe impl Options for pm_read_options {
    const NONE: Self = Self { size: 40, min_tier: 0, no_wait: 0, on_device: 0, lease_ms: 0, device: [0; 16] };
}

fn read_options(options: &pm_read_options) -> Result<ReadOptions> {
    Ok(ReadOptions {
        min_tier: tier_or_none(options.min_tier, "min_tier")?,
        promotion: if options.no_wait == 0 { Promotion::Wait } else { Promotion::Background },
        lease: millis(options.lease_ms),
        on_device: options.on_device != 0,
        device: (options.device != [0; 16]).then_some(DeviceUuid(options.device)),
    })
}

pub(crate) fn bytes_of(view: &PayloadView) -> pm_bytes {
    if let Some(place) = view.device_ptr() {
        let (data, size) = (on_device(&place).cast_const(), view.descriptor().size);
        return pm_bytes { data, size, device_kind: pm_device::PM_DEVICE_CUDA as u32, device: place.ordinal };
    }
    let (data, size) = (view.as_ptr().cast::<c_void>(), view.len() as u64);
    pm_bytes { data, size, device_kind: pm_device::PM_DEVICE_HOST as u32, device: 0 }
}

/// Leases a committed payload and maps its bytes, wherever they are. With a session it mostly is a few hundred nanoseconds
/// without a system call; otherwise it blocks.
///
/// `options` may be null. `*out` is yours: release it. `bytes` is where the bytes are, good until then, even when the lease
/// or the daemon is gone; it may be null, and asked for later with pm_view_bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_read(
    client: *const pm_client,
    id: *const pm_id,
    options: *const pm_read_options,
    out: *mut *mut pm_view,
    bytes: *mut pm_bytes,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, Out::optional(bytes)) };
        out.set(std::ptr::null_mut());
        // SAFETY: as above.
        let (id, options) = unsafe { (payload_id(id)?, self::options(options)?) };
        let (options, connected) = (read_options(&options)?, connected(client)?);
        let room = Room::take().ok_or_else(Failure::full)?;
        let view = connected.client.read_with(id, options)?;
        bytes.set(bytes_of(&view));
        out.set(room.open(view));
        Ok(pm_status::PM_OK)
    })
}

/// Where a view's bytes are: good until it is released. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_bytes(view: *const pm_view, out: *mut pm_bytes) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(bytes_of(&*enter::<PayloadView>(view)?));
        Ok(pm_status::PM_OK)
    })
}

/// Copies `size` bytes of a payload from `offset` on to `into`, wherever they are. Blocks until they are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_copy(view: *const pm_view, offset: u64, into: *mut c_void, size: usize) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let into = unsafe { array_mut(into.cast::<u8>(), size, "into") }?;
        enter::<PayloadView>(view)?.copy_to_host(offset, into)?;
        Ok(pm_status::PM_OK)
    })
}

/// The payload as it was when it was leased. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_descriptor(view: *const pm_view, out: *mut pm_descriptor) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(enter::<PayloadView>(view)?.descriptor().into());
        Ok(pm_status::PM_OK)
    })
}

/// 1 while the lease holds, as far as this process knows: the bytes are those that were committed. 0 when it is over, or
/// for an invalid handle. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_is_valid(view: *const pm_view) -> u8 {
    value(0, || enter::<PayloadView>(view).is_ok_and(|inside| inside.is_valid()).into())
}

/// Milliseconds that the lease holds from now, unless it is renewed; 0 when it is over, or for an invalid handle. Does not
/// block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_time_left_ms(view: *const pm_view) -> u64 {
    let left = |view: &PayloadView| u64::try_from(view.time_left().as_millis()).unwrap_or(u64::MAX);
    value(0, || enter::<PayloadView>(view).map_or(0, |inside| left(&inside)))
}

/// Renews the lease now; it is renewed by itself anyway. May block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_renew(view: *const pm_view) -> pm_status {
    call(|| {
        enter::<PayloadView>(view)?.renew()?;
        Ok(pm_status::PM_OK)
    })
}

/// Gives a view up: its handle and its pointer are gone, and the lease is given back, with a session at once, otherwise
/// soon (pm_flush waits for it). Blocks only if it is the last of a connection that is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_release(view: *mut pm_view) -> pm_status {
    call(|| Ok(handle::close::<PayloadView>(view).map(|()| pm_status::PM_OK)?))
}
