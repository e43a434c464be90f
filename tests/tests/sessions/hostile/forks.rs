//! Clients that fork with leases held, and die: their children have the page and the bytes mapped, and hold nothing.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_shm::forked;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, v1};

use crate::client::{Client, Peer, backlog_is_empty, session_socket, sessions_are};
use crate::others::{from_hex, to_hex};

const SOCKET: &str = "PAYLOAD_MANAGER_TEST_FORKING";
const LEASE: &str = "PAYLOAD_MANAGER_TEST_FORKING_LEASE";
const FORKED: &str = "it is forked";

/// A client that has forked. Its child ends with its standard input, which is ours.
struct Forked {
    parent: Child,
    _child: ChildStdin,
}

impl Forked {
    fn start(socket: PathBuf, id: &PayloadId) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "hostile::forks::forking", "--nocapture"]).env(SOCKET, socket).env(LEASE, to_hex(id));
        let mut parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let child = parent.stdin.take().unwrap();
        let forked = lines.map_while(Result::ok).any(|line| line.contains(FORKED));
        let this = Self { parent, _child: child };
        assert!(forked, "it has ended without a child");
        this
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let _ = (self.parent.kill(), self.parent.wait());
    }
}

/// The client's part. By itself it has nothing to do.
#[test]
fn forking() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let id = from_hex(&std::env::var(LEASE).unwrap());
    let client: Client = Peer::connect(&PathBuf::from(socket)).hello().unwrap();
    let (lease, view) = (client.take(&id), client.map(&id));
    let well = forked::in_a_child(|| {
        assert!(!lease.is_valid() && view.len() == 1 << 20, "a child has no part in its parent's leases");
        println!("{FORKED}");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    assert!(well.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_forks_with_leases_held_and_dies_holds_nothing_though_its_child_lives() {
    let mut daemon = Daemon::start();
    for restart in [false, true] {
        let mut rpc = daemon.rpc().await;
        let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 1 << 20)).await.unwrap());
        let mut forked = Forked::start(session_socket(&daemon), &id);
        rpc.spill(id.clone()).await.unwrap();
        assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1);
        if restart {
            daemon.kill();
        }
        forked.parent.kill().unwrap();
        forked.parent.wait().unwrap();
        if restart {
            daemon.start_again();
            rpc = daemon.rpc().await;
        }
        backlog_is_empty(&mut rpc).await;
        sessions_are(&daemon, &rpc, 0).await;
        rpc.delete(id, false).await.unwrap();
        drop(forked);
    }
}
