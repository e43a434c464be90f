//! What is asked for is what the daemon tells: names of metrics, and names of labels.

use std::collections::BTreeSet;

use payload_manager::observe::table::{Kind, METRICS, Metric};

use crate::{asked, board, rules};

/// Words of the language, and what Prometheus itself knows of a series.
const KNOWN: [&str; 5] = ["instance", "job", "le", "up", "payload_manager"];

/// The metric that a name on the page belongs to.
fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| {
        let page = metric.prometheus();
        let parts = ["_bucket", "_count", "_sum"].map(|part| format!("{page}{part}"));
        if metric.kind == Kind::Histogram { parts.iter().any(|part| part == name) } else { page == name }
    })
}

fn labels() -> BTreeSet<String> {
    METRICS.iter().flat_map(|metric| metric.attributes.iter().map(|attribute| attribute.replace('.', "_"))).collect()
}

/// The names in an expression that could be ours: what is quoted is a value.
fn names(expression: &str) -> BTreeSet<String> {
    let bare: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("payload_") || word.starts_with("rpc_");
    words.filter(ours).map(str::to_owned).collect()
}

#[test]
fn board_and_alerts_ask_for_what_there_is() {
    let labels = labels();
    let of_rules: Vec<String> = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    for expression in asked(&board()).iter().chain(&of_rules) {
        for name in names(expression) {
            let known = metric(&name).is_some() || labels.contains(&name) || KNOWN.contains(&name.as_str());
            assert!(known, "{name} is nothing that the daemon tells: {expression}");
        }
    }
}

/// A label that a metric does not have makes an answer of nothing.
#[test]
fn what_is_told_apart_is_told_apart_by_labels_of_its_own_metric() {
    let of_rules: Vec<String> = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    for expression in asked(&board()).iter().chain(&of_rules) {
        let names = names(expression);
        let own: BTreeSet<String> = names
            .iter()
            .filter_map(|name| metric(name))
            .flat_map(|metric| metric.attributes.iter().map(|attribute| attribute.replace('.', "_")))
            .collect();
        let others: Vec<_> = names.iter().filter(|name| metric(name).is_none() && !own.contains(*name)).collect();
        assert!(others.is_empty(), "{others:?} is no label of what is asked for: {expression}");
    }
}

#[test]
fn every_metric_is_on_the_board() {
    let all: BTreeSet<String> = asked(&board()).iter().flat_map(|expression| names(expression)).collect();
    let shown: BTreeSet<&str> = all.iter().filter_map(|name| metric(name)).map(|metric| metric.name).collect();
    let missing: Vec<_> = METRICS.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
