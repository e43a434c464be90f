//! Daemons as neighbours and as processes: who may come in, whose is what, and how they start and stop.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::Tier;
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::SpillRequest;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, eventually, skip, v1};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_with_one_prefix_never_touch_each_others() {
    let mut one = Daemon::start();
    let mut two = Setup::new().prefix(&one.setup().prefix).start();
    let (mut first, mut second) = (one.rpc().await, two.rpc().await);
    let bytes = v1::pattern(1, 100_000);
    let id = id_of(&first.put(Tier::Ram, &bytes).await.unwrap());
    let other = id_of(&second.put(Tier::Ram, &v1::pattern(2, 100_000)).await.unwrap());
    assert_eq!(second.descriptor(id.clone()).await.unwrap_err().code(), Code::NotFound);

    // The second one comes and goes in every way there is.
    two.restart();
    assert_eq!(two.rpc().await.get(other).await.unwrap(), v1::pattern(2, 100_000));
    assert!(two.stop().success());
    two.change(|setup| setup.switch("fresh"));
    two.start_again();
    assert!(two.stop().success());
    let wiped = two.setup().command("wipe", false).arg("--yes").output().unwrap();
    assert!(wiped.status.success(), "{wiped:?}");

    assert_eq!(first.get(id.clone()).await.unwrap(), bytes);
    one.restart();
    assert_eq!(one.rpc().await.get(id).await.unwrap(), bytes);
}

#[test]
fn a_second_daemon_on_the_same_folders_is_refused_and_says_why() {
    let daemon = Daemon::start();
    let objects = daemon.shm();
    let again = daemon.setup().clone().try_start();
    let refused = again.expect_err("two daemons in one folder");
    assert_eq!(refused.code, Some(3), "{}", refused.log);
    let folder = daemon.setup().data_dir().display().to_string();
    assert!(refused.log.contains("not started") && refused.log.contains(&folder), "{}", refused.log);
    // Only the data folder in common, only the runtime folder in common: as bad.
    let elsewhere = daemon.setup().folder.path().join("elsewhere").into_os_string();
    for flag in ["runtime-dir", "data-dir"] {
        let refused = daemon.setup().clone().flag(flag, elsewhere.clone()).try_start().expect_err(flag);
        assert_eq!(refused.code, Some(3), "{flag}: {}", refused.log);
    }
    assert_eq!(daemon.shm(), objects, "the one that runs has lost nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_for_the_daemons_own_group_and_gone_after_a_stop() {
    let mut daemon = Daemon::start();
    let socket = std::fs::metadata(daemon.socket()).unwrap();
    assert_eq!(socket.mode() & 0o777, 0o660);
    let runtime_dir = std::fs::metadata(daemon.setup().runtime_dir()).unwrap();
    assert_eq!(runtime_dir.mode() & 0o007, 0, "strangers can't even look");
    assert!(daemon.stop().success());
    assert!(!daemon.socket().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_calls_finish_and_keeps_everything_for_the_next_start() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 8 << 20);
    let ram = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let moving = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let lease = rpc.lease(ram.clone()).await.unwrap();
    let spill = {
        let (mut rpc, id) = (rpc.clone(), moving.clone());
        tokio::spawn(async move { rpc.spill(id).await })
    };
    let began = || !daemon.disk_files().is_empty() || spill.is_finished();
    eventually("the spill has begun", began);
    assert!(daemon.stop().success(), "told to stop in the middle of a spill");
    // It was let finish, or was told that it was not.
    if let Err(error) = spill.await.unwrap() {
        assert!(matches!(error.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{error:?}");
    }
    assert!(daemon.log_of_last_run().contains("stopped"));

    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.get(ram.clone()).await.unwrap(), bytes);
    assert_eq!(rpc.get(moving).await.unwrap(), bytes);
    assert_eq!(rpc.delete(ram.clone(), false).await.unwrap_err().code(), Code::Aborted, "the lease lives on");
    rpc.release(&lease).await.unwrap();
    rpc.delete(ram, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_spill_that_waits_for_a_lease() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"leased").await.unwrap());
    let lease = rpc.lease(id.clone()).await.unwrap();
    let spill = {
        let request = SpillRequest { ids: vec![id.clone()], wait_for_leases: true, ..Default::default() };
        let mut rpc = rpc.clone();
        tokio::spawn(async move { rpc.spill_all(request).await })
    };
    let moved = || {
        let (id, rpc) = (id.clone(), rpc.clone());
        async move { rpc.clone().descriptor(id).await.unwrap().tier() == Tier::Disk }
    };
    eventually_async("it waits for the lease", moved).await;
    assert!(daemon.stop().success());
    let results = spill.await.unwrap().unwrap();
    assert!(results[0].error_message.starts_with("UNAVAILABLE: "), "{results:?}");
    assert!(!daemon.log_of_last_run().contains("stopped with work under way"));
    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.descriptor(id.clone()).await.unwrap().tier(), Tier::Disk);
    assert_eq!(v1::read(lease.payload_descriptor.as_ref().unwrap()).unwrap(), b"leased", "the lease lives on");
    rpc.release(&lease).await.unwrap();
    rpc.delete(id, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_there_is_the_same_daemon() {
    let daemon = Setup::new().flag("listen", "127.0.0.1:0").start();
    let (mut unix, mut tcp) = (daemon.rpc().await, Rpc::tcp(daemon.tcp().unwrap()).await);
    let id = id_of(&tcp.put(Tier::Ram, b"over TCP").await.unwrap());
    assert_eq!(unix.get(id).await.unwrap(), b"over TCP");
    daemon.wait_for_line("TCP peers are not checked");
}

/// The variable by which a test starts itself again as another user.
const AS_STRANGER: &str = "PAYLOAD_MANAGER_TEST_STRANGER";

/// The stranger's part: calls, and tells by its exit code what it was answered. By itself it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn stranger() {
    let Some(socket) = std::env::var_os(AS_STRANGER) else { return };
    let mut rpc = Rpc::try_unix(PathBuf::from(socket)).await.unwrap();
    let code = match rpc.stats().await {
        Ok(_) => 10,
        Err(error) if detail(&error).and_then(|d| d.known()) == Some(Reason::PeerNotAllowed) => 11,
        Err(_) => 12,
    };
    std::process::exit(code);
}

#[test]
fn a_peer_of_another_user_is_refused_unless_its_user_or_group_is_listed() {
    const NOBODY: u32 = 65534;
    if !nix::unistd::geteuid().is_root() {
        return skip(
            "a_peer_of_another_user_is_refused_unless_its_user_or_group_is_listed",
            "root, to be another user",
        );
    }
    // A further group that no user database knows of, as in a container.
    const FURTHER: u32 = 4_242_424;
    let verdicts =
        [("", NOBODY, 11), ("allow-uids", NOBODY, 10), ("allow-gids", NOBODY, 10), ("allow-gids", FURTHER, 10)];
    for (flag, value, verdict) in verdicts {
        let setup = Setup::new();
        let setup = if flag.is_empty() { setup } else { setup.flag(flag, value.to_string()) };
        let daemon = setup.start();
        // The door is open; who comes in is looked at.
        let open = |path: PathBuf, mode: u32| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let folder = daemon.setup().folder.path().to_owned();
        open(folder.clone(), 0o755);
        open(daemon.setup().runtime_dir(), 0o755);
        open(daemon.socket(), 0o666);
        let myself = folder.join("stranger");
        std::fs::copy(std::env::current_exe().unwrap(), &myself).unwrap();
        let mut stranger = Command::new("setpriv");
        stranger.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
        stranger.arg(format!("--groups={FURTHER}")).arg("--").arg(myself);
        stranger.args(["--exact", "daemons::stranger"]).env(AS_STRANGER, daemon.socket()).current_dir("/");
        let output = stranger.output().unwrap();
        assert_eq!(output.status.code(), Some(verdict), "{flag} {value}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_peers_that_say_nothing() {
    let mut daemon = Setup::new().flag("listen", "127.0.0.1:0").start();
    // Connected and silent from the start; and silent after it has spoken, so that it never says that it has understood.
    let _silent = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    let _silent_too = std::net::TcpStream::connect(daemon.tcp().unwrap()).unwrap();
    let mut stunned = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    std::io::Write::write_all(&mut stunned, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    std::io::Read::read_exact(&mut stunned, &mut [0; 9]).unwrap();
    assert!(daemon.stop().success());
    assert!(!daemon.log_of_last_run().contains("stopped with work under way"), "{}", daemon.log_of_last_run());
}
