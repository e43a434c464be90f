//! What goes wrong with cards, and what it means for what lies on them.

use std::path::PathBuf;

/// Why there is no driver to speak to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The library is not there, or can't be loaded.
    #[error("the CUDA driver can't be loaded: {what}")]
    Library {
        /// What the loader said; it names the library.
        what: String,
    },
    /// The library lacks a call.
    #[error("{} is no CUDA driver that can be used: it has no {symbol}", library.display())]
    Symbol {
        /// Which library.
        library: PathBuf,
        /// Which call.
        symbol: &'static str,
    },
    /// The driver says no: there is no card, or it does not fit the kernel's part.
    #[error("the CUDA driver does not start: {0}")]
    Refused(#[from] DeviceError),
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {name} ({code})")]
pub struct DeviceError {
    /// The call of the driver API.
    pub call: &'static str,
    /// Its `CUresult`.
    pub code: i32,
    /// What the driver calls that.
    pub name: String,
}

const INVALID_VALUE: i32 = 1;
const OUT_OF_MEMORY: i32 = 2;
const NOT_SUPPORTED: i32 = 801;

/// After these nothing can be done with the card, or with its context, any more: `CUDA_ERROR_DEINITIALIZED`,
/// `DEVICE_UNAVAILABLE`, `NO_DEVICE`, `INVALID_DEVICE`, `ECC_UNCORRECTABLE`, `NVLINK_UNCORRECTABLE`, `ILLEGAL_ADDRESS`,
/// `CONTEXT_IS_DESTROYED`, `ASSERT`, `HARDWARE_STACK_ERROR`, `ILLEGAL_INSTRUCTION`, `MISALIGNED_ADDRESS`,
/// `INVALID_ADDRESS_SPACE`, `INVALID_PC`, `LAUNCH_FAILED`, `MPS_SERVER_NOT_READY`, `EXTERNAL_DEVICE`, `UNKNOWN`.
const FATAL: [i32; 18] = [4, 46, 100, 101, 214, 220, 700, 709, 710, 714, 715, 716, 717, 718, 719, 807, 911, 999];

impl DeviceError {
    /// Whether there was no memory for it.
    #[must_use]
    pub const fn is_out_of_memory(&self) -> bool {
        self.code == OUT_OF_MEMORY
    }

    /// Whether the card is lost to this process, and what lay there with it.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        FATAL.contains(&self.code)
    }

    /// Whether the card can't do that at all.
    pub(super) const fn is_unsupported(&self) -> bool {
        matches!(self.code, NOT_SUPPORTED | INVALID_VALUE)
    }

    /// What was asked for can't be.
    pub(super) fn invalid(call: &'static str, what: String) -> Self {
        Self { call, code: INVALID_VALUE, name: what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_card_is_no_lost_card() {
        let error = |code| DeviceError { call: "cuMemAlloc", code, name: "CUDA_ERROR_X".to_owned() };
        assert!(error(2).is_out_of_memory() && !error(2).is_loss());
        assert!(error(719).is_loss() && !error(719).is_out_of_memory() && !error(400).is_loss());
        assert_eq!(error(2).to_string(), "cuMemAlloc: CUDA_ERROR_X (2)");
    }
}
