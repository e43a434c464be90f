//! What containers run, asked of the program itself.

use std::process::{Command, Output};

use payload_manager_tests::setup::program;
use serde_json::Value;

use crate::kustomize::{OVERLAYS, list, text};
use crate::pod::{Container, SOCKETS, clients, daemon, pods};

const PLACE: &str = "/usr/local/bin/payload-manager";

/// The program's answer, with the variables of a container that its manifest has values for.
fn run(container: Container<'_>, words: &[&str]) -> Output {
    let variables = list(&container.value["env"]).iter();
    let variables = variables.filter_map(|one| Some((text(&one["name"]), one["value"].as_str()?)));
    Command::new(program()).args(words).envs(variables).output().unwrap()
}

/// The words of a list, which begins with these.
fn words<'a>(value: &'a Value, start: &[&str]) -> Vec<&'a str> {
    let all: Vec<&str> = list(value).iter().map(text).collect();
    assert!(all.starts_with(start), "{all:?}");
    all[start.len()..].to_vec()
}

/// The settings that a daemon would run with.
pub(crate) fn settings(container: Container<'_>) -> impl Fn(&str) -> Value {
    assert_eq!(words(&container.value["command"], &[PLACE]), [""; 0]);
    let flags = words(&container.value["args"], &["serve"]);
    let output = run(container, &[&["config", "--json"], &flags[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config: Value = serde_json::from_slice(&output.stdout).unwrap();
    move |name| list(&config["settings"]).iter().find(|one| one["name"] == name).unwrap().clone()
}

#[test]
fn daemons_are_started_with_what_the_program_takes_and_have_time_to_stop() {
    for overlay in OVERLAYS {
        let pods = pods(overlay);
        let daemon = daemon(&pods);
        let setting = settings(daemon);
        assert_eq!(setting("runtime-dir")["value"], SOCKETS);
        assert!(daemon.mount(text(&setting("data-dir")["value"])).is_some(), "{overlay}: data is not kept");
        assert_eq!(setting("gpu-memory")["value"] != "off", overlay == "gpu");
        let (grace, time) = (&setting("shutdown-grace")["seconds"], &daemon.pod.spec["terminationGracePeriodSeconds"]);
        assert!(time.as_f64() > grace.as_f64(), "{overlay}: {time} s to stop within {grace} s");
        assert_eq!(daemon.pod.spec["enableServiceLinks"], false, "variables of services look like settings");
    }
}

#[test]
fn probes_ask_what_the_program_answers() {
    for overlay in OVERLAYS {
        let pods = pods(overlay);
        let daemon = daemon(&pods);
        for (kind, live) in [("startupProbe", false), ("readinessProbe", false), ("livenessProbe", true)] {
            let probe = &daemon.value[kind];
            let flags = words(&probe["exec"]["command"], &[PLACE, "healthcheck"]);
            assert_eq!(flags.contains(&"--live"), live, "{overlay}: {kind}");
            assert!(flags.contains(&format!("--runtime-dir={SOCKETS}").as_str()), "{overlay}: {kind}");
            assert!(probe["timeoutSeconds"].as_u64() > Some(2), "{overlay}: {kind} ends before it could say why");
            // Whether there is a daemon here or not: 2 would be a wrong command line.
            let output = run(daemon, &[&["healthcheck"], &flags[..]].concat());
            assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn a_sidecar_starts_before_the_application_and_a_daemon_of_a_node_stays() {
    for overlay in OVERLAYS {
        let pods = pods(overlay);
        let daemon = daemon(&pods);
        let is_first = list(&daemon.pod.spec["initContainers"]).first() == Some(daemon.value);
        assert_eq!((is_first, daemon.value["restartPolicy"] == "Always"), (overlay == "base", overlay == "base"));
    }
}

#[test]
fn clients_are_let_in_as_other_users_of_the_sockets_group() {
    for overlay in OVERLAYS {
        let pods = pods(overlay);
        let daemon = daemon(&pods);
        let (setting, group) = (settings(daemon), daemon.security("runAsGroup"));
        // Nobody has changed who is let in by itself: members of the daemon's group.
        assert!(setting("allow-gids")["source"]["kind"] == "derived", "{overlay}");
        for client in clients(&pods) {
            let uid = client.security("runAsUser");
            assert!(uid.is_u64() && uid != daemon.security("runAsUser"), "{overlay}: the kernel would protect nothing");
            // The file of the socket has that group, and the kernel tells the daemon all of a peer's.
            let of_pod = &client.pod.spec["securityContext"];
            let further = list(&of_pod["supplementalGroups"]).iter().chain([&of_pod["fsGroup"]]);
            let mut groups = further.chain([client.security("runAsGroup")]);
            assert!(groups.any(|one| one == group), "{overlay}: {} is kept out", client.name());
            let place = list(&client.value["env"]).iter().find(|one| one["name"] == "PAYLOAD_MANAGER_RUNTIME_DIR");
            assert_eq!(place.map(|one| text(&one["value"])), Some(SOCKETS));
        }
    }
}
