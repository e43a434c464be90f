//! A client of the first version in Python, with grpcio and stubs made from the contract's own files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use payload_manager_tests::{Setup, eventually, skip};

/// The Python to use, where it is not `python3`.
const PYTHON: &str = "PAYLOAD_MANAGER_TEST_PYTHON";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn python(words: &[&str]) -> Option<Output> {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    Command::new(python).args(words).output().ok()
}

/// Stubs of every file of the contract, in a folder of their own.
fn stubs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let api = root().join("api").canonicalize().unwrap();
    let mut files = Vec::new();
    find_protos(&api.join("payload"), &mut files);
    let (include, out) = (format!("-I{}", api.display()), folder.path().display());
    let (messages, services) = (format!("--python_out={out}"), format!("--grpc_python_out={out}"));
    let mut words = vec!["-m", "grpc_tools.protoc", include.as_str(), messages.as_str(), services.as_str()];
    words.extend(files.iter().map(String::as_str));
    let made = python(&words).unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

fn find_protos(folder: &Path, found: &mut Vec<String>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            find_protos(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn a_v1_client_in_python_works_over_unix_and_tcp() {
    let name = "a_v1_client_in_python_works_over_unix_and_tcp";
    if !python(&["-c", "import grpc, grpc_tools"]).is_some_and(|output| output.status.success()) {
        return skip(name, &format!("python3, or the one that {PYTHON} names, with grpcio and grpcio-tools"));
    }
    let stubs = stubs();
    let daemon = Setup::new().flag("listen", "127.0.0.1:0").start();
    let own = daemon.shm();
    let client = root().join("tests/compat/v1_client.py").display().to_string();
    let (unix, tcp) = (format!("unix:{}", daemon.socket().display()), daemon.tcp().unwrap().to_string());
    for target in [unix, tcp] {
        let output = python(&[&client, &stubs.path().display().to_string(), &target]).unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{target}:\n{out}\n{err}");
        assert!(out.trim_end().ends_with("every byte was right"), "{target}: {out}");
    }
    eventually("nothing is left of it", || daemon.shm() == own && daemon.disk_files().is_empty());
}
