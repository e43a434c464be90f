//! What lies in the image: the programs, what they need, a bill of it, and nothing to do harm with.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use payload_manager_tests::skip;

use crate::file::{USER, assemble, missing};

const PROGRAMS: [&str; 2] = ["usr/local/bin/payload-manager", "usr/local/bin/payloadctl"];
const TEXTS: [&str; 6] = [
    "etc/group",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/ssl/certs/ca-certificates.crt",
    "usr/share/doc/payload-manager/LICENSE",
    "usr/share/doc/payload-manager/sbom.json",
];
/// The daemon's own folders, with their modes.
const OWN: [(&str, u32); 2] = [("run/payload-manager", 0o750), ("var/lib/payload-manager", 0o700)];

/// Everything under `root` but itself, by its path from there; links are not followed.
fn everything(root: &Path, folder: &Path, found: &mut Vec<(PathBuf, Metadata)>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let facts = path.symlink_metadata().unwrap();
        if facts.is_dir() {
            everything(root, &path, found);
        }
        found.push((path.strip_prefix(root).unwrap().to_owned(), facts));
    }
}

fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    (path.starts_with("usr/lib") || path.starts_with("usr/lib64")) && name.contains(".so")
}

fn check(path: &Path, facts: &Metadata) {
    let mode = facts.permissions().mode() & 0o7777;
    let named = |list: &[&str]| list.iter().any(|known| path == Path::new(known));
    if facts.is_symlink() {
        return assert!(named(&["lib", "lib64"]), "{path:?} is a link");
    }
    assert_eq!(mode & 0o6000, 0, "{path:?} lends somebody's rights");
    let own = OWN.iter().find(|(known, _)| path == Path::new(known));
    let owner = if own.is_some() { USER } else { 0 };
    assert_eq!((facts.uid(), facts.gid()), (owner, owner), "{path:?}");
    if let Some((_, wanted)) = own {
        return assert_eq!(mode, *wanted, "{path:?}");
    }
    if path == Path::new("tmp") {
        return assert_eq!(mode, 0o1777);
    }
    assert_eq!(mode & 0o022, 0, "{path:?} can be written to by others");
    if facts.is_file() {
        assert!(named(&PROGRAMS) || named(&TEXTS) || is_library(path), "{path:?} is not needed");
        assert_eq!(mode & 0o111 != 0, named(&PROGRAMS) || (is_library(path) && mode & 0o111 != 0), "{path:?} is run");
    }
}

fn cargo(words: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(words).args(["--offline", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that the programs are built from, by the word of another of Cargo's commands than the bill's.
fn crates() -> BTreeSet<String> {
    let words = ["tree", "--edges", "normal", "--prefix", "none", "-p", "payload-manager", "-p", "payloadctl"];
    let told = cargo(&words);
    let lines = told.lines().filter(|line| !line.is_empty());
    let named = lines.map(|line| {
        let mut words = line.split(' ');
        format!("pkg:cargo/{}@{}", words.next().unwrap(), words.next().unwrap().trim_start_matches('v'))
    });
    named.collect()
}

fn check_bill(root: &Path) {
    let text = std::fs::read_to_string(root.join(TEXTS[5])).unwrap();
    let bill: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let parts = bill["components"].as_array().unwrap();
    let named: BTreeSet<String> = parts.iter().map(|part| part["bom-ref"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named.len(), parts.len(), "something is named twice");
    let left_out: Vec<_> = crates().difference(&named).cloned().collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    for part in parts.iter().filter(|part| part["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"))) {
        assert!(part["version"].is_string() && part["licenses"][0]["expression"].is_string(), "{part}");
        assert!(!["proptest", "loom", "cbindgen"].iter().any(|tool| part["name"] == *tool), "{part} is for tests");
    }
    // What is no crate is named by its path, or in its package.
    for path in ["/libc.so.6", "/libgcc_s.so.1", "/ca-certificates.crt"] {
        assert!(text.contains(path), "{path}");
    }
}

#[test]
fn the_image_holds_the_programs_what_they_need_and_a_bill_of_it() {
    if let Some(missing) = missing() {
        return skip("the_image_holds_the_programs_what_they_need_and_a_bill_of_it", &missing);
    }
    let folder = tempfile::Builder::new().prefix("pmt-").tempdir().unwrap();
    let root = folder.path().join("root");
    assemble(&root);
    let mut found = Vec::new();
    everything(&root, &root, &mut found);
    for (path, facts) in &found {
        check(path, facts);
    }
    let has = |wanted: &&str| found.iter().any(|(path, _)| path == Path::new(wanted));
    let folders = ["dev/shm", "proc", "sys", "tmp", OWN[0].0, OWN[1].0];
    let lacking: Vec<_> = PROGRAMS.iter().chain(&TEXTS).chain(&folders).filter(|wanted| !has(wanted)).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
    check_bill(&root);
}
