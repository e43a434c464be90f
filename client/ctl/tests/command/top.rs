//! The figures of a daemon, again and again.

use payload_manager_client::blocking::Client;
use serde_json::{Value, json};

use super::Shell;

#[test]
fn one_look_shows_tiers_leases_and_sessions_without_a_terminal() {
    let shell = Shell::open();
    shell.file("in", 5000);
    let id = shell.says(&["put", "in"]);
    let client = Client::connect(shell.daemon.socket()).unwrap();
    let view = client.read(id.parse().unwrap()).unwrap();
    let text = shell.says(&["top", "--once"]);
    let pid = std::process::id().to_string();
    let has =
        |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.split_whitespace().any(|w| w == *word)));
    assert!(
        has(&["TIER", "CAPACITY"]) && has(&["RAM", "1"]) && has(&["SESSION", "PID"]) && has(&[&pid, "1"]),
        "{text}"
    );
    assert!(text.contains("1 leases") && !text.contains('\x1b'), "{text}");
    drop(view);
}

#[test]
fn programs_get_an_object_a_look_with_rates_from_the_second_on() {
    let shell = Shell::open();
    let text = shell.says(&["top", "--json", "-n", "2", "--interval", "100ms"]);
    let looks: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rates: Vec<&Value> = looks.iter().map(|look| &look["tiers"][0]["payloads_per_second"]).collect();
    assert_eq!(rates, [&json!(null), &json!(0.0)], "{text}");
    assert_eq!((&looks[1]["leases"], &looks[1]["tiers"][0]["tier"]), (&json!(0), &json!("RAM")), "{text}");
}

#[test]
fn too_short_an_interval_is_refused() {
    let shell = Shell::open();
    let (code, text) = shell.fails(&["top", "--interval", "1ms"]);
    assert_eq!((code, text.contains("100ms")), (2, true), "{text}");
}
