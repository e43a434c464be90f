//! The program as a person meets it: what it prints and how it exits. What it serves is tested elsewhere.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_payload-manager"));
    // Nothing of the caller's own settings counts.
    let inherited = std::env::vars_os().map(|(name, _)| name);
    inherited.filter(|name| name.to_string_lossy().starts_with("PAYLOAD_MANAGER_")).for_each(|name| {
        command.env_remove(name);
    });
    command.env("XDG_RUNTIME_DIR", folder).env("XDG_STATE_HOME", folder).current_dir(folder);
    command.args(words).output().unwrap()
}

/// Exit code, standard output, standard error.
fn said(words: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    said_in(folder.path(), words)
}

fn said_in(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let output = run(folder, words);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_version_is_the_packages() {
    let (code, out, _) = said(&["--version"]);
    assert_eq!((code, out), (0, format!("payload-manager {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn no_command_is_a_usage_error_that_lists_them() {
    let (code, _, err) = said(&[]);
    assert_eq!(code, 2);
    assert!(["serve", "config", "demo", "wipe"].iter().all(|command| err.contains(command)), "{err}");
    assert!(!err.contains("demo-part"), "what is for the program alone is not shown: {err}");
}

#[test]
fn an_unknown_flag_exits_with_2_and_names_the_nearest() {
    let (code, out, err) = said(&["serve", "--data-folder", "/x"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--data-dir"), "{err}");
}

#[test]
fn an_unknown_key_in_the_file_exits_with_2_and_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pm.toml"), "ram = \"1GiB\"\nlisten-on = \"off\"\n").unwrap();
    let (code, _, err) = said_in(folder.path(), &["serve", "--config", "pm.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("listen-on") && err.replace("listen-on", "").contains("listen"), "{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn the_configuration_in_force_is_printed_with_its_sources() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pm.toml"), "disk = \"1GiB\"\n").unwrap();
    let (code, out, err) = said_in(folder.path(), &["config", "--config", "pm.toml", "--ram", "4096"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("ram = \"4KiB\"") && out.contains("disk = \"1GiB\""), "{out}");
    assert!(out.contains("pm.toml") && out.contains("--ram"), "{out}");
    // What it prints is what it reads.
    std::fs::write(folder.path().join("again.toml"), &out).unwrap();
    let (code, again, err) = said_in(folder.path(), &["config", "--config", "again.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(again.contains("ram = \"4KiB\"") && again.contains("disk = \"1GiB\""), "{again}");
}

#[test]
fn the_configuration_is_printed_for_programs_too() {
    let (code, out, err) = said(&["config", "--json"]);
    assert_eq!(code, 0, "{err}");
    let config: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(config.is_object(), "{out}");
}

#[test]
fn a_value_that_makes_no_sense_exits_with_2_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [["--ram", "lots"], ["--listen", "0.0.0.0:1"], ["--shm-prefix", "a/b"], ["--log", "inof"]] {
        let (code, _, err) = said_in(folder.path(), &["serve", flags[0], flags[1]]);
        assert_eq!(code, 2, "{flags:?}");
        assert!(err.contains(flags[0]), "{err}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn wiping_without_a_yes_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/keep"), "me").unwrap();
    let (code, _, _) = said_in(folder.path(), &["wipe", "--data-dir", "data"]);
    assert_eq!(code, 1);
    assert!(folder.path().join("data/keep").exists());
}
