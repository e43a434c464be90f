//! Sockets that somebody else holds, as systemd does: over stops and kills of the daemon.

use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payload_manager_api::core::v1::Tier;
use payload_manager_client::DataPath;
use payload_manager_client::blocking::Client;
use payload_manager_shm::fdpass::Listener;
use payload_manager_tests::remains::unlink_shm;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Rpc, Setup, within};

/// Becomes the daemon, with its standard input and output passed to it in systemd's way.
const PASS: &str = r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=${FDS:-2} exec "$@""#;

/// Who holds the sockets, and the daemon while it runs.
struct Holder {
    setup: Setup,
    grpc: UnixListener,
    sessions: Listener,
    daemon: Option<Child>,
}

impl Holder {
    fn new(setup: Setup) -> Self {
        let setup = setup.wrapper(&["sh", "-c", PASS, "sh"]);
        let folder = setup.runtime_dir();
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let grpc = UnixListener::bind(folder.join("control.sock")).unwrap();
        let sessions = Listener::bind(&folder.join("session.sock"), 0o660).unwrap();
        Self { setup, grpc, sessions, daemon: None }
    }

    fn start(&mut self) {
        let mut command = self.setup.command("serve", true);
        let log = File::options().create(true).append(true).open(self.setup.folder.path().join("log")).unwrap();
        command.stdin(OwnedFd::from(self.grpc.try_clone().unwrap()));
        command.stdout(self.sessions.as_fd().try_clone_to_owned().unwrap()).stderr(Stdio::from(log));
        self.daemon = Some(command.spawn().unwrap());
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut daemon = self.daemon.take().unwrap();
        kill(Pid::from_raw(daemon.id().cast_signed()), signal).unwrap();
        daemon.wait().unwrap().code()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.setup.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = (daemon.kill(), daemon.wait());
        }
        unlink_shm(&self.setup.prefix);
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_wait_for_a_daemon_that_is_started_for_them() {
    let mut holder = Holder::new(Setup::new());
    let socket = holder.setup.runtime_dir().join("control.sock");
    // Somebody comes before there is a daemon.
    let early = socket.clone();
    let early = tokio::spawn(async move { Rpc::unix(&early).await.put(Tier::Ram, b"early").await.unwrap() });
    holder.start();
    let id = id_of(&within("the first call", early).await.unwrap());
    let address = socket.clone();
    let path = tokio::task::spawn_blocking(move || Client::connect(address).unwrap().path()).await.unwrap();
    assert_eq!(path, DataPath::Session, "both sockets are the ones that were passed");
    assert_eq!(holder.end(Signal::SIGTERM), Some(0));
    assert!(socket.exists(), "what it has not made it does not remove");

    let later = socket.clone();
    let later = tokio::spawn(async move { Rpc::unix(&later).await.get(id).await.unwrap() });
    holder.start();
    assert_eq!(within("a call over a restart", later).await.unwrap(), b"early");
    assert_eq!(holder.end(Signal::SIGKILL), None);
    assert!(!holder.log().contains("none of its own"), "{}", holder.log());
}

/// Variables can be anything: a number of descriptors that are not there, or of another process.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_passed_is_not_waited_for() {
    for (name, value) in [("LISTEN_FDS", "9"), ("LISTEN_FDS", "-1"), ("LISTEN_PID", "1")] {
        let daemon = Setup::new().env("LISTEN_FDS", "2").env(name, value).start();
        daemon.rpc().await.stats().await.unwrap();
    }
    let mut holder = Holder::new(Setup::new().env("FDS", "60"));
    holder.start();
    Rpc::unix(&holder.setup.runtime_dir().join("control.sock")).await.stats().await.unwrap();
    assert_eq!(holder.end(Signal::SIGTERM), Some(0));
}
