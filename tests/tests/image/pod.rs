//! A place for containers of the image: mounts that outlive each of them, as a runtime's volumes do, and the daemon in one.
//!
//! A process holds the mounts, and its end is that of everything in here: it ends with its standard input, which this program
//! has, so nothing is left even if this program is killed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use payload_manager_tests::log::Log;
use tempfile::TempDir;

use crate::file::{USER, assemble, health, start, user, variables};

/// Mounts what a runtime does: the root to be read only, memory of its own, and the two volumes.
const MOUNT: &str = r#"
mount --bind "$1/root" "$1/root" && mount -o remount,bind,ro "$1/root" &&
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=256m none "$1/root/dev/shm" &&
mount -t tmpfs -o nosuid,nodev,mode=1777,size=16m none "$1/root/tmp" &&
mount --bind "$1/run" "$1/root/run/payload-manager" &&
mount --bind "$1/data" "$1/root/var/lib/payload-manager" &&
echo mounted && exec cat
"#;

/// Without a right but those that the next two programs need to become somebody who has none.
const NO_RIGHTS: [&str; 4] =
    ["setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+setuid,+setgid,+sys_chroot"];

pub(crate) struct Pod {
    holder: Child,
    open: Option<ChildStdin>,
    folder: TempDir,
}

impl Pod {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pmt-").tempdir().unwrap();
        assemble(&folder.path().join("root"));
        for (name, mode) in [("run", 0o750), ("data", 0o700)] {
            let volume = folder.path().join(name);
            std::fs::DirBuilder::new().mode(mode).create(&volume).unwrap();
            chown(&volume, Some(USER), Some(USER)).unwrap();
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", MOUNT, "pod"]).arg(folder.path());
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let open = holder.stdin.take();
        let told = BufReader::new(holder.stdout.take().unwrap()).lines().next();
        let pod = Self { holder, open, folder };
        assert_eq!(told.and_then(Result::ok).as_deref(), Some("mounted"));
        pod
    }

    /// The volume of the sockets.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The daemon's gRPC socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.sockets().join("control.sock")
    }

    /// What hides the host from a client.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Names of the objects in its shared memory.
    pub(crate) fn shared_memory(&self) -> Vec<String> {
        let seen = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let place = seen.join(self.folder.path().strip_prefix("/").unwrap()).join("root/dev/shm");
        let names = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// A program in a container of its own, the first process there.
    fn command(&self, words: &[String]) -> Command {
        let (holder, root) = (self.holder.id(), self.folder.path().join("root"));
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{holder}/ns/mnt")).arg(format!("--pid=/proc/{holder}/ns/pid_for_children"));
        command.args(["--", "unshare", "--ipc", "--net", "--uts", "--pid", "--fork", "--kill-child"]);
        command.arg(format!("--mount-proc={}/proc", root.display())).arg("--").args(NO_RIGHTS);
        command.args(["chroot", "--groups=", &format!("--userspec={}", user())]).arg(root).args(words);
        let path = std::env::var_os("PATH").unwrap();
        command.env_clear().env("PATH", path).envs(variables()).stdin(Stdio::null());
        command.env("PAYLOAD_MANAGER_RAM", "64MiB").env("PAYLOAD_MANAGER_DISK", "256MiB");
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.command(&words).output().unwrap()
    }

    /// Whether the image's own question finds that it is well.
    pub(crate) fn is_well(&self) -> bool {
        self.command(&health()).status().unwrap().success()
    }

    /// Starts the daemon and waits until it serves.
    pub(crate) fn start(&self) -> Contained {
        let mut child = self.command(&start()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, reader) = Log::follow(child.stderr.take().unwrap());
        let serves = log.wait_for(|line| line.contains(" serving ") && line.contains("socket=")).is_some();
        assert!(serves, "ended ({:?}):\n{}", child.wait(), log.text());
        let stream = UnixStream::connect(self.socket()).unwrap();
        let pid = Pid::from_raw(getsockopt(&stream, PeerCredentials).unwrap().pid());
        Contained { child, pid, log, reader: Some(reader) }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        drop(self.open.take());
        // The first process of a namespace is not gone before all others are.
        let _ = self.holder.wait();
    }
}

/// The daemon in a container.
pub(crate) struct Contained {
    child: Child,
    /// As it is seen from here.
    pub(crate) pid: Pid,
    log: Log,
    reader: Option<JoinHandle<()>>,
}

impl Contained {
    /// What ends the daemon itself, and not what started it. How it has ended.
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        kill(self.pid, signal).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        status
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log.text());
        }
        // What it has started ends with the pod.
        let _ = (self.child.kill(), self.child.wait());
    }
}
