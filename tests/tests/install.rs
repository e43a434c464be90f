//! The script that installs the service: what it puts where, what it leaves, and that what it installs runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use payload_manager_api::core::v1::Tier;
use payload_manager_tests::remains::files_under;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::setup::program;
use payload_manager_tests::{Daemon, Setup, skip};

const UNIT: &str = "usr/local/lib/systemd/system/payload-manager.service";
const DATA: &str = "var/lib/payload-manager";
const SOCKETS: &str = "run/payload-manager";
const DROP_IN: &str = "etc/systemd/system/payload-manager.service.d/override.conf";

fn systemd() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/systemd")
}

fn run<S: AsRef<OsStr>>(root: &Path, word: &str, more: &[S]) -> Output {
    let mut script = Command::new(systemd().join("install.sh"));
    script.arg(word).arg("--root").arg(root).args(more).output().unwrap()
}

fn succeed<S: AsRef<OsStr>>(root: &Path, word: &str, more: &[S]) {
    let output = run(root, word, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn install(root: &Path) {
    let from = program().parent().unwrap().to_owned();
    assert!(from.join("payloadctl").exists(), "not built yet: run `cargo build --bin payloadctl`");
    succeed(root, "install", &[OsStr::new("--from"), from.as_os_str()]);
}

fn files(root: &Path) -> BTreeSet<String> {
    files_under(root).into_iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

/// A daemon that has its folders where the unit says, under this root.
fn setup(root: &Path) -> Setup {
    Setup::new().flag("runtime-dir", root.join(SOCKETS)).flag("data-dir", root.join(DATA))
}

#[test]
fn what_is_installed_is_removed_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    install(root.path());
    let installed = files(root.path());
    for wanted in [
        "usr/local/bin/payload-manager",
        "usr/local/bin/payloadctl",
        UNIT,
        "usr/local/lib/sysusers.d/payload-manager.conf",
        "usr/local/share/bash-completion/completions/payloadctl",
        "usr/local/share/man/man1/payloadctl-put.1",
        "usr/local/share/payload-manager/installed",
    ] {
        assert!(installed.contains(wanted), "{wanted} is not among {installed:?}");
    }
    for installed in ["payload-manager", "payloadctl"] {
        let output = Command::new(root.path().join("usr/local/bin").join(installed)).arg("--version").output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(installed.as_bytes()), "{output:?}");
    }

    // An upgrade over something of an older version's that is no more, beside something of somebody else's.
    let list = root.path().join("usr/local/share/payload-manager/installed");
    let told = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{told}/usr/local/bin/older\n")).unwrap();
    std::fs::write(root.path().join("usr/local/bin/older"), "").unwrap();
    install(root.path());
    assert_eq!(files(root.path()), installed);
    std::fs::write(root.path().join("usr/local/share/man/man1/other.1"), "").unwrap();
    succeed(root.path(), "remove", &[""; 0]);
    assert_eq!(files(root.path()), BTreeSet::from(["usr/local/share/man/man1/other.1".to_owned()]));

    let again = run(root.path(), "remove", &[""; 0]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("nothing is installed"));
    std::fs::remove_dir_all(root.path().join("usr")).unwrap();
    install(root.path());
    succeed(root.path(), "remove", &[""; 0]);
    assert!(is_empty(root.path()), "folders that it has made are gone, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_and_settings_outlive_a_removal_and_not_a_purge() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    std::fs::create_dir_all(root.join("etc/systemd/system/payload-manager.service.d")).unwrap();
    std::fs::create_dir_all(root.join("var/lib")).unwrap();
    std::fs::write(root.join(DROP_IN), "[Service]\nEnvironment=PAYLOAD_MANAGER_RAM=8GiB\n").unwrap();
    install(root);
    let mut daemon: Daemon = setup(root).start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"some bytes").await.unwrap());
    rpc.put(Tier::Disk, b"other bytes").await.unwrap();
    let flags = ["--", "--shm-prefix", daemon.setup().prefix.as_str()].map(str::to_owned);

    let refused = run(root, "purge", &flags);
    assert!(!refused.status.success(), "it runs: {refused:?}");
    assert!(root.join(UNIT).exists(), "and nothing is done");

    assert!(daemon.stop().success());
    succeed(root, "remove", &[""; 0]);
    assert!(root.join(DATA).exists() && root.join(DROP_IN).exists() && !root.join(UNIT).exists());
    install(root);
    daemon.start_again();
    assert_eq!(daemon.rpc().await.get(id).await.unwrap(), b"some bytes");
    assert!(daemon.stop().success());
    succeed(root, "purge", &flags);
    assert!(daemon.shm().is_empty(), "{:?}", daemon.shm());
    assert_eq!(files(root), BTreeSet::new());
    assert!(!root.join(DATA).exists() && !root.join(SOCKETS).exists());
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let name = "systemd_finds_nothing_wrong_with_the_unit";
    if let Err(error) = Command::new("systemd-analyze").arg("--version").output() {
        return skip(name, &format!("no systemd-analyze: {error}"));
    }
    let root = tempfile::tempdir().unwrap();
    install(root.path());
    // Under the same root, as the unit names the program by its place; what it orders itself after is not there.
    let verify = |path: &Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no", "--recursive-errors=no"]).arg("--root").arg(root.path()).arg(path);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (right, said) = verify(Path::new("payload-manager.service"));
    assert!(right && !said.contains("payload-manager"), "{said}");
    // And it would find something.
    let unit = std::fs::read_to_string(root.path().join(UNIT)).unwrap();
    std::fs::write(root.path().join(UNIT), unit.replace("NoNewPrivileges=yes", "NoNewPrivilege=perhaps")).unwrap();
    let (_, said) = verify(Path::new("payload-manager.service"));
    assert!(said.contains("NoNewPrivilege"), "{said}");
}
