//! The files of `examples/container`: what the image's description says, and the root file system that its script makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;
use payload_manager_tests::setup::program;

/// The user and the group of the daemon in there.
pub(crate) const USER: u32 = 65532;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/container").canonicalize().unwrap()
}

/// What follows `key` in the image's description, in its order.
fn said(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join("Containerfile")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let found: Vec<String> = lines.map(str::to_owned).collect();
    assert!(!found.is_empty(), "no {key}");
    found
}

/// The last words that follow `key`, which stand there as a list.
fn words(key: &str) -> Vec<String> {
    let last = said(key).pop().unwrap();
    serde_json::from_str(&last[last.find('[').unwrap()..]).unwrap()
}

/// What a container of the image runs.
pub(crate) fn start() -> Vec<String> {
    [words("ENTRYPOINT"), words("CMD")].concat()
}

/// What it is asked by whether it is well.
pub(crate) fn health() -> Vec<String> {
    words("HEALTHCHECK")
}

/// Its environment.
pub(crate) fn variables() -> Vec<(String, String)> {
    let pair = |line: String| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    said("ENV").into_iter().map(pair).collect()
}

/// Its user and group.
pub(crate) fn user() -> String {
    said("USER").pop().unwrap()
}

/// Assembles its root file system from the programs beside the tests.
pub(crate) fn assemble(target: &Path) {
    let operator = program().with_file_name("payloadctl");
    assert!(operator.exists(), "not built yet: run `cargo build --bin payloadctl`, or test the whole workspace");
    let mut script = Command::new(folder().join("rootfs.sh"));
    script.arg(program()).arg(operator).arg(target);
    // All that these programs are built from is there.
    script.env("CARGO", env!("CARGO")).env("CARGO_NET_OFFLINE", "true");
    assert!(script.status().unwrap().success());
}

/// What assembling it and starting something in it needs and is not here.
pub(crate) fn missing() -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("only root can give the image's folders to another user".to_owned());
    }
    let tried: [&[&str]; 3] = [
        &["python3", "--version"],
        &["unshare", "--mount", "--ipc", "--net", "--uts", "--pid", "--fork", "--mount-proc", "true"],
        &["setpriv", "--reuid", "65533", "--clear-groups", "unshare", "--user", "--map-root-user", "true"],
    ];
    tried.into_iter().find_map(|words| {
        let output = Command::new(words[0]).args(&words[1..]).output();
        (!output.as_ref().is_ok_and(|output| output.status.success())).then(|| format!("{words:?}: {output:?}"))
    })
}
