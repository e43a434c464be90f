//! Clients in processes of their own: this program, started again as one.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use payload_manager_api::core::v1::PayloadId;
use payload_manager_shm::Lease;

use crate::client::{Client, Peer};

/// Where the daemon listens; set for a client alone.
const SOCKET: &str = "PAYLOAD_MANAGER_TEST_SESSION";
/// What it is to lease.
const LEASE: &str = "PAYLOAD_MANAGER_TEST_LEASE";
/// Whether it hands its socket down to a child.
const HEIR: &str = "PAYLOAD_MANAGER_TEST_HEIR";

/// What a client says once it has its lease.
const HELD: &str = "it is held";

/// An id as it is handed down to a client.
pub(crate) fn to_hex(id: &PayloadId) -> String {
    id.value.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(hex: &str) -> PayloadId {
    let value = (0..16).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
    PayloadId { value }
}

/// A client that holds a lease until it is killed.
pub(crate) struct Holder(Child);

impl Holder {
    /// Starts it and waits until it holds.
    pub(crate) fn start(socket: PathBuf, id: &PayloadId, heir: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "others::holder", "--nocapture"]).env(SOCKET, socket);
        command.env(LEASE, to_hex(id));
        if heir {
            command.env(HEIR, "1");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let held = lines.map_while(Result::ok).any(|line| line.contains(HELD));
        let holder = Self(child);
        assert!(held, "the client has ended without a lease");
        holder
    }

    /// Kills it as abruptly as it gets. What it started lives on.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its heir ends with its standard input, which is ours.
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// The client's part. By itself it has nothing to do.
#[test]
fn holder() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let id = from_hex(&std::env::var(LEASE).unwrap());
    let client: Client = Peer::connect(&PathBuf::from(socket)).hello().unwrap();
    let lease: Lease = client.take(&id);
    let mut heir = None;
    if std::env::var_os(HEIR).is_some() {
        // As a child that is forked has it: the socket is open in it.
        fcntl(&client.peer.socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        heir = Some(Command::new("cat").stdout(Stdio::null()).spawn().unwrap());
    }
    assert!(lease.is_valid());
    println!("{HELD}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    drop((lease, heir.map(|mut heir| heir.wait())));
}
