//! What came of the checks: a line each as they go, and all of it as JSON at the end.

use std::io::Write as _;

use payload_manager_shm::device::Device;
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::config::units::size_for_people;

/// Collects results.
pub(super) struct Report {
    json: bool,
    driver: i32,
    devices: Vec<Value>,
    checks: Vec<Value>,
    current: Option<Value>,
    failed: usize,
}

impl Report {
    pub(super) fn new(json: bool, driver: i32) -> Self {
        Self { json, driver, devices: Vec::new(), checks: Vec::new(), current: None, failed: 0 }
    }

    /// There was nothing to check.
    pub(super) fn nothing(json: bool, why: &str) {
        if json {
            say(&format!("{:#}", json!({ "gpu": false, "why": why })));
        }
        eprintln!("payload-manager: no GPU was checked: {why}");
    }

    /// From here on it is about this card.
    pub(super) fn begin(&mut self, device: &Device) {
        self.close();
        self.line(&format!("{}, {}, {}", device.uuid(), device.name(), size_for_people(device.bytes())));
        self.current = Some(json!({
            "device": device.uuid().to_string(),
            "name": device.name(),
            "bytes": device.bytes(),
            "passes_descriptors": device.passes_descriptors(),
        }));
    }

    /// Something held, and how fast it was.
    pub(super) fn passed(&mut self, what: &str, figures: Value) {
        let told = match &figures {
            Value::Object(figures) => {
                figures.iter().map(|(name, value)| format!("  {name} {}", shown(value))).collect()
            }
            _ => String::new(),
        };
        self.line(&format!("  ok      {what}{told}"));
        self.checks.push(json!({ "check": what, "passed": true, "figures": figures }));
    }

    /// Something did not hold.
    pub(super) fn failed(&mut self, what: &str, why: &str) {
        self.line(&format!("  FAILED  {what}: {why}"));
        self.checks.push(json!({ "check": what, "passed": false, "why": why }));
        self.failed += 1;
    }

    /// Something can't be checked here, and says nothing for or against.
    pub(super) fn left_out(&mut self, what: &str, why: &str) {
        self.line(&format!("  not run {what}: {why}"));
        self.checks.push(json!({ "check": what, "passed": null, "why": why }));
    }

    fn line(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { say(text) }
    }

    fn close(&mut self) {
        if let Some(mut device) = self.current.take() {
            if let Value::Object(fields) = &mut device {
                fields.insert("checks".to_owned(), Value::Array(std::mem::take(&mut self.checks)));
            }
            self.devices.push(device);
        }
    }

    pub(super) fn end(mut self) -> Exit {
        self.close();
        let passed = self.failed == 0 && !self.devices.is_empty();
        if self.json {
            let (version, driver) = (env!("CARGO_PKG_VERSION"), self.driver);
            let all =
                json!({ "gpu": true, "passed": passed, "version": version, "cuda": driver, "devices": self.devices });
            say(&format!("{all:#}"));
        } else if self.devices.is_empty() {
            say("no such GPU");
        } else {
            say(&if passed { "all of it holds".to_owned() } else { format!("{} checks failed", self.failed) });
        }
        if passed { Exit::Success } else { Exit::Failure }
    }
}

/// A figure for people.
fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number.fract() != 0.0 => format!("{number:.2}"),
        _ => value.to_string(),
    }
}

/// Who does not want to read it does not have to.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
