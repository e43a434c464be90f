//! Why payloads are where they are.

use payload_manager_client::blocking::Client;
use serde_json::{Value, json};

use super::Shell;

fn put(shell: &Shell, more: &[&str]) -> String {
    shell.file("in", 5000);
    shell.says(&[&["put", "in"], more].concat())
}

fn reasons(said: &Value) -> Vec<&str> {
    said["kept_by"].as_array().unwrap().iter().map(|why| why["reason"].as_str().unwrap()).collect()
}

#[test]
fn what_nothing_keeps_goes_to_disk_when_room_is_needed() {
    let shell = Shell::open();
    let id = put(&shell, &["--ttl", "2h"]);
    let said = shell.json(&["why", &id]);
    assert_eq!((&said["evictable"], &said["evicts_to"]), (&json!(true), &json!("DISK")), "{said}");
    assert_eq!((&said["copies"], &said["leases"]), (&json!(["RAM"]), &json!([])), "{said}");
    let text = shell.says(&["why", &id]);
    for part in ["a copy in RAM at /", "no leases", "expires in", "eviction takes it when room is needed to DISK"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn each_thing_that_keeps_a_payload_is_told() {
    let shell = Shell::open();
    let id = put(&shell, &["--no-evict"]);
    shell.says(&["pin", &id]);
    let said = shell.json(&["why", &id]);
    assert_eq!((&said["evictable"], reasons(&said)), (&json!(false), vec!["NO_EVICT", "PINNED"]), "{said}");
    assert!(shell.says(&["why", &id]).contains("pinned until somebody unpins it"));
    let never = put(&shell, &["--priority", "never"]);
    assert_eq!(reasons(&shell.json(&["why", &never])), ["PRIORITY_NEVER"]);
}

#[test]
fn a_lease_is_told_with_the_process_that_has_it() {
    let shell = Shell::open();
    let id = put(&shell, &[]);
    let client = Client::connect(shell.daemon.socket()).unwrap();
    let view = client.read(id.parse().unwrap()).unwrap();
    let said = shell.json(&["why", &id]);
    assert_eq!(reasons(&said), ["LEASED"], "{said}");
    let lease = &said["leases"][0];
    let who = json!([std::process::id(), false, false]);
    assert_eq!(json!([lease["pid"], lease["revoked"], lease["only_keeper"]]), who, "{said}");
    assert!(lease["program"].is_string(), "{said}");
    let text = shell.says(&["why", &id]);
    assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("a lease is on it"), "{text}");
    drop(view);
}

#[test]
fn leases_that_outlive_their_payload_or_its_copy_are_told_too() {
    let shell = Shell::open();
    let client = Client::connect(shell.daemon.socket()).unwrap();
    let spilled = put(&shell, &[]);
    let on_ram = client.read(spilled.parse().unwrap()).unwrap();
    shell.says(&["spill", &spilled]);
    let said = shell.json(&["why", &spilled]);
    assert_eq!((&said["copies"], &said["leases"][0]["only_keeper"]), (&json!(["DISK"]), &json!(true)), "{said}");
    let deleted = put(&shell, &[]);
    let last = client.read(deleted.parse().unwrap()).unwrap();
    shell.says(&["rm", "--force", &deleted]);
    let said = shell.json(&["why", &deleted]);
    assert_eq!((&said["state"], &said["leases"][0]["revoked"]), (&json!("DELETED"), &json!(true)), "{said}");
    assert!(shell.says(&["why", &deleted]).contains("nothing else keeps these bytes"));
    drop((on_ram, last));
}

#[test]
fn a_payload_that_never_was_is_not_found() {
    let shell = Shell::open();
    let (code, text) = shell.fails(&["why", "30313233-3435-3637-3839-616263646566"]);
    assert_eq!((code, text.contains("30313233")), (3, true), "{text}");
}
