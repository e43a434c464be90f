//! Programs in C and C++, built by every compiler that is here, under AddressSanitizer and UBSan, run against a real daemon.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod built;
mod cpp;
mod heads;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use built::{C11, Dialect, Library, each_compiler};
use payload_manager::testing::Daemon;

/// Runs a program with the daemon's address, and has it end well.
fn passes(name: &str, dialect: &Dialect, file: &str, library: Library) {
    each_compiler(name, dialect, file, library, |program| {
        let daemon = Daemon::start().unwrap();
        let ran = Command::new(program).arg(daemon.socket()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{file}: {}: {said}", ran.status);
    });
}

#[test]
fn a_payload_is_written_and_read_in_place() {
    passes("a_payload_is_written_and_read_in_place", &C11, "tests/c/round_trip.c", Library::Shared);
}

#[test]
fn the_static_library_does_the_same() {
    passes("the_static_library_does_the_same", &C11, "tests/c/round_trip.c", Library::Static);
}

#[test]
fn misuse_is_answered() {
    passes("misuse_is_answered", &C11, "tests/c/misuse.c", Library::Shared);
}

#[test]
fn payloads_are_moved_described_and_listed() {
    passes("payloads_are_moved_described_and_listed", &C11, "tests/c/said.c", Library::Shared);
}

#[test]
fn streams_are_followed() {
    passes("streams_are_followed", &C11, "tests/c/streams.c", Library::Shared);
}

#[test]
fn what_is_read_is_a_tensor_without_a_copy() {
    passes("what_is_read_is_a_tensor_without_a_copy", &C11, "tests/c/tensor.c", Library::Shared);
}

/// Over a stand-in for the driver, whose machine is a process's own: so this starts itself again on one.
#[test]
fn a_payload_on_a_gpu_is_written_read_and_exported() {
    const NAME: &str = "a_payload_on_a_gpu_is_written_read_and_exported";
    if std::env::var_os(payload_manager_test_cuda::FOLDER).is_none() {
        let machine = payload_manager_test_cuda::Machine::with_one(64 << 20);
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME, "--nocapture"]).envs(machine.environment());
        assert!(again.status().unwrap().success());
        assert_eq!(machine.used(0), 0);
        return;
    }
    each_compiler(NAME, &C11, "tests/c/gpu.c", Library::Shared, |program| {
        let driver = payload_manager_test_cuda::library().display().to_string();
        let daemon = Daemon::start_with(&[("gpu-memory", "32MiB"), ("cuda-driver", &driver)]).unwrap();
        let ran = Command::new(program).arg(daemon.socket()).output().unwrap();
        assert!(ran.status.success(), "{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr));
    });
}

#[test]
fn a_child_connects_anew() {
    passes("a_child_connects_anew", &C11, "tests/c/fork.c", Library::Shared);
}

#[test]
fn a_daemon_may_go_and_come_back() {
    each_compiler("a_daemon_may_go_and_come_back", &C11, "tests/c/restart.c", Library::Shared, |program| {
        let mut daemon = Daemon::start().unwrap();
        let mut command = Command::new(program);
        command.arg(daemon.socket()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        let mut go_on = running.stdin.take().unwrap();
        for line in BufReader::new(running.stdout.take().unwrap()).lines() {
            match line.unwrap().as_str() {
                "stop the daemon" => daemon.stop(),
                "start it again" => daemon.start_again().unwrap(),
                other => panic!("it said {other:?}"),
            }
            // One that is gone has said why.
            let _ = go_on.write_all(b"\n");
        }
        let ran = running.wait_with_output().unwrap();
        assert!(ran.status.success(), "{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr));
    });
}
