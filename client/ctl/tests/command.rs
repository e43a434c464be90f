//! The command as a shell sees it: what it prints, where, and the number it ends with; against a daemon of its own.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

#[path = "command/said.rs"]
mod said;
#[path = "command/streams.rs"]
mod streams;
#[path = "command/top.rs"]
mod top;
#[path = "command/why.rs"]
mod why;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use payload_manager::testing::Daemon;
use tempfile::TempDir;

/// Nothing takes this long that works.
const HANGS: Duration = Duration::from_secs(120);

struct Shell {
    daemon: Daemon,
    folder: TempDir,
}

impl Shell {
    fn open() -> Self {
        Self { daemon: Daemon::start().unwrap(), folder: TempDir::new().unwrap() }
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payloadctl"));
        command.arg("--socket").arg(self.daemon.socket()).args(line).current_dir(self.folder.path());
        command
    }

    fn run(&self, line: &[&str]) -> Output {
        self.command(line).stdin(Stdio::null()).output().unwrap()
    }

    /// What it prints when all goes well, without the end of the line.
    fn says(&self, line: &[&str]) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The number it ends with, and what it complains about.
    fn fails(&self, line: &[&str]) -> (i32, String) {
        let output = self.run(line);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn json(&self, line: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.says(&[line, &["--json"]].concat())).unwrap()
    }

    /// A file of this name and length, with no two pages alike.
    fn file(&self, name: &str, len: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..len).map(|n| ((n / 7) ^ (n >> 12)).to_le_bytes()[0]).collect();
        fs::write(self.folder.path().join(name), &bytes).unwrap();
        bytes
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn a_file_comes_back_as_it_was_put() {
    let shell = Shell::open();
    let bytes = shell.file("in", 9_000_001);
    let id = shell.says(&["put", "in"]);
    assert_eq!(shell.run(&["get", &id]).stdout, bytes);
    assert_eq!(shell.says(&["get", &id, "-o", "out"]), "");
    assert_eq!(fs::read(shell.path("out")).unwrap(), bytes);
}

#[test]
fn standard_input_of_any_length_is_a_payload() {
    let shell = Shell::open();
    let mut child = shell.command(&["put", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    let output = child.wait_with_output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shell.run(&["get", id.trim()]).stdout, b"from a pipe");
}

#[test]
fn an_empty_file_is_refused_before_the_daemon_is_asked() {
    let shell = Shell::open();
    shell.file("empty", 0);
    let (code, text) = shell.fails(&["put", "empty"]);
    assert_eq!((code, text.contains("at least one byte")), (2, true), "{text}");
    assert_eq!(shell.fails(&["put", "missing"]).0, 1);
    assert_eq!(shell.says(&["ls", "--json"]), "");
}

#[test]
fn what_was_said_at_put_is_seen_at_stat() {
    let shell = Shell::open();
    shell.file("in", 4096);
    let line = ["put", "in", "--tier", "disk", "--ttl", "2h", "--tag", "a=1", "--tag", "b=x=y", "--dataset", "d"];
    let id = shell.says(&line);
    let info = shell.json(&["stat", &id]);
    assert_eq!((&info["tier"], &info["state"]), (&"DISK".into(), &"DURABLE".into()));
    assert_eq!((&info["size"], &info["dataset"]), (&4096.into(), &"d".into()));
    assert_eq!(info["tags"], serde_json::json!({ "a": "1", "b": "x=y" }));
    assert!(info["expires_at"].is_string() && info["checksum_xxh3_128"].is_string());
    let text = shell.says(&["stat", &id]);
    assert!(text.lines().any(|line| line.starts_with("size") && line.ends_with("4.0 KiB (4096 bytes)")), "{text}");
}

#[test]
fn a_listing_is_newest_first_limited_and_by_tier() {
    let shell = Shell::open();
    shell.file("in", 10);
    let ids: Vec<_> = (0..3).map(|_| shell.says(&["put", "in"])).collect();
    let on_disk = shell.says(&["put", "in", "--tier", "disk"]);
    let table = shell.says(&["ls"]);
    let listed: Vec<_> = table.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(listed, [&on_disk, &ids[2], &ids[1], &ids[0]], "{table}");
    assert_eq!(shell.says(&["ls", "--limit", "2", "--json"]).lines().count(), 2);
    assert_eq!(shell.json(&["ls", "--tier", "disk"])["id"], on_disk);
}

#[test]
fn a_payload_walks_between_tiers_and_its_bytes_stay() {
    let shell = Shell::open();
    let bytes = shell.file("in", 100_000);
    let id = shell.says(&["put", "in"]);
    assert_eq!(shell.json(&["spill", &id, "--wait"])["tier"], "DISK");
    assert_eq!(shell.run(&["get", &id]).stdout, bytes);
    let promoted = shell.json(&["promote", &id, "ram"]);
    assert_eq!(promoted["copies"], serde_json::json!(["RAM", "DISK"]));
    assert_eq!(shell.run(&["get", &id]).stdout, bytes);
    assert_eq!(shell.says(&["spill", &id, "--target", "disk"]), format!("{id} DISK (DISK)"));
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let shell = Shell::open();
    shell.file("in", 10);
    let id = shell.says(&["put", "in"]);
    let gone = "30313233-3435-3637-3839-616263646566";
    assert_eq!(shell.fails(&["stat", gone]).0, 3);
    assert_eq!(shell.fails(&["promote", &id, "gpu"]).0, 4);
    assert_eq!(shell.fails(&["stat", "nonsense"]).0, 2);
    assert_eq!(shell.fails(&["frobnicate"]).0, 2);
    shell.file("large", 65 << 20);
    let (code, text) = shell.fails(&["put", "large"]);
    assert_eq!(code, 6, "{text}");
    let nobody = Command::new(env!("CARGO_BIN_EXE_payloadctl"))
        .args(["stats", "--runtime-dir"])
        .arg(shell.folder.path())
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(5));
}

#[test]
fn the_others_are_carried_out_when_one_of_many_fails() {
    let shell = Shell::open();
    shell.file("in", 10);
    let (a, b) = (shell.says(&["put", "in"]), shell.says(&["put", "in"]));
    let gone = "30313233-3435-3637-3839-616263646566";
    let (code, text) = shell.fails(&["rm", &a, gone, &b]);
    assert_eq!((code, text.contains(gone)), (3, true), "{text}");
    assert_eq!(shell.says(&["ls", "--json"]), "");
}

#[test]
fn errors_are_objects_for_programs() {
    let shell = Shell::open();
    let (code, text) = shell.fails(&["--json", "rm", "30313233-3435-3637-3839-616263646566"]);
    let error: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &error["exit_code"]), (3, &3.into()));
    assert_eq!((&error["reason"], &error["retryable"]), (&"PAYLOAD_NOT_FOUND".into(), &false.into()));
}

#[test]
fn a_file_that_cannot_be_written_is_as_it_was_and_nothing_lies_about() {
    let shell = Shell::open();
    shell.file("in", 10);
    let id = shell.says(&["put", "in"]);
    fs::create_dir(shell.path("folder")).unwrap();
    assert_eq!(shell.fails(&["get", &id, "-o", "folder"]).0, 1);
    assert_eq!(shell.fails(&["get", &id, "-o", "nowhere/out"]).0, 1);
    shell.says(&["get", &id, "-o", "/dev/null"]);
    let mut names: Vec<_> = fs::read_dir(shell.folder.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder", "in"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_link_is_followed_and_an_old_file_replaced() {
    let shell = Shell::open();
    let bytes = shell.file("in", 5000);
    shell.file("old", 3);
    std::os::unix::fs::symlink("old", shell.path("link")).unwrap();
    let id = shell.says(&["put", "in"]);
    shell.says(&["get", &id, "-o", "link"]);
    assert_eq!(fs::read(shell.path("old")).unwrap(), bytes);
    assert!(fs::symlink_metadata(shell.path("link")).unwrap().is_symlink());
}

#[test]
fn a_reader_that_goes_away_early_is_no_error() {
    let shell = Shell::open();
    shell.file("in", 20 << 20);
    let id = shell.says(&["put", "in"]);
    for line in [vec!["get", &id], vec!["ls"]] {
        let mut child = shell.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    }
}

#[test]
fn no_lease_is_left_behind() {
    let shell = Shell::open();
    shell.file("in", 10);
    let id = shell.says(&["put", "in"]);
    shell.says(&["get", &id]);
    assert_eq!(shell.json(&["stats"])["leases"], 0);
    assert_eq!(shell.says(&["rm", &id]), "");
    // What is deleted is gone at once; its memory is given back behind the answer.
    let mut stats = shell.json(&["stats"]);
    let until = Instant::now() + HANGS;
    while stats["backlog_blocks"] != 0 {
        assert!(Instant::now() < until, "never given back: {stats}");
        stats = shell.json(&["stats"]);
    }
    let ram = stats["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == "RAM").unwrap();
    assert_eq!((&ram["payloads"], &ram["free"]), (&0.into(), &ram["capacity"]));
}

#[test]
fn the_daemon_is_found_by_its_folder_too() {
    let shell = Shell::open();
    let folder: &Path = shell.daemon.socket().parent().unwrap();
    for (flag, env) in [(true, None), (false, Some(folder))] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payloadctl"));
        command.arg("stats").env_remove("PAYLOAD_MANAGER_RUNTIME_DIR");
        if flag {
            command.arg("--runtime-dir").arg(folder);
        }
        if let Some(env) = env {
            command.env("PAYLOAD_MANAGER_RUNTIME_DIR", env);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8(output.stdout).unwrap().contains("CAPACITY"));
    }
}

#[test]
fn a_signal_ends_a_command_that_waits() {
    use payload_manager_client::Tier;
    use payload_manager_client::blocking::Client;

    let shell = Shell::open();
    shell.file("in", 10);
    let id = shell.says(&["put", "in"]);
    let client = Client::connect(shell.daemon.socket()).unwrap();
    let payload = id.parse().unwrap();
    // A lease on the copy in RAM: its memory is not free, so that `spill --wait` waits for it.
    let view = client.read(payload).unwrap();
    let mut child = shell.command(&["spill", &id, "--wait"]).stderr(Stdio::piped()).spawn().unwrap();
    while client.get(payload).unwrap().descriptor.tier != Tier::Disk {}
    assert_eq!(child.try_wait().unwrap(), None);
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(143), ""));
    assert!(view.is_valid());
}

#[test]
fn a_pipe_gets_no_colours_unless_it_asks_for_them() {
    let shell = Shell::open();
    shell.file("in", 10);
    shell.says(&["put", "in"]);
    assert!(!shell.says(&["ls"]).contains('\x1b'));
    assert!(!shell.fails(&["stat", "30313233-3435-3637-3839-616263646566"]).1.contains('\x1b'));
    let coloured = shell.says(&["ls", "--color", "always"]);
    assert!(coloured.starts_with('\x1b') && coloured.contains("STATE"), "{coloured}");
}

#[test]
fn a_listing_longer_than_a_page_has_one_heading_and_a_line_a_payload() {
    let shell = Shell::open();
    shell.file("in", 1);
    let files = vec!["in"; 501];
    let ids = shell.says(&[&["put"][..], &files].concat());
    let listed = shell.says(&["ls"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("ID") && lines[0].ends_with("LEASES"), "{}", lines[0]);
    assert_eq!(lines.len(), 502);
    // Newest first, and every cell ends where its heading does.
    assert!(ids.lines().rev().eq(lines[1..].iter().map(|line| &line[..36])));
    assert!(lines.iter().all(|line| line.len() == lines[0].len()));
}

#[test]
fn completions_and_manual_come_from_the_command_line_itself_and_need_no_daemon() {
    let folder = TempDir::new().unwrap();
    let alone = |line: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_payloadctl")).args(line).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let help = alone(&["--help"]);
    let subcommands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next().filter(|_| !line.starts_with("   ")))
        .collect();
    assert!(subcommands.contains(&"put") && subcommands.contains(&"stats"), "{subcommands:?}");
    let page = alone(&["man"]);
    assert!(page.contains(".TH payloadctl 1") && page.contains("no such payload"));
    alone(&["man", "--dir", "man"]);
    for shell in ["bash", "zsh", "fish"] {
        let script = alone(&["completions", shell]);
        for name in &subcommands {
            assert!(script.contains(name), "{shell} does not know {name}");
        }
    }
    for name in subcommands.iter().filter(|name| **name != "help") {
        assert!(folder.path().join("man").join(format!("payloadctl-{name}.1")).exists(), "no page for {name}");
    }
    fs::write(folder.path().join("completions.bash"), alone(&["completions", "bash"])).unwrap();
    let checked = Command::new("bash").args(["-n", "completions.bash"]).current_dir(folder.path()).status().unwrap();
    assert!(checked.success());
}
