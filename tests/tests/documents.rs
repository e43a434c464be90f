//! Tables in the documents that are made from the code: they say what it says. `UPDATE_DOCS=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

use std::fs;
use std::path::{Path, PathBuf};

use payload_manager::config::{Fallback, KEYS, Kind};
use payload_manager::observe::table::METRICS;
use payload_manager_api::Reason;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands in operations.md between these marks is `table`.
fn is(mark: &str, table: &str) {
    let path = root().join("sidecar/docs/operations.md");
    let text = fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {mark} -->\n"), "<!-- end -->");
    let from = text.find(&start).unwrap_or_else(|| panic!("there is no place for {mark}")) + start.len();
    let to = from + text[from..].find(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{}{table}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    assert!(text[from..to] == *table, "{mark} in operations.md is out of date: run this with UPDATE_DOCS=1");
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// One test, because both write to the same file when they are told to.
#[test]
fn the_tables_of_operations_are_those_of_the_code() {
    let mut settings = String::from("| setting | value | default | what it does |\n| --- | --- | --- | --- |\n");
    for key in &KEYS {
        let default = match key.default {
            Fallback::Fixed(text) => format!("`{text}`"),
            Fallback::Derived(how) => cell(how),
        };
        let only = if key.lasting { "" } else { " (a flag alone)" };
        let value = match key.kind {
            Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
            kind => cell(kind.expects()),
        };
        let help = cell(key.help);
        settings.push_str(&format!("| `{}` | {value} | {default} | {help}{only} |\n", key.name));
    }
    is("settings", &settings);

    let source = fs::read_to_string(root().join("api/src/reason/list.rs")).unwrap();
    let meaning = |reason: &Reason| {
        let named = format!("{reason:?} = \"{reason}\"");
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let at = lines.iter().position(|line| line.starts_with(&named)).unwrap_or_else(|| panic!("no {named}"));
        let said = lines[..at].iter().rev().map_while(|line| line.strip_prefix("/// ")).collect::<Vec<_>>();
        said.into_iter().rev().collect::<Vec<_>>().join(" ")
    };
    let mut reasons = String::from("| reason | what it means | worth trying again |\n| --- | --- | --- |\n");
    for reason in Reason::ALL {
        let again = if reason.retryable() { "yes" } else { "" };
        reasons.push_str(&format!("| `{reason}` | {} | {again} |\n", cell(&meaning(reason))));
    }
    is("reasons", &reasons);

    let head = "| metric | for Prometheus | kind | unit | told apart by | what it says |\n| --- | --- | --- | --- | --- | --- |\n";
    let mut metrics = String::from(head);
    for metric in METRICS {
        let apart: Vec<String> = metric.attributes.iter().map(|attribute| format!("`{attribute}`")).collect();
        let (name, page, kind, unit) = (metric.name, metric.prometheus(), metric.kind.word(), metric.unit);
        let (apart, help) = (apart.join(" "), cell(metric.help));
        metrics.push_str(&format!("| `{name}` | `{page}` | {kind} | {unit} | {apart} | {help} |\n"));
    }
    is("metrics", &metrics);
}
