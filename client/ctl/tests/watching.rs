//! `watch`, `leases` and `sessions` as a shell sees them, against a daemon of their own.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use payload_manager::testing::Daemon;
use payload_manager_client::blocking::Client;
use serde_json::Value;

struct Shell {
    daemon: Daemon,
    client: Client,
}

impl Shell {
    fn open() -> Self {
        let daemon = Daemon::start().unwrap();
        let client = Client::connect(daemon.socket()).unwrap();
        Self { daemon, client }
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payloadctl"));
        command.arg("--socket").arg(self.daemon.socket()).args(line).stdin(Stdio::null());
        command
    }

    /// What it prints when all goes well.
    fn says(&self, line: &[&str]) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn objects(&self, line: &[&str]) -> Vec<Value> {
        let told = self.says(&[line, &["--json"]].concat());
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn put(&self) -> String {
        self.client.create(5000).unwrap().commit().unwrap().id.to_string()
    }
}

#[test]
fn a_watch_begins_with_what_there_is_and_goes_on_where_it_ended() {
    let shell = Shell::open();
    let id = shell.put();
    let told = shell.objects(&["watch", "--current", "-n", "2"]);
    assert_eq!((&told[0]["event"], &told[0]["id"], &told[0]["token"]), (&"CURRENT".into(), &id.into(), &Value::Null));
    assert_eq!((&told[0]["version"], &told[0]["copies"]), (&2.into(), &serde_json::json!(["RAM"])));
    assert_eq!((told.len(), &told[1]["event"]), (2, &"SNAPSHOT_END".into()));
    let token = told[1]["token"].as_str().unwrap();
    let other = shell.put();
    let text = shell.says(&["watch", "--from", token, "-n", "2"]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["EVENT", "ID", "VERSION", "TIER", "STATE", "SIZE"]);
    assert_eq!(rows[1], ["ALLOCATED", &other, "1", "RAM", "ALLOCATED", "4.9", "KiB"]);
    assert_eq!(rows[2], ["COMMITTED", &other, "2", "RAM", "ACTIVE", "4.9", "KiB"]);
    let refused = shell.command(&["watch", "--from", "nonsense"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
}

#[test]
fn every_event_reaches_a_pipe_at_once_and_a_reader_that_goes_ends_the_watch_quietly() {
    let shell = Shell::open();
    let mut watch = shell.command(&["watch", "--current", "--json"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("SNAPSHOT_END"));
    let id = shell.put();
    for event in ["ALLOCATED", "COMMITTED"] {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(event) && line.contains(&id), "{line}");
    }
    drop(lines);
    // A write after that finds nobody; the first one may not, if another test is just starting a process, which has the
    // pipe too until it has begun.
    for put in 0.. {
        shell.put();
        if watch.try_wait().unwrap().is_some() {
            break;
        }
        assert!(put < 1000, "it goes on without a reader");
    }
    let ended = watch.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[test]
fn leases_are_listed_by_payload_and_with_the_session_that_has_them() {
    let shell = Shell::open();
    let (one, other) = (shell.put(), shell.put());
    let views: Vec<_> = [&one, &one, &other].map(|id| shell.client.read(id.parse().unwrap()).unwrap()).into();
    assert_eq!(shell.objects(&["leases"]).len(), 3);
    let of_one = shell.objects(&["leases", &one]);
    assert_eq!((of_one.len(), &of_one[0]["payload"], &of_one[0]["size"]), (2, &one.clone().into(), &5000.into()));
    assert_eq!(&of_one[0]["revoked"], &Value::from(false));
    let text = shell.says(&["leases", &other]);
    assert!(text.lines().count() == 2 && text.contains(&other) && text.contains("LIVE"), "{text}");
    let sessions = shell.objects(&["sessions"]);
    let own = sessions.iter().find(|session| session["session"] == of_one[0]["session"]).unwrap();
    assert_eq!(own["leases"], Value::from(3), "{own}");
    drop(views);
}
