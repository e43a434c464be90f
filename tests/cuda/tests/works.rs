//! The driver of the tests does what its callers rely on: in one process, between two, and when it should fail.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use payload_manager_test_cuda::{Card, FOLDER, Fault, Machine, library};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// `two.c`, built, and the machine that it runs on.
struct Program {
    machine: Machine,
    folder: TempDir,
}

impl Program {
    fn new(machine: Machine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/two.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g"]).arg(source).arg("-o");
        let made = command.arg(folder.path().join("two")).arg("-ldl").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { machine, folder }
    }

    fn of(bytes: u64) -> Self {
        Self::new(Machine::with_one(bytes))
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(self.folder.path().join("two"));
        command.arg(library()).arg(what).envs(self.machine.environment());
        command
    }

    /// Runs it to a good end; what it printed.
    fn does(&self, what: &str) -> String {
        let Output { status, stdout, stderr } = self.command(what).output().unwrap();
        assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn starts(&self, what: &str) -> Running {
        let mut child = self.command(what).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Running { child, stdin, stdout }
    }

    fn files(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.machine.folder()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("alloc-")).collect()
    }
}

/// One that takes turns with its test.
struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn says(&mut self, what: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), what);
    }

    fn go_on(&mut self) {
        self.stdin.write_all(b"\n").unwrap();
    }

    fn ends(mut self) {
        self.go_on();
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn the_cards_are_those_of_the_machine() {
    let older = Card { uuid: [0xab; 16], bytes: 4 * MIB, vmm: false, name: "An older card".to_owned() };
    Program::new(Machine::new(&[Card::numbered(1, MIB), older])).does("cards");
}

#[test]
fn bytes_are_there_when_they_were_waited_for() {
    Program::of(8 * MIB).does("copies");
}

#[test]
fn the_host_cannot_follow_an_address() {
    let ended = Program::of(8 * MIB).command("follows").output().unwrap();
    assert_eq!(ended.status.signal(), Some(11), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn memory_is_mapped_and_its_access_is_kept() {
    Program::of(8 * MIB).does("maps");
}

#[test]
fn another_process_opens_a_handle_and_a_descriptor() {
    let program = Program::of(8 * MIB);
    program.does("shares");
    assert_eq!(program.machine.used(0), 0);
    assert!(program.files().is_empty(), "{:?}", program.files());
}

#[test]
fn memory_runs_out_and_counts_down() {
    let program = Program::of(8 * MIB);
    assert_eq!(program.machine.used(0), 0);
    let mut running = program.starts("fills");
    for (said, used) in [("full", 8 * MIB), ("half", 2 * MIB), ("empty", 0)] {
        running.says(said);
        assert_eq!((program.machine.used(0), program.machine.used(1)), (used, 0));
        if used > 0 {
            running.go_on();
        }
    }
    running.ends();
}

#[test]
fn what_a_dead_process_had_is_free() {
    let program = Program::of(8 * MIB);
    let mut running = program.starts("waits");
    running.says("full");
    assert_eq!((program.machine.used(0), program.files().len()), (6 * MIB, 1));
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert_eq!(program.machine.used(0), 0);
    program.does("has-all");
    let left = program.files();
    assert_eq!(left.len(), 1, "that of the last one: {left:?}");
}

#[test]
fn faults_are_counted_over_all_processes() {
    let program = Program::of(8 * MIB);
    let fault = |error, skip, times| Fault::Fail { call: Some("cuMemAlloc"), device: Some(0), error, skip, times };
    let answers =
        |count: usize| (0..count).map(|_| program.does("allocates").trim().parse().unwrap()).collect::<Vec<i32>>();
    program.machine.break_it(&[fault(205, 1, Some(2)), fault(999, 3, None)]);
    assert_eq!(answers(7), [0, 205, 205, 0, 0, 999, 999], "the second does not count what the first has failed");
    program.machine.break_it(&[fault(46, 0, Some(1))]);
    assert_eq!(answers(2), [46, 0]);
    program.machine.break_it(&[fault(46, 0, Some(1))]);
    assert_eq!(answers(2), [46, 0], "the same again is another one");
    program.machine.break_it(&[Fault::lost(1, 46), Fault::once("cuMemFree", 46)]);
    assert_eq!(answers(1), [0], "neither is about this");
    program.machine.mend();
    program.machine.mend();
    assert_eq!(answers(1), [0]);
}

#[test]
fn a_wait_that_fails_leaves_nothing_behind() {
    let program = Program::of(8 * MIB);
    let mut running = program.starts("fails-to-wait");
    running.says("ready");
    program.machine.break_it(&[Fault::once("cuStreamSynchronize", 999)]);
    running.ends();
}

#[test]
fn a_lost_card_fails_everything_and_the_others_nothing() {
    let program = Program::new(Machine::new(&[Card::numbered(1, 8 * MIB), Card::numbered(2, 8 * MIB)]));
    let mut running = program.starts("loses");
    running.says("ready");
    program.machine.break_it(&[Fault::lost(0, 719)]);
    running.go_on();
    running.says("lost");
    program.machine.mend();
    running.ends();
}

#[test]
fn copies_are_as_slow_as_they_should_be() {
    let program = Program::of(8 * MIB);
    program.machine.break_it(&[Fault::Slow { device: None, bytes_per_second: 10 * MIB }]);
    program.does("is-slow");
}

#[test]
fn without_a_folder_there_is_no_card() {
    let program = Program::of(8 * MIB);
    let without = program.command("is-without-a-card").env_remove(FOLDER).output().unwrap();
    assert!(without.status.success(), "{}", String::from_utf8_lossy(&without.stderr));
    fs::remove_file(program.machine.folder().join("devices")).unwrap();
    program.does("is-without-a-card");
}
