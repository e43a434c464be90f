//! Who may import whom: by the crates' manifests, and within the daemon by its files.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{files, has_word, rust};

/// What each of our crates may be built from. What is not here may use everything, and nobody may use it.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("payload-manager-test-cuda", &[]),
    ("payload-manager-types", &[]),
    ("payload-manager-api", &["payload-manager-types"]),
    ("payload-manager-shm", &["payload-manager-types"]),
    ("payload-manager-core", &["payload-manager-types"]),
    ("payload-manager-catalog", &["payload-manager-types", "payload-manager-core"]),
    ("payload-manager-tiers", &["payload-manager-types", "payload-manager-core", "payload-manager-shm"]),
    (
        "payload-manager",
        &[
            "payload-manager-types",
            "payload-manager-api",
            "payload-manager-shm",
            "payload-manager-core",
            "payload-manager-catalog",
            "payload-manager-tiers",
            "payload-manager-client",
        ],
    ),
    ("payload-manager-client", &["payload-manager-types", "payload-manager-api", "payload-manager-shm"]),
    ("payloadctl", &["payload-manager-client"]),
    (
        "payload-manager-ffi",
        &["payload-manager-types", "payload-manager-api", "payload-manager-shm", "payload-manager-client"],
    ),
];

/// Of the core's own: nothing that does I/O, waits, or asks what time it is.
const NOT_IN_CORE: [&str; 9] =
    ["std::fs", "std::net", "std::io", "std::thread", "std::process", "SystemTime", "Instant", "async", "tokio"];

/// A crate's name, what it is built from, and what its tests use besides, of ours.
struct Manifest {
    name: String,
    uses: BTreeSet<String>,
    tests_use: BTreeSet<String>,
    inherits_lints: bool,
}

fn manifests() -> Vec<Manifest> {
    let manifests = files().into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.map(|file| read(&file.text)).collect()
}

fn read(text: &str) -> Manifest {
    let (mut section, mut name) = (String::new(), String::new());
    let (mut uses, mut tests_use) = (BTreeSet::new(), BTreeSet::new());
    let mut inherits_lints = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
        }
        let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
        match section.as_str() {
            "package" if key == "name" => name = line.split('"').nth(1).unwrap().to_owned(),
            "lints" => inherits_lints |= line.replace(' ', "") == "workspace=true",
            _ if !key.starts_with("payload") => {}
            "dev-dependencies" => _ = tests_use.insert(key.to_owned()),
            other if other.ends_with("dependencies") => _ = uses.insert(key.to_owned()),
            _ => {}
        }
    }
    Manifest { name, uses, tests_use, inherits_lints }
}

#[test]
fn no_crate_uses_one_that_it_may_not() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into();
    let found = manifests();
    for (name, _) in MAY_USE {
        assert!(found.iter().any(|manifest| manifest.name == name), "{name} is gone: take it out of the rules");
    }
    for Manifest { name, uses, tests_use, inherits_lints } in found {
        assert!(inherits_lints, "{name} does not take the workspace's lints");
        for used in &uses {
            let Some(allowed) = may_use.get(name.as_str()) else { continue };
            assert!(allowed.contains(&used.as_str()), "{name} may not use {used}");
        }
        for used in uses.iter().chain(&tests_use) {
            assert!(may_use.contains_key(used.as_str()), "{name} uses {used}, which nobody may");
        }
    }
}

#[test]
fn the_core_does_nothing_but_decide() {
    for file in rust().iter().filter(|file| file.is_in("sidecar/core/src") || file.is_in("api/types/src")) {
        let code = file.code();
        for word in NOT_IN_CORE {
            assert!(!has_word(&code, word), "{} names {word}", file.path);
        }
    }
}

/// In the daemon, only files in one of `places` have `word` in their code.
fn only_in(word: &str, places: &[&str]) {
    let daemon: Vec<_> = rust().into_iter().filter(|file| file.is_in("sidecar/src")).collect();
    assert!(daemon.len() > 30, "the daemon is not where it was");
    for file in &daemon {
        let at_home = places.iter().any(|place| file.is_in(place));
        assert!(at_home || !has_word(&file.code(), word), "{} names {word}, which belongs in {places:?}", file.path);
    }
    let somewhere = daemon.iter().any(|file| has_word(&file.code(), word));
    assert!(somewhere, "nobody names {word}: the rule is out of date");
}

#[test]
fn messages_stay_at_the_edge_of_the_daemon() {
    let edge = ["sidecar/src/grpc", "sidecar/src/session", "sidecar/src/archive.rs", "sidecar/src/said.rs"];
    only_in("payload_manager_api", &edge);
}

/// Promise one-truth.
#[test]
fn one_file_says_which_code_an_error_gets() {
    only_in("Code", &["sidecar/src/grpc/status.rs"]);
    only_in("tonic", &["sidecar/src/grpc", "sidecar/src/session"]);
}

#[test]
fn the_daemon_uses_its_own_client_where_it_is_shown_to_people_only() {
    only_in("payload_manager_client", &["sidecar/src/demo", "sidecar/src/gpu_check"]);
}

#[test]
fn one_file_of_the_daemon_knows_every_concrete_type() {
    only_in(
        "RamTier",
        &[
            "sidecar/src/app.rs",
            "sidecar/src/wipe.rs",
            "sidecar/src/pages.rs",
            "sidecar/src/engine/recovery.rs",
            "sidecar/src/engine/recovery",
        ],
    );
}
