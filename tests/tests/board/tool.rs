//! What Prometheus' own tool says of them.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use payload_manager_tests::skip;

use crate::{asked, board, example};

/// Runs `promtool` where the examples for Prometheus lie.
fn promtool<S: AsRef<OsStr>>(name: &str, words: &[S]) {
    let Ok(output) = Command::new("promtool").args(words).current_dir(example("prometheus")).output() else {
        return skip(name, "promtool of Prometheus is not on PATH");
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn alerts_fire_when_they_should_and_not_otherwise() {
    promtool("alerts_fire_when_they_should_and_not_otherwise", &["test", "rules", "alerts_test.yaml"]);
}

#[test]
fn the_configuration_is_one() {
    promtool("the_configuration_is_one", &["check", "config", "prometheus.yaml"]);
}

#[test]
fn what_the_board_asks_for_can_be_asked() {
    let mut rules = String::from("groups:\n  - name: board\n    rules:\n");
    for (n, expression) in asked(&board()).iter().enumerate() {
        rules.push_str(&format!("      - record: panel:{n}\n        expr: '{}'\n", expression.replace('\'', "''")));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    fs::write(&file, rules).unwrap();
    promtool("what_the_board_asks_for_can_be_asked", &[OsStr::new("check"), OsStr::new("rules"), file.as_os_str()]);
}
