//! The program as it is built, run the quick way: rows come out, in the form that programs count on, and nothing is left.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use payload_manager_test_cuda::Machine;

/// Its output, and the names that its objects in shared memory begin with.
fn bench(arguments: &[&str]) -> (Output, String) {
    run(Command::new(env!("CARGO_BIN_EXE_payload-bench")).args(arguments))
}

fn run(command: &mut Command) -> (Output, String) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let prefix = format!("pm-bench-{}-", child.id());
    (child.wait_with_output().unwrap(), prefix)
}

fn shared_memory_of(prefix: &str) -> Vec<String> {
    let names = std::fs::read_dir(Path::new("/dev/shm")).unwrap().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|n| n.starts_with(prefix)).collect()
}

#[test]
fn a_quick_run_prints_one_json_object_a_row_with_the_keys_that_programs_count_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let (output, prefix) = bench(&["--quick", "--json", "--dir", dir, "lease.rpc.1", "stats.1m", "cycle.4.errors"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names = Vec::new();
    for line in text.lines() {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let keys: Vec<&str> = row.keys().map(String::as_str).collect();
        let mut expected = ["name", "p50", "p99", "unit", "floor", "floor_p50", "ratio", "target", "holds"];
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert!(row["p50"].is_number() && row["holds"].is_boolean(), "{line}");
        names.push(row["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["lease.rpc.1.quick", "cycle.4.errors.quick", "stats.1m.quick"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folders are gone");
    assert_eq!(shared_memory_of(&prefix), [""; 0]);
}

#[test]
fn figures_of_a_card_are_measured_where_there_is_one_and_asking_for_them_elsewhere_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |environment: &[(&str, &Path)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payload-bench"));
        command.args(["--quick", "--json", "gpu", "lease.gpu", "--dir"]).arg(folder.path());
        run(command.envs(environment.iter().copied()))
    };
    let machine = Machine::with_one(1 << 30);
    let [driver, cards] = machine.environment();
    let (output, prefix) = bench(&[(driver.0, &driver.1), (cards.0, &cards.1)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| -> String {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned()
    };
    let names: Vec<String> = text.lines().map(name).collect();
    assert_eq!(names, ["gpu.spill.256m.quick", "gpu.promote.256m.quick", "lease.gpu.quick"]);
    assert_eq!((machine.used(0), shared_memory_of(&prefix)), (0, Vec::new()));
    let (output, _) = bench(&[(driver.0, Path::new("libcuda-that-nobody-has.so.1"))]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("libcuda-that-nobody-has.so.1"), "{said}");
}

#[test]
fn an_unknown_name_is_refused_with_the_names_that_there_are() {
    let (output, _) = bench(&["no.such"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no.such") && said.contains("lease.rpc.during_spill"), "{said}");
    let (listed, _) = bench(&["--list"]);
    assert!(listed.status.success() && String::from_utf8(listed.stdout).unwrap().contains("spill.64m"));
}
