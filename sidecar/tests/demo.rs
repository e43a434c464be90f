//! The demo as somebody runs it: the program itself, on real files, with nothing left behind whatever happens to it.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_payload-manager");

/// Files of many sizes, `count` of them, and the folder that they are in.
fn files(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..count {
        let len = 1 + (n * 7919) % 100_000;
        let bytes: Vec<u8> = (0..len).map(|i| u8::try_from((i * (n + 3)) % 251).unwrap()).collect();
        fs::write(folder.path().join(format!("{n:04}.bin")), bytes).unwrap();
    }
    folder
}

/// A demo that runs, in a temporary folder of its own.
struct Demo {
    child: Child,
    errors: BufReader<ChildStderr>,
    said: String,
    tmp: TempDir,
}

/// How a demo ended.
struct Ended {
    code: Option<i32>,
    out: String,
    said: String,
}

impl Demo {
    fn start(args: &[&str], path: &Path) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("demo").args(args).arg(path).env("TMPDIR", tmp.path());
        // A setting of the person who runs it, which would make every daemon fail.
        command.env("PAYLOAD_MANAGER_RAM", "none of your business");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, errors, said: String::new(), tmp }
    }

    /// Waits for a sentence that contains `words`.
    fn until(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.errors.read_line(&mut line).unwrap() > 0, "it ended without {words:?}:\n{}", self.said);
            self.said.push_str(&line);
            if line.contains(words) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn end(&mut self) -> Ended {
        self.errors.read_to_string(&mut self.said).unwrap();
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        Ended { code: self.child.wait().unwrap().code(), out, said: self.said.clone() }
    }

    fn shared_memory(&self) -> Vec<String> {
        let prefix = format!("pm-demo-{}-", self.child.id());
        let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }

    fn assert_nothing_is_left(&self) {
        assert_eq!(self.shared_memory(), Vec::<String>::new());
        assert_eq!(fs::read_dir(self.tmp.path()).unwrap().count(), 0);
        assert_eq!(processes(&self.said).into_iter().filter(|pid| lives(*pid)).count(), 0, "{}", self.said);
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for name in self.shared_memory() {
            let _ = fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}

/// The processes that were named.
fn processes(said: &str) -> Vec<u32> {
    let numbers = said.split("process ").skip(1);
    numbers.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).collect()
}

/// Whether there is such a process. One that nobody has waited for yet does not live.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn every_byte_is_right_and_nothing_is_left() {
    let files = files(40);
    fs::write(files.path().join("large.bin"), vec![7; 1 << 20]).unwrap();
    fs::write(files.path().join("empty.bin"), []).unwrap();
    let mut demo = Demo::start(&["--ram", "600KiB"], files.path());
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.said, ended.out);
    for row in [
        "put",
        "append",
        "lease",
        "lease again",
        "lease again, by call",
        "first byte, RAM",
        "first byte, DISK",
        "spill",
        "promote",
    ] {
        assert!(ended.out.contains(&format!("│ {row} ")), "{row} in\n{}", ended.out);
    }
    for text in ["p50", "p99", "41 payloads", "1 are larger than RAM"] {
        assert!(ended.out.contains(text), "{text} in\n{}", ended.out);
    }
    assert!(ended.said.contains("Every byte was right") && ended.said.contains("1 empty"), "{}", ended.said);
    assert_eq!(processes(&ended.said).len(), 3, "{}", ended.said);
    demo.assert_nothing_is_left();
}

#[test]
fn everything_goes_to_an_object_store_and_back_and_nothing_is_left_there() {
    let (files, store) = (files(20), tempfile::tempdir().unwrap());
    fs::write(files.path().join("large.bin"), vec![7; 1 << 20]).unwrap();
    let uri = format!("file://{}", store.path().display());
    let mut demo = Demo::start(&["--ram", "600KiB", "--object-store", &uri], files.path());
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.said, ended.out);
    assert!(ended.said.contains("spilled to OBJECT") && ended.said.contains("Every byte was right"), "{}", ended.said);
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), 0);
    demo.assert_nothing_is_left();

    let refused = Demo::start(&["--object-store", "file:///proc/nowhere"], files.path()).end();
    assert_eq!(refused.code, Some(2), "{}", refused.said);
    assert!(refused.said.contains("/proc/nowhere"), "{}", refused.said);
}

#[test]
fn programs_read_the_results_as_json_and_tiering_had_to_work() {
    let files = files(30);
    let mut demo = Demo::start(&["--json"], files.path());
    let ended = demo.end();
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &json["ok"], &json["payloads"]), (Some(0), &true.into(), &30.into()), "{json:#}");
    assert!(json["made_room"].as_u64().unwrap() > 0, "RAM takes a third: {json:#}");
    assert_eq!(json["measured"]["promote"]["count"], 30);
    assert_eq!(json["measured"]["first_byte_disk"]["count"], 30);
    assert_eq!(json["measured"]["lease_again"]["count"], json["measured"]["lease_by_call"]["count"]);
    demo.assert_nothing_is_left();
}

#[test]
fn a_signal_in_the_middle_leaves_nothing_either() {
    let files = files(600);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut demo = Demo::start(&[], files.path());
        demo.until("A producer");
        demo.signal(signal);
        let ended = demo.end();
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{}", ended.said);
        demo.assert_nothing_is_left();
    }
}

#[test]
fn a_daemon_that_dies_is_told_with_its_last_words_and_nothing_is_left() {
    let files = files(600);
    let mut demo = Demo::start(&["--json"], files.path());
    demo.until("A producer");
    let daemon = processes(&demo.said)[0];
    kill(Pid::from_raw(i32::try_from(daemon).unwrap()), Signal::SIGKILL).unwrap();
    let ended = demo.end();
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("the daemon said") && ended.said.contains("serving"), "{}", ended.said);
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(json["ok"], false, "{json:#}");
    demo.assert_nothing_is_left();
}

#[test]
fn a_demo_that_is_killed_takes_its_processes_with_it() {
    let files = files(600);
    let mut demo = Demo::start(&[], files.path());
    demo.until("A producer");
    let processes = processes(&demo.said);
    demo.signal(Signal::SIGKILL);
    demo.end();
    let deadline = Instant::now() + Duration::from_secs(60);
    while processes.iter().any(|pid| lives(*pid)) {
        assert!(Instant::now() < deadline, "{processes:?} still live");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_kept_can_be_wiped_as_the_demo_says() {
    let files = files(5);
    let mut demo = Demo::start(&["--keep"], files.path());
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(!demo.shared_memory().is_empty());
    let (_, wipe) = ended.said.split_once("payload-manager wipe").unwrap();
    let args: Vec<&str> = wipe.split(" && ").next().unwrap().split_whitespace().collect();
    let wiped = Command::new(PROGRAM).arg("wipe").args(args).output().unwrap();
    assert!(wiped.status.success(), "{}", String::from_utf8_lossy(&wiped.stderr));
    assert!(demo.shared_memory().is_empty());
}

#[test]
fn what_can_not_be_taken_is_refused_before_anything_starts() {
    let empty = tempfile::tempdir().unwrap();
    for path in [empty.path().to_path_buf(), empty.path().join("nothing")] {
        let mut demo = Demo::start(&[], &path);
        let ended = demo.end();
        assert_eq!(ended.code, Some(2), "{}", ended.said);
        demo.assert_nothing_is_left();
    }
}
