//! `payload-manager gpu-check`, over the stand-in: that it finds what it looks for, and what it does without a card.

use std::process::{Command, Output};

use payload_manager_test_cuda::{Fault, Machine};
use payload_manager_tests::setup::program;
use payload_manager_tests::skip;
use serde_json::Value;

use crate::{MIB, cards};

fn check(machine: &Machine, words: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(["gpu-check", "--json", "--size", "3MiB"]).args(words).envs(machine.environment());
    command.output().unwrap()
}

/// The checks, and what came of each. What can't be checked here is skipped, by its name.
fn checks(output: &Output) -> Vec<(String, bool)> {
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |check: &Value| {
        let name = check["check"].as_str().unwrap();
        if check["passed"].is_null() {
            skip(name, check["why"].as_str().unwrap());
        }
        (name.to_owned(), check["passed"].as_bool().unwrap_or(true))
    };
    all["devices"][0]["checks"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_card_that_works_passes_every_check_and_is_left_as_it_was() {
    let machine = Machine::new(&cards(2, 1024 * MIB));
    let output = check(&machine, &["--device", &crate::card(2), "--stress", "1s"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let checks = checks(&output);
    assert!(checks.len() == 13 && checks.iter().all(|(_, passed)| *passed), "{checks:?}");
    assert_eq!((machine.used(0), machine.used(1)), (0, 0));
}

#[test]
fn a_card_that_does_not_is_found_out() {
    let machine = Machine::new(&cards(1, 1024 * MIB));
    machine.break_it(&[Fault::Fail {
        call: Some("cuIpcOpenMemHandle"),
        device: None,
        error: 400,
        skip: 0,
        times: None,
    }]);
    let output = check(&machine, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let failed: Vec<String> = checks(&output).into_iter().filter(|(_, passed)| !passed).map(|(name, _)| name).collect();
    assert_eq!(failed, ["an allocation opened by its CUDA IPC handle in a second process"]);
}

#[test]
fn without_a_driver_it_says_so_with_a_code_of_its_own() {
    let mut command = Command::new(program());
    command.args(["gpu-check", "--json"]).env("PAYLOAD_MANAGER_CUDA_DRIVER", "libcuda-that-nobody-has.so.1");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["gpu"], false);
    assert!(said["why"].as_str().unwrap().contains("libcuda-that-nobody-has.so.1"), "{said}");
}
