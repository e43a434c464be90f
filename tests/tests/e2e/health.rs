//! `payload-manager healthcheck`: what a probe is told.

use std::path::Path;
use std::process::Command;

use payload_manager_tests::Daemon;
use payload_manager_tests::setup::program;

fn check(runtime_dir: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program());
    let output = command.arg("healthcheck").args(words).arg("--runtime-dir").arg(runtime_dir).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_daemon_that_serves_is_healthy_and_one_that_is_gone_is_not() {
    let mut daemon = Daemon::start();
    let folder = daemon.setup().runtime_dir();
    for words in [&[][..], &["--live"], &["--timeout", "5s"]] {
        let (code, said) = check(&folder, words);
        assert_eq!((code, said.contains("serving")), (Some(0), true), "{said}");
    }
    daemon.kill();
    for words in [&[][..], &["--live"]] {
        let (code, said) = check(&folder, words);
        assert_eq!((code, said.contains("control.sock")), (Some(1), true), "{said}");
    }
}

/// Whoever listens there without saying anything is no daemon that answers.
#[test]
fn one_that_does_not_answer_is_given_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let silent = std::os::unix::net::UnixListener::bind(folder.path().join("control.sock")).unwrap();
    let (code, said) = check(folder.path(), &["--live", "--timeout", "100ms"]);
    assert_eq!(code, Some(1), "{said}");
    drop(silent);
}
