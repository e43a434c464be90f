//! Payloads that are being written.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};

use payload_manager_client::blocking::PayloadMut;
use payload_manager_client::{CreateOptions, DeviceUuid, EvictionPolicy, SpillTarget, Tier};
use payload_manager_shm::device::Driver;

use crate::client::{connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::handle::{self, enter, handles};
use crate::id::pm_id;
use crate::input::{Options, Out, Result, array, millis, numbered, options, required_text, text, tier_or_none};
use crate::panic::call;
use crate::types::{on_device, pm_descriptor, pm_device, pm_room, pm_tier};

/// A payload that is being written. One thread at a time uses it. Made by pm_create; yours until pm_payload_commit or
/// pm_payload_abort, of which one must come.
pub struct pm_payload(());

/// What is behind it.
struct Writing {
    payload: PayloadMut,
    /// Where its bytes are: asked once, so that nothing of ours looks at them while C writes.
    room: pm_room,
}

// SAFETY: `room` points into the payload's mapping, which any thread may use and which is there as long as the payload.
unsafe impl Send for Writing {}
// SAFETY: as above; nothing here follows the pointer.
unsafe impl Sync for Writing {}

handles!(Writing => pm_payload, 2);

/// A word of one's own about a payload or an entry.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_tag {
    /// Not null.
    pub key: *const c_char,
    /// Null is "".
    pub value: *const c_char,
}

/// How to make a payload. Begin with PM_CREATE_OPTIONS_INIT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_create_options {
    /// sizeof(pm_create_options).
    pub size: u32,
    /// The pm_tier to write in; 0 is PM_TIER_RAM.
    pub tier: u32,
    /// How long it lives; 0 is for ever.
    pub ttl_ms: u64,
    /// A pm_protection; 0 is PM_PROTECTION_SHARED.
    pub protection: u32,
    /// A pm_priority; 0 is PM_PRIORITY_NORMAL.
    pub priority: u32,
    /// The pm_tier that eviction moves it to; 0 is PM_TIER_DISK, and PM_TIER_VOID deletes it.
    pub spill_target: u32,
    /// The slowest pm_tier that eviction may move it to; 0 is any.
    pub min_residency: u32,
    /// 1: eviction leaves it where it is.
    pub no_evict: u8,
    /// 1: eviction may only take a copy while a durable one is there.
    pub require_durable: u8,
    /// 0 for now.
    pub reserved: [u8; 6],
    /// A dataset's name, or null.
    pub dataset: *const c_char,
    /// Who makes it, or null.
    pub producer: *const c_char,
    /// Words of one's own; null if tags_len is 0.
    pub tags: *const pm_tag,
    /// How many.
    pub tags_len: usize,
    /// For PM_TIER_GPU, the UUID of the device to write on; zeros are any that this process may see.
    pub device: [u8; 16],
}

// SAFETY: integers and raw pointers without padding, the first a u32, the size.
unsafe impl Options for pm_create_options {
    const NONE: Self = Self {
        size: 88,
        tier: 0,
        ttl_ms: 0,
        protection: 0,
        priority: 0,
        spill_target: 0,
        min_residency: 0,
        no_evict: 0,
        require_durable: 0,
        reserved: [0; 6],
        dataset: std::ptr::null(),
        producer: std::ptr::null(),
        tags: std::ptr::null(),
        tags_len: 0,
        device: [0; 16],
    };
}

const _: () = assert!(size_of::<pm_create_options>() == pm_create_options::NONE.size as usize);

/// # Safety
/// The pointers in `tags` are strings.
pub(crate) unsafe fn tags(tags: *const pm_tag, len: usize) -> Result<BTreeMap<String, String>> {
    // SAFETY: as the caller promised.
    let tags = unsafe { array(tags, len, "tags") }?;
    // SAFETY: as the caller promised.
    let pair =
        |tag: &pm_tag| unsafe { Ok((required_text(tag.key, "a tag's key")?, text(tag.value, "a tag's value")?)) };
    tags.iter().map(|tag| pair(tag).map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

pub(crate) fn spill_target(number: u32) -> Result<Option<SpillTarget>> {
    if number == pm_tier::PM_TIER_VOID as u32 {
        return Ok(Some(SpillTarget::Void));
    }
    Ok(tier_or_none(number, "spill_target")?.map(SpillTarget::Tier))
}

/// # Safety
/// The pointers in `options` are what the header asks for.
unsafe fn create_options(options: &pm_create_options) -> Result<CreateOptions> {
    let or_default = |number: u32, default: u32| if number == 0 { default } else { number };
    let policy = EvictionPolicy {
        priority: numbered(or_default(options.priority, 2), "priority")?,
        require_durable: options.require_durable != 0,
        spill_target: spill_target(options.spill_target)?,
        min_residency: tier_or_none(options.min_residency, "min_residency")?,
    };
    // SAFETY: as the caller promised.
    let (dataset, producer, tags) = unsafe {
        (text(options.dataset, "dataset")?, text(options.producer, "producer")?, tags(options.tags, options.tags_len)?)
    };
    Ok(CreateOptions {
        tier: tier_or_none(options.tier, "tier")?.unwrap_or(Tier::Ram),
        ttl: millis(options.ttl_ms),
        no_evict: options.no_evict != 0,
        policy,
        protection: numbered(or_default(options.protection, 1), "protection")?,
        dataset: dataset.to_owned(),
        producer: producer.to_owned(),
        tags,
        device: (options.device != [0; 16]).then_some(DeviceUuid(options.device)),
    })
}

impl Writing {
    fn new(mut payload: PayloadMut) -> Self {
        if let Some(place) = payload.device_ptr() {
            let (data, size) = (on_device(&place), payload.descriptor().size);
            let room = pm_room { data, size, device_kind: pm_device::PM_DEVICE_CUDA as u32, device: place.ordinal };
            return Self { payload, room };
        }
        let bytes: &mut [u8] = &mut payload;
        let (data, size) = (bytes.as_mut_ptr().cast::<c_void>(), bytes.len() as u64);
        let room = pm_room { data, size, device_kind: pm_device::PM_DEVICE_HOST as u32, device: 0 };
        Self { payload, room }
    }
}

/// Allocates a payload of `size` bytes, to be written in place. Blocks.
///
/// `options` may be null: RAM, for ever. `*out` is yours: end it with pm_payload_commit or pm_payload_abort. `bytes` is
/// where to write, good until then; it may be null, and asked for later with pm_payload_bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_create(
    client: *const pm_client,
    size: u64,
    options: *const pm_create_options,
    out: *mut *mut pm_payload,
    bytes: *mut pm_room,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, Out::optional(bytes)) };
        out.set(std::ptr::null_mut());
        // SAFETY: as above.
        let options = unsafe { create_options(&self::options(options)?) }?;
        let writing = Writing::new(connected(client)?.client.create_with(size, options)?);
        let room = writing.room;
        out.set(handle::open(writing).ok_or_else(Failure::full)?);
        bytes.set(room);
        Ok(pm_status::PM_OK)
    })
}

/// Where to write a payload's bytes: good until it is committed or aborted. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_payload_bytes(payload: *const pm_payload, out: *mut pm_room) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(enter::<Writing>(payload)?.room);
        Ok(pm_status::PM_OK)
    })
}

/// A payload's name, before it is committed. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_payload_id(payload: *const pm_payload, out: *mut pm_id) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(enter::<Writing>(payload)?.payload.id().into());
        Ok(pm_status::PM_OK)
    })
}

/// Publishes a payload's bytes, for good. Blocks.
///
/// The handle and the pointer are gone afterwards, whatever the answer (but for PM_INVALID_HANDLE and PM_HANDLE_BUSY, which
/// do nothing): if it failed, the payload is deleted, unless the answer says that the daemon could not be asked. `out` may
/// be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_payload_commit(payload: *mut pm_payload, out: *mut pm_descriptor) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::optional(out) };
        let writing = handle::take::<Writing>(payload)?;
        out.set((&writing.payload.commit()?).into());
        Ok(pm_status::PM_OK)
    })
}

/// The same, once a CUDA event has been reached: `event` is a CUevent, or a cudaEvent_t, recorded after the last work that
/// writes to the payload, in a thread that has a CUDA context. Blocks. If that work failed, or there is no driver, the answer is
/// PM_DEVICE_FAILED, and the payload is deleted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_payload_commit_after_event(
    payload: *mut pm_payload,
    event: *mut c_void,
    out: *mut pm_descriptor,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::optional(out) };
        let writing = handle::take::<Writing>(payload)?;
        if event.is_null() {
            return Err(Failure::null("event"));
        }
        let driver = Driver::shared().map_err(|error| Failure::device(&error))?;
        // SAFETY: the caller's event is what the header asks for.
        unsafe { driver.wait_for_event(event) }.map_err(|error| Failure::device(&error))?;
        out.set((&writing.payload.commit()?).into());
        Ok(pm_status::PM_OK)
    })
}

/// Copies `size` bytes from `from` into a payload at `offset`, wherever it is. Blocks until they are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_payload_copy(
    payload: *mut pm_payload,
    offset: u64,
    from: *const c_void,
    size: usize,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let from = unsafe { array(from.cast::<u8>(), size, "from") }?;
        let writing = enter::<Writing>(payload)?;
        let room = writing.room;
        if room.device_kind == pm_device::PM_DEVICE_HOST as u32 {
            let end = offset.checked_add(size as u64).filter(|end| *end <= room.size);
            let outside = || Failure::bad(format!("{size} bytes at {offset} are not within {} bytes", room.size));
            end.ok_or_else(outside)?;
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            // SAFETY: within the payload's mapping, which one thread at a time uses, as the header asks; and a payload's
            // mapping is no other memory of the caller's.
            unsafe { room.data.cast::<u8>().add(at).copy_from_nonoverlapping(from.as_ptr(), size) };
        } else {
            writing.payload.copy_to_device(offset, from)?;
        }
        Ok(pm_status::PM_OK)
    })
}

/// Gives a payload up and returns when it is deleted. Blocks. The handle and the pointer are gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_payload_abort(payload: *mut pm_payload) -> pm_status {
    call(|| {
        handle::take::<Writing>(payload)?.payload.abort()?;
        Ok(pm_status::PM_OK)
    })
}
