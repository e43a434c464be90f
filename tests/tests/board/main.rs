//! The board for Grafana and the alerts for Prometheus: they ask for what the daemon tells, and are what those programs take.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod alerts;
mod expressions;
mod panels;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the examples.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn board() -> Value {
    serde_json::from_str(&fs::read_to_string(example("grafana/payload-manager.json")).unwrap()).unwrap()
}

/// The panels that show something: not the rows.
fn shown(board: &Value) -> Vec<&Value> {
    board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

/// What the panels ask for, with what Grafana would put in for its variables.
fn asked(board: &Value) -> Vec<String> {
    let targets = shown(board).into_iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    expressions.map(|text| text.replace("$__rate_interval", "5m").replace("$instance", ".*")).collect()
}

/// The rules of the alerts.
fn rules() -> Vec<Value> {
    let text = fs::read_to_string(example("prometheus/alerts.yaml")).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    document["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .cloned()
        .collect()
}
