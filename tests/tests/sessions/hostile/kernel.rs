//! What the kernel refuses to those who have descriptors of the daemon's objects: from the daemon's own user, and from
//! another (promise: immutable).

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, fchown, geteuid, setuid};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_shm::object::punch;
use payload_manager_shm::{ReadMap, WriteMap};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Setup, skip, v1};

use crate::client::{Client, Peer, session_socket, sessions_are};
use crate::others::{from_hex, to_hex};

const LENGTH: usize = 8192;
/// Nobody's, on every system.
const STRANGER: u32 = 65_534;

const SOCKET: &str = "PAYLOAD_MANAGER_TEST_STRANGER";
const LEASE: &str = "PAYLOAD_MANAGER_TEST_STRANGER_LEASE";
const DAEMON: &str = "PAYLOAD_MANAGER_TEST_STRANGER_DAEMON";
const REFUSED: &str = "it was refused all of it";

fn errno<T>(done: std::io::Result<T>) -> Option<Errno> {
    done.err().and_then(|error| error.raw_os_error()).map(Errno::from_raw)
}

/// What a descriptor for reading is not good for, whoever has it.
fn assert_read_only(file: &File, what: &str) {
    assert_eq!(errno(WriteMap::of_file(file, 0, 4096)), Some(Errno::EACCES), "{what}: mapped for writing");
    assert_eq!(errno(file.write_at(b"x", 0)), Some(Errno::EBADF), "{what}: written");
    assert_eq!(errno(file.set_len(0)), Some(Errno::EINVAL), "{what}: cut short");
    assert_eq!(errno(punch(file, 0, 4096)), Some(Errno::EBADF), "{what}: punched");
    assert!(ReadMap::of_file(file, 0, 4096).is_ok(), "{what}: it can be read");
}

/// No seal can be put on the daemon's objects, by which a client could stop others.
fn assert_not_sealed(file: &File, what: &str) {
    for seal in [SealFlag::F_SEAL_WRITE, SealFlag::F_SEAL_GROW, SealFlag::F_SEAL_SHRINK] {
        assert_eq!(fcntl(file, FcntlArg::F_ADD_SEALS(seal)), Err(Errno::EPERM), "{what}: sealed {seal:?}");
    }
}

/// The directory, as it came with the welcome, and a descriptor of each other kind.
struct Given {
    client: Client,
    directory: File,
    id: PayloadId,
    leased: File,
    allocated: File,
}

impl Given {
    fn by(peer: Peer, id: PayloadId) -> Self {
        let (client, directory) = peer.hello_with_directory();
        let lease = client.take(&id);
        let (_, leased) = client.open(&id).unwrap();
        let (_, room) = client.allocate(&[LENGTH as u64]).remove(0).unwrap();
        drop(lease);
        Self { client, directory, id, leased, allocated: room.file }
    }

    fn all(&self) -> [(&File, &'static str); 4] {
        let (page, allocated) = ((&self.client.page, "its page"), (&self.allocated, "its allocation"));
        [(&self.directory, "the directory"), (&self.leased, "a payload"), page, allocated]
    }

    fn assert_what_anybody_is_refused(&self) {
        assert_read_only(&self.directory, "the directory");
        assert_read_only(&self.leased, "a payload");
        self.all().into_iter().for_each(|(file, what)| assert_not_sealed(file, what));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_for_reading_are_good_for_nothing_else_under_the_daemons_own_user() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let given = Given::by(Peer::of(&daemon), id.clone());
    given.assert_what_anybody_is_refused();
    let mode = given.leased.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o222, 0, "what is committed has no write bits: only who means to can open it for writing");
    assert_eq!(rpc.get(id).await.unwrap(), bytes);
    drop(given);
    sessions_are(&daemon, &rpc, 0).await;
}

/// What only the daemon's own user may.
fn assert_what_a_stranger_is_refused(given: &Given, daemon: i32) {
    let folder = Path::new("/dev/shm");
    for (file, what) in given.all() {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        for (write, how) in [(false, "for reading"), (true, "for writing")] {
            let opened = OpenOptions::new().read(true).write(write).open(&path);
            assert_eq!(errno(opened), Some(Errno::EACCES), "{what}: opened again {how}");
            let name = std::fs::read_link(&path).unwrap();
            assert!(name.starts_with(folder), "{name:?}");
            let opened = OpenOptions::new().read(true).write(write).open(&name);
            assert_eq!(errno(opened), Some(Errno::EACCES), "{what}: opened by its name {how}");
            assert_eq!(errno(std::fs::remove_file(&name)), Some(Errno::EPERM), "{what}: unlinked");
        }
        assert_eq!(errno(file.set_permissions(PermissionsExt::from_mode(0o666))), Some(Errno::EPERM), "{what}: mode");
        assert_eq!(fchown(file, Some(Uid::from_raw(STRANGER)), None), Err(Errno::EPERM), "{what}: owner");
    }
    assert_eq!(kill(Pid::from_raw(daemon), None), Err(Errno::EPERM));
    assert_eq!(errno(std::fs::read_dir(format!("/proc/{daemon}/fd"))), Some(Errno::EACCES));
    assert_eq!(errno(File::open(format!("/proc/{daemon}/mem"))), Some(Errno::EACCES));
}

/// The stranger's part. By itself it has nothing to do.
#[test]
fn stranger() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    setuid(Uid::from_raw(STRANGER)).unwrap();
    // Else what `/proc/self/fd` has is root's, and refused for that reason alone.
    nix::sys::prctl::set_dumpable(true).unwrap();
    let given = Given::by(Peer::connect(Path::new(&socket)), from_hex(&std::env::var(LEASE).unwrap()));
    given.assert_what_anybody_is_refused();
    assert_what_a_stranger_is_refused(&given, std::env::var(DAEMON).unwrap().parse().unwrap());
    let lease = given.client.take(&given.id);
    assert_eq!(given.client.map(&given.id)[..], v1::pattern(1, LENGTH)[..]);
    assert!(lease.is_valid());
    println!("{REFUSED}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_can_open_nothing_again_and_change_nothing_of_the_daemons() {
    if !geteuid().is_root() {
        return skip(
            "another_user_can_open_nothing_again_and_change_nothing_of_the_daemons",
            "only root can be another",
        );
    }
    let setup = Setup::new().flag("allow-uids", format!("0,{STRANGER}"));
    // It may come to the socket, and to nothing else in there.
    std::fs::set_permissions(setup.folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
    let daemon = setup.start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hostile::kernel::stranger", "--nocapture"]).env(SOCKET, session_socket(&daemon));
    command.env(LEASE, to_hex(&id)).env(DAEMON, daemon.pid().to_string());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // All of it: who can't be heard out fails.
    let refused = lines.map_while(Result::ok).filter(|line| line.contains(REFUSED)).count();
    assert_eq!(refused, 1, "it says why above");
    assert!(child.wait().unwrap().success());
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    sessions_are(&daemon, &rpc, 0).await;
    rpc.delete(id, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_that_nobody_let_in_gets_no_session() {
    if !geteuid().is_root() {
        return skip("another_user_that_nobody_let_in_gets_no_session", "only root can be another");
    }
    // Not even who has the daemon's group, and so comes as far as its socket.
    let setup = Setup::new().flag("allow-uids", "0").flag("allow-gids", "");
    std::fs::set_permissions(setup.folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
    let daemon = setup.start();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hostile::kernel::uninvited", "--nocapture"]).env(SOCKET, session_socket(&daemon));
    assert!(command.status().unwrap().success());
    sessions_are(&daemon, &daemon.rpc().await, 0).await;
}

/// The part of one that is not let in. By itself it has nothing to do.
#[test]
fn uninvited() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    setuid(Uid::from_raw(STRANGER)).unwrap();
    let refused = Peer::connect(Path::new(&socket)).hello().err().unwrap();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
}
