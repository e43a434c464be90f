//! Memory of NVIDIA GPUs, both ends: made and exported by the daemon, opened by its clients.
//!
//! It is spoken to by the CUDA driver API, whose library is loaded when somebody asks for it: nothing here needs CUDA to be
//! built, and without a driver [`Driver::load`] is an error that says why. What is here is a safe layer over the few
//! calls that are used; names, numbers and layouts are those of the *CUDA Driver API Reference Manual* (12.x).
//!
//! - [`Device`] is a card, by its UUID; all calls are made in its *primary context*, which the CUDA runtime and the
//!   frameworks over it use too, so that an address from here is good there.
//! - [`DeviceMemory`] is memory there: allocated in one of the two forms that another process can open, or opened from
//!   another process. Its bytes are reached by copies alone; no address of it is ever followed on the host.
//! - [`PinnedBuffer`] is memory of the host that cards copy from and to at full speed.
//!
//! **A fork ends CUDA in the child**: what is dropped there is left alone, and calls fail.
//!
//! Not here: which payload lies where (the GPU tier), and who may open what.

mod driver;
mod error;
mod memory;
mod pinned;
mod symbols;

pub use driver::{Device, Driver};
pub use error::{DeviceError, LoadError};
pub use memory::{DeviceMemory, IpcHandle};
pub use pinned::PinnedBuffer;

/// The environment variable that names the driver's library, for the daemon and for its clients.
pub const LIBRARY_ENV: &str = "PAYLOAD_MANAGER_CUDA_DRIVER";

/// The driver's library, where nothing else is said.
pub const LIBRARY: &str = "libcuda.so.1";
