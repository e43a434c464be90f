//! What is said about payloads, what they were made from, and where they stay.

use std::io::Write as _;
use std::process::Stdio;

use super::Shell;

const GONE: &str = "30313233-3435-3637-3839-616263646566";

fn put(shell: &Shell) -> String {
    shell.file("in", 10);
    shell.says(&["put", "in"])
}

#[test]
fn metadata_of_any_bytes_comes_back_as_it_was_set() {
    let shell = Shell::open();
    let id = put(&shell);
    assert_eq!(shell.says(&["meta", "get", &id]), "", "never set");
    let bytes: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
    std::fs::write(shell.path("bytes"), &bytes).unwrap();
    assert_eq!(shell.says(&["meta", "set", &id, "bytes", "--schema", "raw"]), "");
    assert_eq!(shell.run(&["meta", "get", &id]).stdout, bytes);
    let stored = shell.json(&["meta", "get", &id]);
    assert_eq!((&stored["schema"], stored["data_hex"].as_str().unwrap().len()), (&"raw".into(), 128 << 10));

    let mut child = shell.command(&["meta", "set", &id, "-", "--merge"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{}").unwrap();
    assert!(child.wait().unwrap().success());
    let stored = shell.json(&["meta", "get", &id]);
    assert_eq!((&stored["schema"], &stored["data"]), (&"raw".into(), &"{}".into()), "merged");
    shell.says(&["meta", "set", &id, "--data", ""]);
    assert_eq!(shell.json(&["meta", "get", &id])["schema"], "", "replaced");
}

#[test]
fn what_is_too_much_or_about_nobody_is_refused_with_its_number() {
    let shell = Shell::open();
    let id = put(&shell);
    shell.file("large", (64 << 10) + 1);
    shell.file("larger", 1 << 20);
    for name in ["large", "larger"] {
        let (code, text) = shell.fails(&["meta", "set", &id, name]);
        assert_eq!((code, text.contains("65536")), (2, true), "{text}");
    }
    assert_eq!(shell.fails(&["meta", "set", &id]).0, 2, "neither data nor schema");
    assert_eq!(shell.fails(&["meta", "set", &id, "missing"]).0, 1);
    for line in [vec!["meta", "get", GONE], vec!["meta", "set", GONE, "--data", "x"], vec!["meta", "events", GONE]] {
        let (code, text) = shell.fails(&line);
        assert_eq!((code, text.contains(GONE)), (3, true), "{text}");
    }
}

#[test]
fn a_history_is_a_line_an_event_whatever_is_in_it() {
    let shell = Shell::open();
    let id = put(&shell);
    assert_eq!(shell.says(&["meta", "events", &id]), "");
    shell.says(&["meta", "event", &id, "--data", "a\x1b[2J\nb", "--source", "checker", "--source-version", "2"]);
    shell.says(&["meta", "event", &id, "--data", &"x".repeat(100), "--schema", "text"]);
    let told = shell.says(&["meta", "events", &id]);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].ends_with("Z  checker  2  -  a\\u{1b}[2J\\nb"), "{told}");
    assert!(lines[1].contains("  -  -  text  xxx") && lines[1].ends_with("… (100 B)"), "{told}");
    let first = shell.says(&["meta", "events", &id, "--json"]).lines().next().unwrap().to_owned();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["source"], &first["data"]), (&"checker".into(), &"a\x1b[2J\nb".into()));
}

#[test]
fn a_lineage_is_a_tree_both_ways() {
    let shell = Shell::open();
    let [raw, left, right, both] = [(); 4].map(|()| put(&shell));
    shell.says(&["lineage", "add", &left, "--parent", &raw, "--operation", "crop"]);
    shell.says(&["lineage", "add", &right, "--parent", &raw, "--operation", "crop"]);
    let (as_left, as_right) = (format!("{left}:left"), format!("{right}:right"));
    shell.says(&["lineage", "add", &both, "--parent", &as_left, "--parent", &as_right, "--operation", "join"]);

    let expected = format!(
        "{both}\n├── {left}  join  as left\n│   └── {raw}  crop\n└── {right}  join  as right\n    └── {raw}  crop  (see above)"
    );
    assert_eq!(shell.says(&["lineage", &both]), expected);
    let down = shell.says(&["lineage", &raw, "--down"]);
    assert!(down.starts_with(&raw) && down.lines().count() == 5, "{down}");
    assert_eq!(shell.says(&["lineage", &both, "--depth", "1"]).lines().count(), 3);
    let edges = shell.says(&["lineage", &both, "--json"]);
    assert_eq!(edges.lines().count(), 4);
    let edge: serde_json::Value = serde_json::from_str(edges.lines().next().unwrap()).unwrap();
    assert_eq!((&edge["child"], &edge["parent"], &edge["role"]), (&both.into(), &left.into(), &"left".into()));

    assert_eq!(shell.says(&["lineage", GONE]), GONE, "it may be gone");
    let (code, text) = shell.fails(&["lineage", "add", &raw, "--parent", &right]);
    assert_eq!((code, text.contains("leave that parent out")), (4, true), "{text}");
    assert_eq!(shell.fails(&["lineage", "add", &raw, "--parent", &raw]).0, 2);
    assert_eq!(shell.fails(&["lineage"]).0, 2);
}

#[test]
fn what_is_pinned_stays_until_it_is_unpinned() {
    let shell = Shell::open();
    let (one, other) = (put(&shell), put(&shell));
    assert_eq!(shell.says(&["pin", &one, &other, "--for", "1h"]), "");
    assert_eq!(shell.fails(&["spill", &one]).0, 4);
    assert_eq!(shell.says(&["unpin", &one, GONE]), "");
    shell.says(&["spill", &one]);
    assert_eq!(shell.fails(&["spill", &other]).0, 4);
    let (code, text) = shell.fails(&["pin", GONE, &one]);
    assert_eq!((code, text.contains(GONE)), (3, true), "{text}");
    assert_eq!(shell.fails(&["pin", &one, "--for", "9000000years"]).0, 2);
    shell.says(&["prefetch", &one, "ram"]);
    while shell.json(&["stat", &one])["tier"] != "RAM" {}
    assert_eq!(shell.fails(&["prefetch", &one, "gpu"]).0, 4);
}
