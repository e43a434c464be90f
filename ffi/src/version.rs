//! Which library this is.

use std::ffi::c_char;

/// The library's version, as "0.1.0". It belongs to the library and stays for ever.
#[unsafe(no_mangle)]
pub extern "C" fn pm_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of this interface, as in the library's soname. A program that was built against a header with another
/// PM_ABI_VERSION can't use this library.
#[unsafe(no_mangle)]
pub extern "C" fn pm_abi_version() -> u32 {
    PM_ABI_VERSION
}

/// The version of the interface that this header describes.
pub const PM_ABI_VERSION: u32 = 0;

#[cfg(test)]
mod tests {
    #[test]
    fn the_soname_bears_the_version_of_the_interface() {
        assert_eq!(super::PM_ABI_VERSION.to_string(), env!("PM_ABI"));
    }
}
