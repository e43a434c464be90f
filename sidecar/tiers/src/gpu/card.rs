//! A card as the tier needs it: the port that the CUDA driver stands behind, and in tests ordinary memory.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use payload_manager_shm::device::{Device, DeviceError, DeviceMemory, IpcHandle, PinnedBuffer};
use payload_manager_types::DeviceUuid;

/// Gives out memory of one GPU. Every call may block, and may be made from any thread.
pub trait Card: Send + Sync {
    /// Its name for good.
    fn uuid(&self) -> DeviceUuid;

    /// Its number in this process.
    fn ordinal(&self) -> u32;

    /// Whether [`Form::Descriptor`] can be had.
    fn passes_descriptors(&self) -> bool;

    /// Allocates at least so many bytes, to be opened by others in this form.
    ///
    /// # Errors
    /// [`DeviceError::is_out_of_memory`]; else as the driver says.
    fn allocate(&self, bytes: u64, form: Form) -> Result<Arc<dyn Memory>, DeviceError>;

    /// Makes a buffer of the host that the card copies from and to at full speed.
    ///
    /// # Errors
    /// As the driver says.
    fn pin(&self, bytes: usize) -> Result<Box<dyn Buffer>, DeviceError>;

    /// Fails if the card is lost.
    ///
    /// # Errors
    /// As the driver says.
    fn look(&self) -> Result<(), DeviceError>;
}

/// How another process opens an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By a handle, which anybody may pass on, and which needs an IPC and a PID namespace in common.
    Handle,
    /// By a descriptor.
    Descriptor,
}

/// What another process opens an allocation with.
#[derive(Debug)]
pub enum Key {
    /// For `cuIpcOpenMemHandle`.
    Handle(IpcHandle),
    /// For `cuMemImportFromShareableHandle`.
    Descriptor(File),
}

/// An allocation on a card, freed when it is dropped.
pub trait Memory: Send + Sync {
    /// How long it is.
    fn bytes(&self) -> u64;

    /// What another process opens it with.
    ///
    /// # Errors
    /// As the driver says.
    fn key(&self) -> Result<Key, DeviceError>;

    /// Copies bytes there, and returns when they are there.
    ///
    /// # Errors
    /// As the driver says.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies bytes from there, and returns when they are here.
    ///
    /// # Errors
    /// As the driver says.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError>;
}

/// Bytes of the host that a copy goes through.
pub trait Buffer: Send {
    /// All of them, for reading.
    fn bytes(&self) -> &[u8];

    /// All of them, for writing.
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl Card for Device {
    fn uuid(&self) -> DeviceUuid {
        self.uuid()
    }

    fn ordinal(&self) -> u32 {
        self.ordinal()
    }

    fn passes_descriptors(&self) -> bool {
        self.passes_descriptors()
    }

    fn allocate(&self, bytes: u64, form: Form) -> Result<Arc<dyn Memory>, DeviceError> {
        let memory = match form {
            Form::Handle => Device::allocate(self, bytes)?,
            Form::Descriptor => self.allocate_passable(bytes)?,
        };
        Ok(Arc::new(Allocated { memory, form }))
    }

    fn pin(&self, bytes: usize) -> Result<Box<dyn Buffer>, DeviceError> {
        Ok(Box::new(PinnedBuffer::new(self, bytes)?))
    }

    fn look(&self) -> Result<(), DeviceError> {
        self.free_bytes().map(drop)
    }
}

/// Memory of a CUDA device.
struct Allocated {
    memory: DeviceMemory,
    form: Form,
}

impl Memory for Allocated {
    fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    fn key(&self) -> Result<Key, DeviceError> {
        match self.form {
            Form::Handle => self.memory.handle().map(Key::Handle),
            Form::Descriptor => self.memory.descriptor().map(|file| Key::Descriptor(file.into())),
        }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.memory.write(offset, bytes)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        self.memory.read(offset, into)
    }
}

impl Buffer for PinnedBuffer {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Key {
    /// The same once more.
    pub(super) fn again(&self) -> std::io::Result<Self> {
        Ok(match self {
            Self::Handle(handle) => Self::Handle(*handle),
            Self::Descriptor(file) => Self::Descriptor(file.as_fd().try_clone_to_owned()?.into()),
        })
    }
}
