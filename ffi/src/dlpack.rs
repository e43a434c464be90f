//! Views as tensors of other libraries, without a copy: DLPack 1.0, <https://dmlc.github.io/dlpack/latest/c_api.html>.

use std::ffi::c_void;

use payload_manager_client::blocking::PayloadView;

use crate::error::{Failure, pm_status};
use crate::handle::enter;
use crate::input::{Out, Result, array};
use crate::panic::{call, value};
use crate::types::pm_device;
use crate::view::{bytes_of, pm_view};

/// What a tensor's elements are: a DLDataType.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_dtype {
    /// A DLDataTypeCode: 0 is signed, 1 unsigned, 2 floating point, 4 bfloat16, 5 complex, 6 bool.
    pub code: u8,
    /// Bits of one element.
    pub bits: u8,
    /// Elements in a vector: 1, mostly.
    pub lanes: u16,
}

/// `DLDevice`: kDLCPU is 1, kDLCUDA is 2.
#[repr(C)]
struct Device {
    kind: i32,
    id: i32,
}

/// `DLTensor`.
#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device: Device,
    ndim: i32,
    dtype: pm_dtype,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Managed {
    major: u32,
    minor: u32,
    context: *mut Kept,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
    flags: u64,
    tensor: Tensor,
}

const _: () = assert!(size_of::<Managed>() == 80 && size_of::<Tensor>() == 48);

/// `DLPACK_FLAG_BITMASK_READ_ONLY`.
const READ_ONLY: u64 = 1;

/// What a tensor needs for as long as it lives.
struct Kept {
    _view: PayloadView,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

/// # Safety
/// `tensor` was made by pm_view_to_dlpack, and this is its end.
unsafe extern "C" fn delete(tensor: *mut Managed) {
    value((), || {
        if tensor.is_null() {
            return;
        }
        // SAFETY: both were made by `Box::into_raw`, and this is their end, by the caller's promise.
        unsafe {
            let managed = Box::from_raw(tensor);
            drop(Box::from_raw(managed.context));
        }
    });
}

/// A view's bytes as a tensor, row by row, for libraries that take DLPack (version 1.0): no byte is copied. `*out` is a
/// DLManagedTensorVersioned, marked read-only; it has a share of the lease, and is yours until its deleter is called. The
/// view may be released before.
///
/// The shape has `ndim` numbers, none negative, and elements need not fill the payload. On a GPU the consumer's streams are
/// to have finished reading when the deleter is called. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_view_to_dlpack(
    view: *const pm_view,
    dtype: pm_dtype,
    shape: *const i64,
    ndim: u32,
    out: *mut *mut c_void,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (out, shape) = unsafe { (Out::new(out, "out")?, array(shape, ndim as usize, "shape")?) };
        out.set(std::ptr::null_mut());
        let view = PayloadView::clone(&*enter::<PayloadView>(view)?);
        let bytes = bytes_of(&view);
        check(dtype, shape, bytes.size)?;
        let kind = if bytes.device_kind == pm_device::PM_DEVICE_CUDA as u32 { 2 } else { 1 };
        let id = i32::try_from(bytes.device).map_err(|_| Failure::bad("a device of this number has no place there"))?;
        let ndim = i32::try_from(ndim).map_err(|_| Failure::bad(format!("{ndim} dimensions are too many")))?;
        let mut kept = Box::new(Kept { _view: view, shape: shape.to_vec(), strides: strides(shape) });
        let tensor = Tensor {
            data: bytes.data.cast_mut(),
            device: Device { kind, id },
            ndim,
            dtype,
            shape: kept.shape.as_mut_ptr(),
            strides: kept.strides.as_mut_ptr(),
            byte_offset: 0,
        };
        let context = Box::into_raw(kept);
        let managed = Managed { major: 1, minor: 0, context, deleter: Some(delete), flags: READ_ONLY, tensor };
        out.set(Box::into_raw(Box::new(managed)).cast());
        Ok(pm_status::PM_OK)
    })
}

/// Elements from one to the next along each side, the last side's being neighbours. What was checked does not overflow.
fn strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for at in (1..shape.len()).rev() {
        if let (Some(length), Some(next)) = (shape.get(at), strides.get(at).copied())
            && let Some(stride) = strides.get_mut(at - 1)
        {
            *stride = next.saturating_mul((*length).max(1));
        }
    }
    strides
}

/// Whether such a tensor lies within so many bytes.
fn check(dtype: pm_dtype, shape: &[i64], bytes: u64) -> Result<()> {
    let element = u64::from(dtype.bits) * u64::from(dtype.lanes);
    if element == 0 {
        return Err(Failure::bad("an element has no bits: set bits and lanes"));
    }
    let mut elements = 1u64;
    for length in shape {
        let length = u64::try_from(*length).map_err(|_| Failure::bad(format!("{length} is no length of a side")))?;
        elements = elements.checked_mul(length).ok_or_else(|| Failure::bad("more elements than can be counted"))?;
    }
    let needed = elements.checked_mul(element).map(|bits| bits.div_ceil(8));
    match needed {
        Some(needed) if needed <= bytes => Ok(()),
        _ => Err(Failure::bad(format!("{elements} elements of {element} bits do not fit a payload of {bytes} bytes"))),
    }
}
