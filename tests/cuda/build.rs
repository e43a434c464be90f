//! Makes the library of `driver.c`. It is loaded when tests run, and linked into nothing.

use std::error::Error;
use std::path::PathBuf;

const FLAGS: [&str; 10] = [
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-O1",
    "-fPIC",
    "-fvisibility=hidden",
    "-shared",
    "-pthread",
    // As CUDA's own: what a process has there lives as long as the process.
    "-Wl,-z,nodelete",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=driver.c");
    let library = PathBuf::from(std::env::var("OUT_DIR")?).join("libpayload-manager-test-cuda.so");
    let compiler = cc::Build::new().warnings(false).try_get_compiler()?;
    let mut command = compiler.to_command();
    command.args(FLAGS).arg("driver.c").arg("-o").arg(&library);
    let made =
        command.output().map_err(|error| format!("no C compiler for the tests' CUDA driver: {command:?}: {error}"))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(format!("the tests' CUDA driver can't be built: {command:?}: {}\n{said}", made.status).into());
    }
    Ok(())
}
