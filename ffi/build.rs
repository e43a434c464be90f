//! Gives the shared library its soname.

/// The major version of the ABI, as `pm_abi_version` answers it. Raised when a program that was linked against the one
/// before could no longer run.
const ABI: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=PM_ABI={ABI}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libpayload_manager.so.{ABI}");
    }
}
