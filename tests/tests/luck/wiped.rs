//! `wipe` leaves nothing of a stopped daemon, however it ended, and touches nothing of one that runs.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::process::Output;

use payload_manager_api::core::v1::Tier;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, skip, v1};

use super::ground::Picture;

fn wipe(daemon: &Daemon, yes: bool) -> Output {
    let mut command = daemon.setup().command("wipe", false);
    command.args(yes.then_some("--yes")).output().unwrap()
}

/// A bit of everything: in RAM, on DISK, in both, allocated, leased and deleted.
async fn fill(daemon: &Daemon) {
    let mut rpc = daemon.rpc().await;
    rpc.put(Tier::Ram, &v1::pattern(1, 10_000)).await.unwrap();
    let both = rpc.put(Tier::Disk, &v1::pattern(2, 10_000)).await.unwrap();
    rpc.promote(id_of(&both), Tier::Ram).await.unwrap();
    rpc.allocate(Tier::Ram, 10_000).await.unwrap();
    rpc.allocate(Tier::Disk, 10_000).await.unwrap();
    let leased = rpc.put(Tier::Ram, &v1::pattern(3, 10_000)).await.unwrap();
    rpc.lease(id_of(&leased)).await.unwrap();
    rpc.spill(id_of(&leased)).await.unwrap();
    let deleted = rpc.put(Tier::Disk, &v1::pattern(4, 10_000)).await.unwrap();
    rpc.lease(id_of(&deleted)).await.unwrap();
    rpc.delete(id_of(&deleted), true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_leaves_nothing_however_the_daemon_ended() {
    for killed in [false, true] {
        let mut daemon = Daemon::start();
        fill(&daemon).await;
        if killed {
            daemon.kill();
        } else {
            assert!(daemon.stop().success());
        }
        let done = wipe(&daemon, true);
        assert!(done.status.success(), "{done:?}");
        assert_eq!(daemon.shm().into_iter().collect::<Vec<_>>(), Vec::<String>::new());
        let left: Vec<_> = fs::read_dir(daemon.setup().folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
        // Once more is fine, and so is a new start.
        assert!(wipe(&daemon, true).status.success());
        daemon.start_again();
        assert_eq!(daemon.rpc().await.list().await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_refuses_while_the_daemon_runs_and_without_a_yes() {
    let mut daemon = Daemon::start();
    let kept = daemon.rpc().await.put(Tier::Ram, b"kept").await.unwrap();
    let refused = wipe(&daemon, true);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("data"), "{refused:?}");
    assert_eq!(daemon.rpc().await.get(id_of(&kept)).await.unwrap(), b"kept");
    assert!(daemon.stop().success());
    let before = Picture::of(daemon.setup());
    let unsure = wipe(&daemon, false);
    assert!(!unsure.status.success(), "{unsure:?}");
    assert!(Picture::of(daemon.setup()) == before);
    daemon.start_again();
    assert_eq!(daemon.rpc().await.get(id_of(&kept)).await.unwrap(), b"kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_keeps_what_was_set_aside_and_what_is_not_ours() {
    let mut daemon = Daemon::start();
    fill(&daemon).await;
    daemon.kill();
    let root = daemon.setup().disk_root();
    for folder in ["orphans", "set-aside"] {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("x.bin"), b"x").unwrap();
    }
    fs::write(daemon.setup().data_dir().join("notes.txt"), b"mine").unwrap();
    assert!(wipe(&daemon, true).status.success());
    let left = payload_manager_tests::remains::files_under(daemon.setup().folder.path());
    let left: Vec<String> = left.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(left, ["data/notes.txt", "data/payloads/orphans/x.bin", "data/payloads/set-aside/x.bin"]);
}

/// Root may remove everything, and would not know of what another user's records name.
#[tokio::test(flavor = "multi_thread")]
async fn another_users_belongings_are_not_wiped_by_halves() {
    const NAME: &str = "another_users_belongings_are_not_wiped_by_halves";
    if !nix::unistd::geteuid().is_root() {
        return skip(NAME, "root, to give something to another user");
    }
    let mut daemon = Daemon::start();
    fill(&daemon).await;
    assert!(daemon.stop().success());
    let before = daemon.shm();
    let records = before.iter().find(|name| name.ends_with("-records")).unwrap();
    let records = format!("/dev/shm{records}");
    std::os::unix::fs::chown(&records, Some(65534), None).unwrap();
    let refused = wipe(&daemon, true);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && said.contains("user 65534"), "{said}");
    assert_eq!(daemon.shm(), before);
    std::os::unix::fs::chown(&records, Some(0), None).unwrap();
    assert!(wipe(&daemon, true).status.success());
    assert!(daemon.shm().is_empty());
}

/// What a container is told of the boot need not be what the host is told: whoever wipes may know of another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_under_another_boot_is_wiped_too() {
    let mut daemon = Daemon::start();
    fill(&daemon).await;
    assert!(daemon.stop().success());
    for page in daemon.shm().iter().filter(|name| ["-records", "-directory"].iter().any(|end| name.ends_with(end))) {
        let file = fs::OpenOptions::new().write(true).open(format!("/dev/shm{page}")).unwrap();
        file.write_all_at(&[9; 16], 32).unwrap();
    }
    assert!(wipe(&daemon, true).status.success());
    assert!(daemon.shm().is_empty(), "{:?}", daemon.shm());
}
