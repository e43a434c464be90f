//! Bytes on a GPU, as this process has them: opened through the CUDA driver, which is loaded when the first payload asks for it.
//!
//! No byte there is touched by the host but by copies. What holds for streams is said at [`DevicePtr`].

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use payload_manager_shm::device::{Device, DeviceMemory, Driver, IpcHandle};

pub use payload_manager_types::DeviceUuid;

use crate::descriptor::{Descriptor, Location, Tier};
use crate::error::{Error, Result};

/// Where bytes on a GPU begin, for kernels and copies of this process.
///
/// The address is good in the *primary context* of the device, which the CUDA runtime (and so PyTorch, JAX, CuPy) uses.
/// It stays good for as long as the [`PayloadMut`](crate::PayloadMut) or [`PayloadView`](crate::PayloadView) lives.
///
/// **Streams.** A daemon and a reader know nothing of the streams of a producer, so:
///
/// * *before a commit*, everything that writes to the payload has finished: synchronize the stream, or wait for an event
///   that was recorded after it. A commit does not do that.
/// * *after a lease was taken* there is nothing to wait for: the bytes are all there.
/// * *before a view is dropped*, everything that reads from it has finished: the memory may get other bytes then.
///
/// That nobody changes committed bytes is enforced by no kernel on a GPU. This library maps what others wrote read-only,
/// where the device can do that; another program need not.
///
/// ```
/// use payload_manager_client::PayloadView;
///
/// fn launch(view: &PayloadView) {
///     if let Some(place) = view.device_ptr() {
///         println!("{:#x} on {} (cuda:{})", place.address, place.device, place.ordinal);
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePtr {
    /// A `CUdeviceptr`.
    pub address: u64,
    /// Which device, by its name for good.
    pub device: DeviceUuid,
    /// The same by its number in this process, as `cuDeviceGet` takes it.
    pub ordinal: u32,
}

/// A payload's part of an allocation that this process has opened.
#[derive(Debug, Clone)]
pub(crate) struct DevicePart {
    memory: Arc<DeviceMemory>,
    offset: u64,
    length: u64,
}

impl DevicePart {
    /// `None` if that is not inside.
    pub(crate) fn of(memory: &Arc<DeviceMemory>, offset: u64, length: u64) -> Option<Self> {
        let inside = offset.checked_add(length).is_some_and(|end| end <= memory.bytes());
        inside.then(|| Self { memory: Arc::clone(memory), offset, length })
    }

    pub(crate) fn ptr(&self) -> DevicePtr {
        let device = self.memory.device();
        DevicePtr { address: self.memory.address() + self.offset, device: device.uuid(), ordinal: device.ordinal() }
    }

    /// Bytes of the whole allocation.
    pub(crate) fn slab_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    pub(crate) fn copy_in(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check(offset, bytes.len())?;
        self.memory.write(self.offset + offset, bytes).map_err(|e| Error::device("copying to a GPU", e))
    }

    pub(crate) fn copy_out(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.check(offset, into.len())?;
        self.memory.read(self.offset + offset, into).map_err(|e| Error::device("copying from a GPU", e))
    }

    fn check(&self, offset: u64, length: usize) -> Result<()> {
        within(offset, length, self.length).map(drop)
    }
}

/// The end of so many bytes at `offset`, which must lie in a payload of this length.
pub(crate) fn within(offset: u64, length: usize, size: u64) -> Result<u64> {
    let end = offset.checked_add(length as u64).filter(|end| *end <= size);
    end.ok_or_else(|| {
        let what = format!("{length} bytes at {offset} are not within a payload of {size} bytes");
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
        Error::Place { place: "that part of the payload".to_owned(), source }
    })
}

/// The GPUs that this process may see, in the order of their numbers.
///
/// ```no_run
/// for device in payload_manager_client::devices()? {
///     println!("{device}");
/// }
/// # Ok::<(), payload_manager_client::Error>(())
/// ```
///
/// # Errors
/// [`Error::Device`]: there is no driver, or it does not start.
pub fn devices() -> Result<Vec<DeviceUuid>> {
    Ok(driver()?.uuids())
}

/// The devices that a payload in this tier may be on, the most wanted first: the one that is named, or those that this process
/// may see. Without a driver it is the daemon that says what is missing.
pub(crate) fn wanted(tier: Tier, named: Option<DeviceUuid>) -> Vec<DeviceUuid> {
    match (tier, named) {
        (Tier::Gpu, Some(device)) => vec![device],
        (Tier::Gpu, None) => devices().unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The same, as they are sent.
pub(crate) fn named(tier: Tier, named: Option<DeviceUuid>) -> Vec<Vec<u8>> {
    wanted(tier, named).iter().map(|uuid| uuid.0.to_vec()).collect()
}

fn driver() -> Result<&'static Driver> {
    Driver::shared().map_err(|error| Error::device("a payload on a GPU", error))
}

/// A device of this process, in use from the first time on.
pub(crate) fn device(uuid: DeviceUuid) -> Result<Device> {
    static USED: OnceLock<Mutex<HashMap<DeviceUuid, Device>>> = OnceLock::new();
    let mut used = USED.get_or_init(Mutex::default).lock();
    if let Some(device) = used.get(&uuid) {
        return Ok(device.clone());
    }
    let found = driver()?.device(uuid).map_err(|e| Error::device(format!("taking {uuid} into use"), e))?;
    let device = found.ok_or_else(|| {
        let what = "this process may not see it; look at CUDA_VISIBLE_DEVICES, or ask for a copy in RAM";
        Error::Place { place: uuid.to_string(), source: std::io::Error::new(std::io::ErrorKind::NotFound, what) }
    })?;
    used.insert(uuid, device.clone());
    Ok(device)
}

/// Opens what has an allocation of its own, or lies in one that a handle opens.
pub(crate) fn open(descriptor: &Descriptor) -> Result<DevicePart> {
    let Some(Location::Gpu { uuid, handle, offset, length, .. }) = &descriptor.location else {
        return Err(Error::bad("no device memory where a payload on a GPU is"));
    };
    let uuid = uuid.ok_or_else(|| Error::bad("a GPU without a UUID"))?;
    let (size, handle) = IpcHandle::from_wire(handle).ok_or_else(|| Error::bad("no CUDA IPC handle"))?;
    let opened = device(uuid)?.open(&handle, size);
    let memory = opened.map_err(|e| {
        let hint = "it takes an IPC and a PID namespace in common with the daemon, or a session";
        Error::device(format!("opening memory of {uuid} by its handle ({hint})"), e)
    })?;
    DevicePart::of(&Arc::new(memory), *offset, *length).ok_or_else(|| Error::bad("a payload beyond its allocation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_within_a_payload_is_refused() {
        assert_eq!(within(3, 4, 7).unwrap(), 7);
        assert!(within(4, 4, 7).is_err() && within(u64::MAX, 1, 7).is_err());
    }
}
