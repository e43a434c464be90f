//! `payload-manager healthcheck`: what a probe is told.

use std::path::Path;
use std::process::Command;

use payload_manager_api::core::v1::Tier;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::setup::program;
use payload_manager_tests::{Daemon, Setup, eventually};

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

/// A file system that is full, or fails, as far as the daemon can tell: it may write no file beyond `bytes`.
fn may_write(daemon: &Daemon, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let done = Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), &limit]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// A daemon whose catalog can't be written is not ready, and is alive: to kill it would help nobody.
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_catalog_cannot_be_written_is_alive_and_not_ready() {
    // The signal that comes with that limit would end it.
    let daemon = Setup::new().wrapper(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]).start();
    let folder = daemon.setup().runtime_dir();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"here").await.unwrap());
    assert_eq!(check(&folder, &[]).0, Some(0));
    may_write(&daemon, "4096");
    let refused = rpc.create_stream("more").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    eventually("it is not ready", || check(&folder, &[]).0 == Some(1));
    let (code, said) = check(&folder, &["--live"]);
    assert_eq!((code, said.contains("not serving")), (Some(0), true), "{said}");
    assert_eq!(rpc.get(id).await.unwrap(), b"here", "what there is can be read");
    may_write(&daemon, "unlimited");
    rpc.create_stream("more").await.unwrap();
    eventually("it is ready again", || check(&folder, &[]).0 == Some(0));
}
