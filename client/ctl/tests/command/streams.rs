//! Streams from a shell: made, filled, followed in a pipe, and removed.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};

use super::Shell;

fn put(shell: &Shell) -> String {
    shell.file("in", 10);
    shell.says(&["put", "in"])
}

/// A `stream tail` that runs, and what it prints.
fn tail(shell: &Shell, more: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = shell.command(&[&["stream", "tail", "s"], more].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

fn next(lines: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_stream_is_made_filled_shown_and_removed() {
    let shell = Shell::open();
    let id = put(&shell);
    assert_eq!(shell.says(&["stream", "create", "s", "--keep", "3", "--max-age", "90m"]), "");
    assert_eq!(shell.says(&["stream", "append", "s", &id, &id, "--tag", "k=v"]), "0\n1");
    assert_eq!(shell.says(&["stream", "append", "s", &id, &id]), "2\n3");
    assert_eq!(shell.says(&["stream", "commit", "s", "viewers", "2"]), "");
    let shown = shell.json(&["stream", "show", "s"]);
    assert_eq!(
        (&shown["first_offset"], &shown["next_offset"], &shown["max_age_sec"]),
        (&1.into(), &4.into(), &5400.into())
    );
    assert_eq!((&shown["groups"][0]["name"], &shown["groups"][0]["committed_offset"]), (&"viewers".into(), &2.into()));
    let told = shell.says(&["stream", "show", "s"]);
    assert!(told.contains("1h 30m") && told.lines().any(|line| line.starts_with("viewers")), "{told}");
    shell.says(&["stream", "create", "s", "--namespace", "left"]);
    let listed = shell.says(&["stream", "ls"]);
    let names: Vec<_> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["s", "left/s"], "{listed}");
    assert_eq!(shell.says(&["stream", "rm", "s", "none"]), "");
    assert_eq!(shell.json(&["stream", "ls"])["namespace"], "left");
}

#[test]
fn what_is_there_is_printed_and_no_more_than_was_asked_for() {
    let shell = Shell::open();
    let id = put(&shell);
    shell.says(&["stream", "create", "s"]);
    assert_eq!(shell.says(&["stream", "tail", "s", "--no-follow"]), "");
    shell.says(&["stream", "append", "s", &id, &id, &id, "--tag", "k=a\nb"]);
    let lines = shell.says(&["stream", "tail", "s", "--no-follow"]);
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.starts_with("0  ") && lines.contains(&id) && lines.contains("  k=a\\nb"), "{lines}");
    assert!(shell.says(&["stream", "tail", "s", "--from", "1", "-n", "1"]).starts_with("1  "));
    assert_eq!(shell.says(&["stream", "tail", "s", "--from", "latest", "--no-follow"]), "");
    assert_eq!(shell.says(&["stream", "tail", "s", "-n", "0"]), "");
    let entry = shell.json(&["stream", "tail", "s", "--from", "2", "--no-follow"]);
    assert_eq!((&entry["offset"], &entry["id"], &entry["tags"]["k"]), (&2.into(), &id.into(), &"a\nb".into()));
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let shell = Shell::open();
    let id = put(&shell);
    shell.says(&["stream", "create", "s"]);
    shell.says(&["stream", "append", "s", &id, &id, &id]);
    assert_eq!(shell.says(&["stream", "tail", "s", "--group", "g", "-n", "2"]).lines().count(), 2);
    assert!(shell.says(&["stream", "tail", "s", "--group", "g", "--no-follow"]).starts_with("2  "));
    assert_eq!(shell.says(&["stream", "tail", "s", "--group", "g", "--no-follow"]), "");
    assert_eq!(shell.json(&["stream", "show", "s"])["groups"][0]["committed_offset"], 3);
}

#[test]
fn entries_are_printed_as_they_come_until_nobody_reads_them() {
    let shell = Shell::open();
    let id = put(&shell);
    shell.says(&["stream", "create", "s"]);
    let (child, mut lines) = tail(&shell, &[]);
    for offset in ["0  ", "1  "] {
        shell.says(&["stream", "append", "s", &id]);
        assert!(next(&mut lines).starts_with(offset));
    }
    // Nothing more comes: it must notice by itself.
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn an_interrupt_ends_it_quietly_and_a_deletion_with_its_number() {
    let shell = Shell::open();
    let id = put(&shell);
    shell.says(&["stream", "create", "s"]);
    shell.says(&["stream", "append", "s", &id]);
    let (child, mut lines) = tail(&shell, &[]);
    next(&mut lines);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(130), ""));
    let (child, mut lines) = tail(&shell, &[]);
    next(&mut lines);
    shell.says(&["stream", "rm", "s"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("stream s"));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_number() {
    let shell = Shell::open();
    let id = put(&shell);
    assert_eq!(shell.fails(&["stream", "create", ""]).0, 2);
    assert_eq!(shell.fails(&["stream", "create", "a\nb"]).0, 2);
    assert_eq!(shell.fails(&["stream", "create", "s", "--keep", "0"]).0, 2);
    assert_eq!(shell.fails(&["stream", "append", "none", &id]).0, 3);
    assert_eq!(shell.fails(&["stream", "tail", "none"]).0, 3);
    shell.says(&["stream", "create", "a/b"]);
    assert_eq!(shell.fails(&["stream", "create", "a/b"]).0, 4);
    assert_eq!(shell.fails(&["stream", "commit", "a/b", "g", "1"]).0, 2);
}
