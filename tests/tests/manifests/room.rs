//! Volumes, and how much room daemons have in them and in memory.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kustomize::{OVERLAYS, list, text};
use crate::pod::{Pod, SOCKETS, clients, daemon, pods};

const MIB: u64 = 1 << 20;

/// A size, as Kubernetes or as the program writes it.
fn bytes(size: &str) -> u64 {
    let (number, unit) = size.split_at(size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len()));
    let unit = match unit.trim_end_matches('B') {
        "Mi" => MIB,
        "Gi" => 1024 * MIB,
        other => panic!("{size}: {other}"),
    };
    number.parse::<u64>().unwrap() * unit
}

fn size(value: &Value) -> u64 {
    bytes(text(value))
}

#[test]
fn what_is_mounted_is_a_volume_and_every_volume_is_mounted() {
    for pod in OVERLAYS.iter().flat_map(|overlay| pods(overlay)) {
        let mounted: BTreeSet<&str> =
            pod.containers().flat_map(|one| one.mounts()).map(|mount| text(&mount["name"])).collect();
        let volumes: BTreeSet<&str> = list(&pod.spec["volumes"]).iter().map(|volume| text(&volume["name"])).collect();
        assert_eq!(mounted, volumes);
    }
}

/// A pod's folders on its node, each with how it comes to be.
fn on_the_node(pod: &Pod) -> Vec<(&str, &str)> {
    let folders = list(&pod.spec["volumes"]).iter().map(|volume| &volume["hostPath"]).filter(|path| path.is_object());
    folders.map(|path| (text(&path["path"]), text(&path["type"]))).collect()
}

#[test]
fn clients_have_the_sockets_and_nothing_else_and_only_to_connect() {
    for overlay in OVERLAYS {
        let pods = pods(overlay);
        let daemon = daemon(&pods);
        for client in clients(&pods) {
            assert_eq!(client.mounts().len(), 1, "{overlay}: {} needs the sockets only", client.name());
            assert_eq!(client.mounts()[0]["readOnly"], true, "{overlay}: {} could replace a socket", client.name());
            let (its, the_daemons) = (client.volume(SOCKETS), daemon.volume(SOCKETS));
            assert_eq!(its["hostPath"]["path"], the_daemons["hostPath"]["path"], "{overlay}: they do not meet");
            let in_one_pod = std::ptr::eq(client.pod, daemon.pod);
            assert_eq!(in_one_pod, its["hostPath"].is_null(), "{overlay}: they do not meet");
        }
    }
}

#[test]
fn what_a_daemon_of_a_node_has_outlives_its_pod() {
    for overlay in ["daemonset", "gpu"] {
        let pods = pods(overlay);
        let made = "DirectoryOrCreate";
        let wanted = [(SOCKETS, made), ("/dev/shm", "Directory"), ("/var/lib/payload-manager", made)];
        let daemon = daemon(&pods);
        assert_eq!(on_the_node(daemon.pod), wanted);
        wanted.iter().for_each(|(path, _)| assert_eq!(daemon.volume(path)["hostPath"]["path"], *path));
        for client in clients(&pods) {
            assert_eq!(on_the_node(client.pod), [(SOCKETS, "Directory")]);
        }
    }
}

/// The rules are those of operations.md, under Sizing.
#[test]
fn there_is_room_for_what_daemons_are_told_to_hold() {
    for overlay in OVERLAYS {
        let pods = pods(overlay);
        let daemon = daemon(&pods);
        let ram = bytes(daemon.flag("ram"));
        let resources = &daemon.value["resources"];
        let limit = size(&resources["limits"]["memory"]);
        assert!(ram + (limit / 8).clamp(32 * MIB, 1024 * MIB) <= limit, "{overlay}: the memory limit binds");
        assert_eq!(resources["requests"]["memory"], resources["limits"]["memory"], "{overlay}: it will be used");
        let (shared, data) = (daemon.volume("/dev/shm"), daemon.volume("/var/lib/payload-manager"));
        if shared["hostPath"].is_null() {
            assert_eq!(shared["emptyDir"]["medium"], "Memory");
            let all = size(&shared["emptyDir"]["sizeLimit"]);
            assert!(ram + (all / 16).clamp(8 * MIB, 256 * MIB) <= all && all < limit, "{overlay}: /dev/shm binds");
            assert!(bytes(daemon.flag("disk")) < size(&data["emptyDir"]["sizeLimit"]), "{overlay}: evicted when full");
        }
    }
}
