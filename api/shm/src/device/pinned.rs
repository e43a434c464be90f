//! Memory of the host that is registered with the driver, so that cards copy from and to it at full speed.

#![allow(unsafe_code, reason = "calls a C library")]

use std::fmt;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use super::driver::Device;
use super::error::DeviceError;

/// `CU_MEMHOSTREGISTER_PORTABLE`: for every card of this process.
const PORTABLE: u32 = 1;

/// Memory of this process, page aligned, registered for as long as it lives. It stays in RAM: keep it few.
pub struct PinnedBuffer {
    /// The card in whose context it was registered.
    device: Device,
    bytes: MmapMut,
}

impl PinnedBuffer {
    /// `bytes` zero bytes, at least one.
    ///
    /// # Errors
    /// No memory, or as the driver says: a limit on locked memory, above all.
    pub fn new(device: &Device, bytes: usize) -> Result<Self, DeviceError> {
        const CALL: &str = "cuMemHostRegister";
        let mapped = MmapMut::map_anon(bytes.max(1));
        let mut bytes = mapped.map_err(|error| DeviceError::invalid(CALL, error.to_string()))?;
        device.within(|s| {
            // SAFETY: the mapping is this value's own and stays where it is until it is unregistered.
            let registered = unsafe { (s.host_register)(bytes.as_mut_ptr().cast(), bytes.len(), PORTABLE) };
            device.check(CALL, registered)
        })?;
        Ok(Self { device: device.clone(), bytes })
    }
}

impl Deref for PinnedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for PinnedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        let start = self.bytes.as_mut_ptr();
        // In a child, or of a card that is lost, it is unmapped all the same.
        let _ = self.device.within(|s| {
            // SAFETY: registered when it was made, and no copy is at it: they are waited for.
            unsafe { (s.host_unregister)(start.cast()) };
            Ok(())
        });
    }
}

impl fmt::Debug for PinnedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedBuffer({} bytes)", self.bytes.len())
    }
}
