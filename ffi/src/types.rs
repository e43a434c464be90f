//! Numbers and plain structs that several calls share. Their sizes never change: what is reserved is room to grow.

use std::ffi::c_void;

use payload_manager_client::{Descriptor, DevicePtr, Location, Protection};

use crate::id::pm_id;

/// Where bytes can be, fast to slow.
#[repr(u32)]
pub enum pm_tier {
    /// Where a tier may be left out: none given.
    PM_TIER_ANY = 0,
    /// Device memory.
    PM_TIER_GPU = 1,
    /// Shared memory.
    PM_TIER_RAM = 2,
    /// Files. Survives a reboot.
    PM_TIER_DISK = 3,
    /// A bucket. Survives the host.
    PM_TIER_OBJECT = 4,
    /// No place: as a spill target, delete instead of moving.
    PM_TIER_VOID = 5,
}

/// How far a payload has come.
#[repr(u32)]
pub enum pm_state {
    /// Being written.
    PM_STATE_ALLOCATED = 1,
    /// Committed.
    PM_STATE_ACTIVE = 2,
    /// Readable, and on its way to a slower tier.
    PM_STATE_SPILLING = 3,
    /// Committed, with a copy that survives a reboot.
    PM_STATE_DURABLE = 4,
    /// Readable, and losing its faster copy.
    PM_STATE_EVICTING = 5,
    /// About to be gone.
    PM_STATE_DELETING = 6,
    /// Its time is over.
    PM_STATE_EXPIRED = 7,
    /// Gone.
    PM_STATE_DELETED = 8,
}

/// Who could still write after commit.
#[repr(u32)]
pub enum pm_protection {
    /// The producer, if it keeps a pointer: nobody stops it.
    PM_PROTECTION_SHARED = 1,
    /// Nobody but the daemon: commit copies.
    PM_PROTECTION_STRICT = 2,
    /// Nobody: the kernel forbids it.
    PM_PROTECTION_SEALED = 3,
}

/// How soon eviction takes a payload.
#[repr(u32)]
pub enum pm_priority {
    /// Before others.
    PM_PRIORITY_LOW = 1,
    /// The default.
    PM_PRIORITY_NORMAL = 2,
    /// After others.
    PM_PRIORITY_HIGH = 3,
    /// Not at all.
    PM_PRIORITY_NEVER = 4,
}

/// Whose memory a pointer is of.
#[repr(u32)]
pub enum pm_device {
    /// The host's: any thread follows the pointer.
    PM_DEVICE_HOST = 0,
    /// A CUDA device's: a CUdeviceptr, good in the device's primary context, for kernels and copies. The host must not
    /// follow it. Only payloads that were created in PM_TIER_GPU, and reads with on_device, answer with it.
    ///
    /// Streams are yours to see to. Before a commit, everything that writes to the payload has finished: synchronize the
    /// stream, or give the commit an event. A read has nothing to wait for. Before a view is released, everything that
    /// reads from it has finished.
    PM_DEVICE_CUDA = 1,
}

/// A payload's bytes, to be read.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_bytes {
    /// The first of them; never null in an answer of PM_OK. Not to be written to.
    pub data: *const c_void,
    /// How many there are.
    pub size: u64,
    /// A pm_device.
    pub device_kind: u32,
    /// Which device of that kind, by its number in this process; 0 for the host.
    pub device: u32,
}

/// A payload's bytes, to be written.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_room {
    /// The first of them; never null in an answer of PM_OK. What they hold before they are written is not specified.
    pub data: *mut c_void,
    /// How many there are.
    pub size: u64,
    /// A pm_device.
    pub device_kind: u32,
    /// Which device of that kind, by its number in this process; 0 for the host.
    pub device: u32,
}

/// A payload as it is at one moment. Times are milliseconds since 1970.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_descriptor {
    /// Which.
    pub id: pm_id,
    /// Bytes.
    pub size: u64,
    /// Grows at every change of placement or state.
    pub version: u64,
    /// When it was allocated.
    pub created_ms: u64,
    /// When its time is over; 0 if never.
    pub expires_ms: u64,
    /// A pm_tier: that of the fastest copy.
    pub tier: u32,
    /// A pm_state.
    pub state: u32,
    /// The tiers with a copy: bit 1 << tier of each.
    pub copies: u32,
    /// A pm_protection.
    pub protection: u32,
    /// A pm_device: whose memory the fastest copy is in.
    pub device_kind: u32,
    /// Which device of that kind; 0 for the host.
    pub device: u32,
    /// Of the bytes: XXH3, 128 bits, once has_checksum is 1.
    pub checksum: [u8; 16],
    /// 1 if checksum is known.
    pub has_checksum: u8,
    /// 1 if no copy outlives the daemon.
    pub dies_with_daemon: u8,
    /// 0 for now.
    pub reserved: [u8; 30],
}

impl From<&Descriptor> for pm_descriptor {
    fn from(of: &Descriptor) -> Self {
        let (device_kind, device) = match of.location {
            Some(Location::Gpu { device, .. }) => (pm_device::PM_DEVICE_CUDA as u32, device),
            _ => (pm_device::PM_DEVICE_HOST as u32, 0),
        };
        Self {
            id: of.id.into(),
            size: of.size,
            version: of.version,
            created_ms: of.created.0,
            expires_ms: of.expires.map_or(0, |at| at.0),
            tier: of.tier as u32,
            state: of.state as u32,
            copies: u32::from(of.copies.bits()),
            protection: of.protection as u32,
            device_kind,
            device,
            checksum: of.checksum.map_or([0; 16], |sum| sum.0),
            has_checksum: u8::from(of.checksum.is_some()),
            dies_with_daemon: u8::from(of.dies_with_daemon),
            reserved: [0; 30],
        }
    }
}

const _: () = assert!(size_of::<pm_descriptor>() == 120 && size_of::<pm_bytes>() == 24 && size_of::<pm_room>() == 24);
const _: () = assert!(Protection::Sealed as u32 == pm_protection::PM_PROTECTION_SEALED as u32);

/// A place on a device as C has it: a number that only the device follows.
pub(crate) fn on_device(place: &DevicePtr) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::try_from(place.address).unwrap_or(usize::MAX))
}
