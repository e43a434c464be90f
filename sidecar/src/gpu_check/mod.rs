//! `gpu-check`: what the GPU tier promises, shown on the cards of this machine, between real processes.
//!
//! ```text
//!   gpu-check ──► ground: a daemon of its own, in a folder that goes again
//!       │
//!       ├─ steps ─── floor: plain copies, to compare with      report: lines for people, JSON for programs
//!       │
//!       └──► part: a second process, which opens what the first has written and compares it
//! ```
//!
//! It is what anybody runs on real hardware, ourselves included.

mod ground;
mod part;
mod report;
mod steps;
mod stress;

use std::path::PathBuf;

use payload_manager_shm::device::{Device, Driver, LIBRARY, LIBRARY_ENV};

pub use part::part;

use crate::cli::{Exit, GpuCheckArgs};
use report::Report;

/// Runs the checks.
#[must_use]
pub fn run(args: &GpuCheckArgs) -> Exit {
    let library = std::env::var_os(LIBRARY_ENV).map_or_else(|| PathBuf::from(LIBRARY), PathBuf::from);
    let (driver, devices) = match found(&library) {
        Ok(found) => found,
        Err(why) => {
            Report::nothing(args.json, &why);
            return Exit::NoGpu;
        }
    };
    let mut report = Report::new(args.json, driver.version().unwrap_or(0));
    for device in devices.iter().filter(|device| args.device.is_none_or(|wanted| wanted == device.uuid())) {
        report.begin(device);
        if let Err(why) = steps::all(&mut report, device, args) {
            report.failed("the check itself", &why);
        }
    }
    report.end()
}

/// The driver and every card that can be used.
fn found(library: &std::path::Path) -> Result<(Driver, Vec<Device>), String> {
    let driver = Driver::load(library).map_err(|error| error.to_string())?;
    let mut devices = Vec::new();
    for uuid in driver.uuids() {
        devices.extend(driver.device(uuid).map_err(|error| format!("{uuid}: {error}"))?);
    }
    if devices.is_empty() { Err("the driver knows no GPU".to_owned()) } else { Ok((driver, devices)) }
}
