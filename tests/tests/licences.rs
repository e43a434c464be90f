//! What the product is built from: licences that may be used, and who alone may depend on the heavy parts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences that ask for no more than being named.
const ALLOWED: [&str; 11] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Tools with a licence that asks for more, with that licence: only tests run them, nothing is built from them.
const TOOLS: [(&str, &str); 1] = [("cbindgen", "MPL-2.0")];

/// Who alone may depend on these by name.
const KEPT_APART: [(&str, &[&str]); 5] = [
    ("rusqlite", &["payload-manager-catalog"]),
    // The bench has it for the plain program that OBJECT is measured against.
    ("object_store", &["payload-manager-tiers", "payload-manager-bench"]),
    ("reqwest", &["payload-manager-tiers"]),
    ("loom", &["payload-manager-shm"]),
    (
        "tonic",
        &[
            "payload-manager-api",
            "payload-manager",
            "payload-manager-client",
            "payload-manager-tests",
            "payload-manager-bench",
        ],
    ),
];

/// These are there in one version; small leaf crates that others pull in may be there in two.
const ONCE: [&str; 12] =
    ["tonic", "prost", "hyper", "h2", "http", "tokio", "tower", "nix", "rusqlite", "tracing", "rustls", "ring"];

fn metadata() -> serde_json::Value {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--all-features"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    serde_json::from_slice(&cargo.stdout).expect("cargo prints JSON")
}

fn packages(metadata: &serde_json::Value) -> Vec<&serde_json::Value> {
    metadata["packages"].as_array().expect("a list").iter().collect()
}

/// Whether one of the ways that an SPDX expression offers is allowed throughout. Parentheses are left out: `A AND (B OR
/// C)` then reads as `A AND B`, or `C`, which is exact enough while each of its parts is on the list or is not.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let all_of = |way: &str| way.split(" AND ").all(|one| ALLOWED.contains(&one.trim()));
    expression.split(" OR ").any(all_of)
}

fn is_tool(package: &serde_json::Value) -> bool {
    TOOLS.iter().any(|(name, licence)| package["name"] == *name && package["license"] == *licence)
}

#[test]
fn tools_are_for_tests_alone() {
    let metadata = metadata();
    for (tool, _) in TOOLS {
        let uses = packages(&metadata).into_iter().flat_map(|p| p["dependencies"].as_array().expect("a list"));
        let kinds: Vec<_> = uses.filter(|used| used["name"] == tool).map(|used| &used["kind"]).collect();
        assert!(!kinds.is_empty(), "nobody uses {tool}: take it out of the rules");
        assert!(kinds.iter().all(|kind| **kind == "dev"), "something is built from {tool}");
    }
}

#[test]
fn every_crate_has_a_licence_that_may_be_used() {
    let metadata = metadata();
    let bad: Vec<String> = packages(&metadata)
        .into_iter()
        .filter(|p| !p["license"].as_str().is_some_and(is_allowed) && !is_tool(p))
        .map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(
        is_allowed("MIT OR Apache-2.0") && is_allowed("(MIT OR GPL-3.0) AND Unicode-3.0") && !is_allowed("GPL-3.0")
    );
}

#[test]
fn heavy_parts_are_kept_apart() {
    let metadata = metadata();
    for (part, owners) in KEPT_APART {
        let users: BTreeSet<&str> = packages(&metadata)
            .into_iter()
            .filter(|p| p["source"].is_null())
            .filter(|p| p["dependencies"].as_array().is_some_and(|d| d.iter().any(|d| d["name"] == part)))
            .filter_map(|p| p["name"].as_str())
            .collect();
        let strangers: Vec<_> = users.iter().filter(|u| !owners.contains(u)).collect();
        assert!(strangers.is_empty(), "{part} is used by {strangers:?}");
    }
}

#[test]
fn what_matters_is_there_in_one_version() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages(&metadata) {
        if let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    for name in ONCE {
        assert_eq!(versions.get(name).map_or(0, BTreeSet::len), 1, "{name}: {:?}", versions.get(name));
    }
}
