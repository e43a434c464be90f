//! A client in a container: mount, IPC, PID and user namespaces of its own, an empty `/dev/shm` of its own, none of the
//! daemon's folders but that of the sockets; and once more with another clock. Descriptors are all that it needs.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload_manager_api::admin::v1::ListSessionsRequest;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_client::DataPath;
use payload_manager_client::blocking::{Client, PayloadView};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, skip, v1};

use crate::client::{backlog_is_empty, plain, sessions_are};
use crate::others::{from_hex, to_hex};

const LENGTH: usize = 1 << 20;
/// Where the sockets are in there.
const SOCKETS: &str = "/mnt";
/// What it is to read, set for a client in a container alone: in RAM, and in a file.
const IDS: &str = "PAYLOAD_MANAGER_TEST_CONTAINER";

/// Hides what is the host's, and becomes the client.
const HIDE: &str =
    r#"mount --bind "$1/run" /mnt && mount -t tmpfs none /dev/shm && mount -t tmpfs none "$1" && shift && exec "$@""#;

const SPACES: [&str; 7] = ["--user", "--map-root-user", "--mount", "--ipc", "--pid", "--fork", "--mount-proc"];
const OTHER_CLOCK: [&str; 3] = ["--time", "--monotonic", "86400"];

fn unshare(clock: bool) -> Command {
    let mut command = Command::new("unshare");
    command.args(SPACES).arg("--kill-child").args(OTHER_CLOCK.iter().filter(|_| clock)).arg("--");
    command
}

/// A client in there.
struct Contained {
    child: Child,
    say: ChildStdin,
    heard: Lines<BufReader<ChildStdout>>,
}

impl Contained {
    fn start(daemon: &Daemon, ids: &[&PayloadId], clock: bool) -> Self {
        let ids: Vec<String> = ids.iter().map(|id| to_hex(id)).collect();
        let mut command = unshare(clock);
        command
            .args(["sh", "-c", HIDE, "hide"])
            .arg(daemon.setup().folder.path())
            .arg(std::env::current_exe().unwrap());
        command.args(["--exact", "container::contained", "--nocapture"]).env(IDS, ids.join(","));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, heard) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, say, heard }
    }

    /// The payload that it says it has made.
    fn made(&mut self) -> PayloadId {
        let told =
            self.heard.by_ref().map_while(Result::ok).find_map(|line| Some(line.split_once("made: ")?.1.to_owned()));
        from_hex(&told.expect("it has ended, and says why above"))
    }

    fn go_on(&mut self) {
        self.say.write_all(b"\n").unwrap();
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

fn wait_for_word() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn make(client: &Client, seed: u64) {
    let mut payload = client.create(LENGTH as u64).unwrap();
    payload.copy_from_slice(&v1::pattern(seed, LENGTH));
    let id = payload.commit().unwrap().id;
    assert_eq!(*client.read(id).unwrap(), v1::pattern(seed, LENGTH)[..]);
    println!("made: {}", to_hex(&id.into()));
}

/// The client's part. By itself it has nothing to do.
#[test]
fn contained() {
    let Ok(ids) = std::env::var(IDS) else { return };
    assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0, "nothing of the host's is to be seen");
    let client = Client::connect(Path::new(SOCKETS)).unwrap();
    assert_eq!(client.path(), DataPath::Session);
    let ids: Vec<_> = ids.split(',').map(|hex| plain(&from_hex(hex))).collect();
    let right = |views: &[PayloadView]| {
        (1..).zip(views).for_each(|(seed, view)| assert!(view.is_valid() && **view == v1::pattern(seed, LENGTH)[..]));
    };
    let views: Vec<PayloadView> = ids.iter().map(|id| client.read(*id).unwrap()).collect();
    right(&views);
    make(&client, 3);
    wait_for_word();
    // There is another daemon now, and what was read has moved.
    right(&views);
    let again: Vec<PayloadView> = ids.iter().map(|id| client.read(*id).unwrap()).collect();
    right(&again);
    make(&client, 4);
    drop(again);
    wait_for_word();
    right(&views);
}

/// The process that has the session, as the daemon sees it.
async fn pid_of_the_session(rpc: &mut Rpc) -> Pid {
    let listed = rpc.admin.list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner().sessions;
    let [only] = &listed[..] else { panic!("{listed:?}") };
    Pid::from_raw(i32::try_from(only.pid).unwrap())
}

async fn live_in_a_container(clock: bool) {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let in_ram = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, LENGTH)).await.unwrap());
    let in_a_file = id_of(&rpc.put(Tier::Disk, &v1::pattern(2, LENGTH)).await.unwrap());
    let mut client = Contained::start(&daemon, &[&in_ram, &in_a_file], clock);
    let made = client.made();
    assert_eq!(rpc.get(made.clone()).await.unwrap(), v1::pattern(3, LENGTH));
    assert_eq!(rpc.stats().await.unwrap().live_leases, 2);
    rpc.spill(in_ram.clone()).await.unwrap();
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1, "it reads what was moved");
    client.go_on();
    let later = client.made();
    assert_eq!(rpc.get(later.clone()).await.unwrap(), v1::pattern(4, LENGTH));
    // Where the daemon can't see its number, its end is seen all the same; here it can.
    kill(pid_of_the_session(&mut rpc).await, Signal::SIGKILL).unwrap();
    backlog_is_empty(&mut rpc).await;
    sessions_are(&daemon, &rpc, 0).await;
    for id in [in_ram, in_a_file, made, later] {
        rpc.delete(id, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_a_container_makes_reads_and_keeps_leases_over_a_restart() {
    let allowed = unshare(false).arg("true").output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        let name = "a_client_in_a_container_makes_reads_and_keeps_leases_over_a_restart";
        return skip(name, &format!("no namespaces for users: {allowed:?}"));
    }
    live_in_a_container(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_a_container_with_another_clock_keeps_its_leases_as_long() {
    let allowed = unshare(true).arg("true").output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        let name = "a_client_in_a_container_with_another_clock_keeps_its_leases_as_long";
        return skip(name, &format!("no namespaces for time: {allowed:?}"));
    }
    live_in_a_container(true).await;
}
