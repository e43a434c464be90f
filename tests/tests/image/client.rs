//! A client in a container of its own: this program, started again as one. Nothing of the daemon's is there but the folder of
//! the sockets, and it is let in for its group alone.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use payload_manager_api::core::v1::PayloadId as WireId;
use payload_manager_client::DataPath;
use payload_manager_client::blocking::Client;
use payload_manager_tests::v1;
use payload_manager_types::PayloadId;

use crate::pod::Pod;

const LENGTH: usize = 1 << 20;
/// Where the sockets are in there.
const SOCKETS: &str = "/mnt";
/// Set for a client alone.
const CLIENT: &str = "PAYLOAD_MANAGER_TEST_IMAGE_CLIENT";

/// Hides what is the host's, and becomes the client, as another user, who may not be able to reach this program: hence the
/// descriptor.
const HIDE: &str = r#"
exec 9<"$2" &&
mount --bind "$1/run" /mnt && mount -t tmpfs none /dev/shm && mount -t tmpfs none "$1" && shift 2 &&
exec setpriv --reuid 65533 --regid 65532 --clear-groups \
    unshare --user --map-root-user --ipc --net --pid --fork --kill-child --mount-proc -- /proc/self/fd/9 "$@"
"#;

pub(crate) struct Elsewhere {
    child: Child,
    say: ChildStdin,
    heard: Lines<BufReader<ChildStdout>>,
}

impl Elsewhere {
    pub(crate) fn start(pod: &Pod) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", HIDE, "hide"]).arg(pod.folder());
        command.arg(std::env::current_exe().unwrap()).args(["--exact", "client::elsewhere", "--nocapture"]);
        let mut child = command.env(CLIENT, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, heard) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, say, heard }
    }

    /// The payload that it says it has made.
    pub(crate) fn made(&mut self) -> WireId {
        let lines = self.heard.by_ref().map_while(Result::ok);
        let told = lines.filter_map(|line| Some(line.split_once("made: ")?.1.to_owned())).next();
        told.expect("it has ended, and says why above").parse::<PayloadId>().unwrap().into()
    }

    pub(crate) fn go_on(&mut self) {
        self.say.write_all(b"\n").unwrap();
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

fn wait_for_word() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn make(client: &Client, seed: u64) -> PayloadId {
    let mut payload = client.create(LENGTH as u64).unwrap();
    payload.copy_from_slice(&v1::pattern(seed, LENGTH));
    payload.commit().unwrap().id
}

/// The client's part. By itself it has nothing to do.
#[test]
fn elsewhere() {
    if std::env::var_os(CLIENT).is_none() {
        return;
    }
    assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0, "nothing of the host's is to be seen");
    let client = Client::connect(Path::new(SOCKETS)).unwrap();
    assert_eq!(client.path(), DataPath::Session);
    let right = |bytes: &[u8], seed| assert_eq!(bytes, v1::pattern(seed, LENGTH), "payload {seed}");
    let first = make(&client, 1);
    let second = make(&client, 2);
    let held = client.read(first).unwrap();
    right(&held, 1);
    println!("made: {first}\nmade: {second}");
    wait_for_word();
    // There is another daemon now.
    assert!(held.is_valid());
    right(&held, 1);
    right(&client.read(second).unwrap(), 2);
    let third = make(&client, 3);
    right(&client.read(third).unwrap(), 3);
    println!("made: {third}");
    wait_for_word();
    right(&held, 1);
}
