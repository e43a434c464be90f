//! Memory on a card: allocated, exported, opened, copied from and to, and freed when it is dropped.

#![allow(unsafe_code, reason = "calls a C library")]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::driver::Device;
use super::error::DeviceError;
use super::symbols::{Access, Address, Allocation, Location, Properties, Symbols, WireHandle};

/// `CU_MEM_ALLOCATION_TYPE_PINNED`, `CU_MEM_LOCATION_TYPE_DEVICE`, `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
const ON_THE_CARD: c_int = 1;
const DEVICE: c_int = 1;
const DESCRIPTOR: c_int = 1;

/// `CU_MEM_ACCESS_FLAGS_PROT_…`.
const READ: c_int = 1;
const READ_WRITE: c_int = 3;

/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`, the only flag there is.
const LAZY_PEER_ACCESS: u32 = 1;

/// Below it the driver packs allocations into one block and exports the block: so nothing smaller is allocated.
const BLOCK: u64 = 2 << 20;

/// An exported allocation: what `cuIpcGetMemHandle` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpcHandle(pub [u8; 64]);

/// Bytes of the form in which handles travel.
const WIRE: usize = 72;

impl IpcHandle {
    /// As it travels, in Arrow's form: the size of the allocation as a little-endian int64, then the handle.
    #[must_use]
    pub fn to_wire(&self, size: u64) -> [u8; WIRE] {
        let mut wire = [0; WIRE];
        let (length, handle) = wire.split_at_mut(8);
        length.copy_from_slice(&size.to_le_bytes());
        handle.copy_from_slice(&self.0);
        wire
    }

    /// The size of the allocation in bytes, and its handle; `None` if these bytes are neither.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<(u64, Self)> {
        let (size, handle) = wire.split_first_chunk::<8>()?;
        let size = u64::try_from(i64::from_le_bytes(*size)).ok()?;
        Some((size, Self(handle.try_into().ok()?)))
    }
}

/// Memory on a card.
///
/// Freed, or closed if it is another process's, when it is dropped; in a forked child it is left alone.
pub struct DeviceMemory {
    device: Device,
    address: Address,
    bytes: u64,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By `cuMemAlloc`; others open it by its handle.
    Allocated,
    /// By `cuMemCreate`, or taken from its descriptor.
    Mapped { allocation: Allocation },
    /// Another process's, by its handle.
    Opened,
}

impl Device {
    /// Allocates memory that another process can open by its [`IpcHandle`]. `bytes` is rounded up, so that the allocation
    /// begins where its handle does.
    ///
    /// # Errors
    /// [`DeviceError::is_out_of_memory`]; else as the driver says.
    pub fn allocate(&self, bytes: u64) -> Result<DeviceMemory, DeviceError> {
        let bytes = round_up(bytes, BLOCK)?;
        let mut address = 0;
        self.within(|s| {
            // SAFETY: writes one address.
            self.check("cuMemAlloc", unsafe { (s.allocate)(&raw mut address, length("cuMemAlloc", bytes)?) })
        })?;
        Ok(DeviceMemory { device: self.clone(), address, bytes, form: Form::Allocated })
    }

    /// Allocates memory that another process can open by a descriptor, which needs no namespace in common. `bytes` is
    /// rounded up.
    ///
    /// # Errors
    /// As [`Self::allocate`].
    pub fn allocate_passable(&self, bytes: u64) -> Result<DeviceMemory, DeviceError> {
        let wanted = self.properties();
        let mut grain = 0;
        let mut allocation = 0;
        let bytes = self.within(|s| {
            // SAFETY: reads one structure, writes one number.
            let told = unsafe { (s.granularity)(&raw mut grain, &raw const wanted, 0) };
            self.check("cuMemGetAllocationGranularity", told)?;
            let bytes = round_up(bytes, (grain as u64).max(1))?;
            // SAFETY: reads one structure, writes one number.
            let made = unsafe { (s.create)(&raw mut allocation, length("cuMemCreate", bytes)?, &raw const wanted, 0) };
            self.check("cuMemCreate", made)?;
            Ok(bytes)
        })?;
        self.mapped(allocation, bytes, READ_WRITE)
    }

    /// Opens what another process allocated, on this same card.
    ///
    /// # Errors
    /// As the driver says: where the two share no IPC or PID namespace, or the exporter is gone, the handle is invalid.
    pub fn open(&self, handle: &IpcHandle, bytes: u64) -> Result<DeviceMemory, DeviceError> {
        let mut address = 0;
        self.within(|s| {
            // SAFETY: the handle is passed by value; writes one address.
            let opened = unsafe { (s.ipc_open)(&raw mut address, WireHandle(handle.0), LAZY_PEER_ACCESS) };
            self.check("cuIpcOpenMemHandle", opened)
        })?;
        Ok(DeviceMemory { device: self.clone(), address, bytes, form: Form::Opened })
    }

    /// Opens what a descriptor stands for: `bytes` is how much its exporter said that there is. Not `writable` is a
    /// convention, which this process keeps: it is the importer who chooses. Cards that know no read-only mapping get one
    /// that is not.
    ///
    /// # Errors
    /// As the driver says.
    pub fn import(&self, file: BorrowedFd<'_>, bytes: u64, writable: bool) -> Result<DeviceMemory, DeviceError> {
        let import = || {
            let mut allocation = 0;
            self.within(|s| {
                let descriptor = std::ptr::without_provenance_mut::<c_void>(file.as_raw_fd().cast_unsigned() as usize);
                // SAFETY: the driver takes the descriptor's number for the pointer, and makes a descriptor of its own.
                let imported = unsafe { (s.import)(&raw mut allocation, descriptor, DESCRIPTOR) };
                self.check("cuMemImportFromShareableHandle", imported)
            })?;
            Ok(allocation)
        };
        match self.mapped(import()?, bytes, if writable { READ_WRITE } else { READ }) {
            Err(error) if !writable && error.call == SET_ACCESS && error.is_unsupported() => {
                self.mapped(import()?, bytes, READ_WRITE)
            }
            mapped => mapped,
        }
    }

    fn properties(&self) -> Properties {
        Properties {
            kind: ON_THE_CARD,
            handle_types: DESCRIPTOR,
            location: Location { kind: DEVICE, id: self.number() },
            win32: std::ptr::null_mut(),
            flags: [0; 8],
        }
    }

    /// Gives an allocation an address; it is released if that fails.
    fn mapped(&self, allocation: Allocation, bytes: u64, flags: c_int) -> Result<DeviceMemory, DeviceError> {
        let address = self.within(|s| {
            let mapped = self.map(s, allocation, bytes, flags);
            if mapped.is_err() {
                // SAFETY: nobody else has it.
                unsafe { (s.release)(allocation) };
            }
            mapped
        })?;
        let form = Form::Mapped { allocation };
        Ok(DeviceMemory { device: self.clone(), address, bytes, form })
    }

    fn map(&self, s: &Symbols, allocation: Allocation, bytes: u64, flags: c_int) -> Result<Address, DeviceError> {
        let size = length("cuMemMap", bytes)?;
        let mut address = 0;
        // SAFETY: writes one address.
        let reserved = unsafe { (s.address_reserve)(&raw mut address, size, 0, 0, 0) };
        self.check("cuMemAddressReserve", reserved)?;
        let access = Access { location: Location { kind: DEVICE, id: self.number() }, flags };
        // SAFETY: the range is reserved for this alone.
        let mapped = self.check("cuMemMap", unsafe { (s.map)(address, size, 0, allocation, 0) });
        let opened = mapped.and_then(|()| {
            // SAFETY: reads one structure.
            let opened = self.check(SET_ACCESS, unsafe { (s.set_access)(address, size, &raw const access, 1) });
            if opened.is_err() {
                // SAFETY: mapped just now, and told to nobody.
                unsafe { (s.unmap)(address, size) };
            }
            opened
        });
        if opened.is_err() {
            // SAFETY: reserved just now, and nothing is mapped there.
            unsafe { (s.address_free)(address, size) };
        }
        opened.map(|()| address)
    }
}

const SET_ACCESS: &str = "cuMemSetAccess";

impl DeviceMemory {
    /// Where it begins, in the address space that all cards and this process share. Good in the card's primary context.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Which card it is on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// By what another process opens it. Of what [`Device::allocate`] gave alone.
    ///
    /// # Errors
    /// As the driver says.
    pub fn handle(&self) -> Result<IpcHandle, DeviceError> {
        let mut handle = WireHandle([0; 64]);
        self.device.within(|s| {
            // SAFETY: writes one handle.
            self.device.check("cuIpcGetMemHandle", unsafe { (s.ipc_export)(&raw mut handle, self.address) })
        })?;
        Ok(IpcHandle(handle.0))
    }

    /// A descriptor by which another process opens it. Of what [`Device::allocate_passable`] gave alone.
    ///
    /// # Errors
    /// As the driver says.
    pub fn descriptor(&self) -> Result<OwnedFd, DeviceError> {
        const CALL: &str = "cuMemExportToShareableHandle";
        let Form::Mapped { allocation } = self.form else {
            return Err(DeviceError::invalid(CALL, "this memory has no descriptor".into()));
        };
        let mut file: c_int = -1;
        self.device.within(|s| {
            // SAFETY: writes one descriptor.
            let exported = unsafe { (s.export)((&raw mut file).cast(), allocation, DESCRIPTOR, 0) };
            self.device.check(CALL, exported)
        })?;
        // SAFETY: it was made for us just now, and is nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(file) })
    }

    /// Copies bytes there, and returns when they are there. At full speed from a [`PinnedBuffer`](super::PinnedBuffer).
    ///
    /// # Errors
    /// As the driver says; of what was opened read-only, too.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        const CALL: &str = "cuMemcpyHtoDAsync";
        let to = self.at(CALL, offset, bytes.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.device.on_a_stream(|s, stream| {
            // SAFETY: reads these bytes until the stream is waited for, which is done before they go; what is written lies
            // within this memory.
            let begun = unsafe { (s.copy_in)(to, bytes.as_ptr().cast(), bytes.len(), stream) };
            self.device.check(CALL, begun)
        })
    }

    /// Copies bytes from there, and returns when they are here.
    ///
    /// # Errors
    /// As the driver says.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        const CALL: &str = "cuMemcpyDtoHAsync";
        let from = self.at(CALL, offset, into.len())?;
        if into.is_empty() {
            return Ok(());
        }
        self.device.on_a_stream(|s, stream| {
            // SAFETY: writes these bytes until the stream is waited for, which is done before they go; what is read lies
            // within this memory.
            let begun = unsafe { (s.copy_out)(into.as_mut_ptr().cast(), from, into.len(), stream) };
            self.device.check(CALL, begun)
        })
    }

    /// The address of so many bytes at `offset`, if they are inside.
    fn at(&self, call: &'static str, offset: u64, length: usize) -> Result<Address, DeviceError> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.bytes);
        let outside = || format!("{length} bytes at {offset} are not within {} bytes of device memory", self.bytes);
        end.map(|_| self.address + offset).ok_or_else(|| DeviceError::invalid(call, outside()))
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        let (address, form) = (self.address, self.form);
        let Ok(size) = length("cuMemUnmap", self.bytes) else { return };
        // Of a card that is lost, or in a child, nothing is left to be done.
        let _ = self.device.within(|s| {
            // SAFETY: it is this value's own, and nobody uses it any more.
            unsafe {
                match form {
                    Form::Allocated => _ = (s.free)(address),
                    Form::Opened => _ = (s.ipc_close)(address),
                    Form::Mapped { allocation } => {
                        (s.unmap)(address, size);
                        (s.address_free)(address, size);
                        (s.release)(allocation);
                    }
                }
            }
            Ok(())
        });
    }
}

impl fmt::Debug for DeviceMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.uuid();
        write!(f, "DeviceMemory({device}, {} bytes at {:#x}, {:?})", self.bytes, self.address, self.form)
    }
}

fn round_up(bytes: u64, to: u64) -> Result<u64, DeviceError> {
    let rounded = bytes.max(1).checked_next_multiple_of(to);
    rounded.ok_or_else(|| DeviceError::invalid("cuMemAlloc", format!("{bytes} bytes are more than there can be")))
}

fn length(call: &'static str, bytes: u64) -> Result<usize, DeviceError> {
    let beyond = |_| DeviceError::invalid(call, format!("{bytes} bytes are more than there can be"));
    usize::try_from(bytes).map_err(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_travels_in_arrows_form() {
        let handle = IpcHandle(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        let wire = handle.to_wire(0x0102_0304);
        assert_eq!(wire[..8], [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(IpcHandle::from_wire(&wire), Some((0x0102_0304, handle)));
        let negative = [0xff; WIRE];
        for bad in [&wire[..71], &negative, &[]] {
            assert_eq!(IpcHandle::from_wire(bad), None);
        }
    }
}
