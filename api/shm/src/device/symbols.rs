//! The calls of the CUDA driver API that are used, as they are found in its library.

#![allow(unsafe_code, reason = "declares and finds functions of a C library")]

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::path::Path;

use libloading::Library;

use super::error::LoadError;

/// `CUdeviceptr`.
pub(super) type Address = c_ulonglong;
/// `CUmemGenericAllocationHandle`.
pub(super) type Allocation = c_ulonglong;
/// `CUcontext`, `CUstream`, `CUevent`: of no use but to be handed back.
pub(super) type Opaque = *mut c_void;

/// `CUmemLocation`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Location {
    pub(super) kind: c_int,
    pub(super) id: c_int,
}

/// `CUmemAllocationProp`.
#[repr(C)]
pub(super) struct Properties {
    pub(super) kind: c_int,
    pub(super) handle_types: c_int,
    pub(super) location: Location,
    pub(super) win32: *mut c_void,
    pub(super) flags: [u8; 8],
}

/// `CUmemAccessDesc`.
#[repr(C)]
pub(super) struct Access {
    pub(super) location: Location,
    pub(super) flags: c_int,
}

/// `CUipcMemHandle`, which is passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct WireHandle(pub(super) [u8; 64]);

const _: () = assert!(size_of::<Properties>() == 32 && size_of::<Access>() == 12 && size_of::<WireHandle>() == 64);

macro_rules! calls {
    ($($field:ident = $symbol:literal ($($argument:ty),*);)*) => {
        /// Every call, found.
        #[derive(Debug)]
        pub(super) struct Symbols {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> c_int,)*
            /// What they are in.
            _library: Library,
        }

        impl Symbols {
            /// Loads the library and finds all of them.
            pub(super) fn load(path: &Path) -> Result<Self, LoadError> {
                // SAFETY: loading a library runs its initializers. It is the one that its user named, or the driver that
                // the system has installed, which is made to be loaded by any program.
                let library = unsafe { Library::new(path) }.map_err(|error| {
                    // The loader, which is the source, names the library and what is wrong with it.
                    let what = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                    LoadError::Library { what }
                })?;
                $(
                    // SAFETY: the type is that of the function of this name in the driver API's reference. It is called
                    // only while the library is loaded, which is as long as this value lives.
                    let $field = unsafe {
                        library.get::<unsafe extern "C" fn($($argument),*) -> c_int>(concat!($symbol, "\0").as_bytes())
                    };
                    let $field = *$field.map_err(|_| LoadError::Symbol { library: path.into(), symbol: $symbol })?;
                )*
                Ok(Self { $($field,)* _library: library })
            }
        }
    };
}

calls! {
    init = "cuInit" (c_uint);
    driver_version = "cuDriverGetVersion" (*mut c_int);
    error_name = "cuGetErrorName" (c_int, *mut *const c_char);
    device_count = "cuDeviceGetCount" (*mut c_int);
    device_get = "cuDeviceGet" (*mut c_int, c_int);
    device_name = "cuDeviceGetName" (*mut c_char, c_int, c_int);
    device_uuid = "cuDeviceGetUuid_v2" (*mut [u8; 16], c_int);
    device_total = "cuDeviceTotalMem_v2" (*mut usize, c_int);
    device_attribute = "cuDeviceGetAttribute" (*mut c_int, c_int, c_int);
    context_retain = "cuDevicePrimaryCtxRetain" (*mut Opaque, c_int);
    context_release = "cuDevicePrimaryCtxRelease_v2" (c_int);
    context_push = "cuCtxPushCurrent_v2" (Opaque);
    context_pop = "cuCtxPopCurrent_v2" (*mut Opaque);
    memory_info = "cuMemGetInfo_v2" (*mut usize, *mut usize);
    allocate = "cuMemAlloc_v2" (*mut Address, usize);
    free = "cuMemFree_v2" (Address);
    ipc_export = "cuIpcGetMemHandle" (*mut WireHandle, Address);
    ipc_open = "cuIpcOpenMemHandle_v2" (*mut Address, WireHandle, c_uint);
    ipc_close = "cuIpcCloseMemHandle" (Address);
    granularity = "cuMemGetAllocationGranularity" (*mut usize, *const Properties, c_int);
    create = "cuMemCreate" (*mut Allocation, usize, *const Properties, c_ulonglong);
    release = "cuMemRelease" (Allocation);
    export = "cuMemExportToShareableHandle" (*mut c_void, Allocation, c_int, c_ulonglong);
    import = "cuMemImportFromShareableHandle" (*mut Allocation, *mut c_void, c_int);
    address_reserve = "cuMemAddressReserve" (*mut Address, usize, usize, Address, c_ulonglong);
    address_free = "cuMemAddressFree" (Address, usize);
    map = "cuMemMap" (Address, usize, usize, Allocation, c_ulonglong);
    unmap = "cuMemUnmap" (Address, usize);
    set_access = "cuMemSetAccess" (Address, usize, *const Access, usize);
    host_register = "cuMemHostRegister_v2" (*mut c_void, usize, c_uint);
    host_unregister = "cuMemHostUnregister" (*mut c_void);
    stream_create = "cuStreamCreate" (*mut Opaque, c_uint);
    stream_destroy = "cuStreamDestroy_v2" (Opaque);
    stream_synchronize = "cuStreamSynchronize" (Opaque);
    copy_in = "cuMemcpyHtoDAsync_v2" (Address, *const c_void, usize, Opaque);
    copy_out = "cuMemcpyDtoHAsync_v2" (*mut c_void, Address, usize, Opaque);
    event_synchronize = "cuEventSynchronize" (Opaque);
}
