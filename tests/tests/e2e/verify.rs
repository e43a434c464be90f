//! `verify` beside a daemon that serves: what is bad is found and written anew, what is nobody's is removed, if that is asked for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};

const LEN: usize = 3 << 20;

/// A payload on DISK and in OBJECT, and where its file lies.
async fn in_both(rpc: &mut Rpc, seed: u64) -> (PayloadId, PathBuf) {
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(seed, LEN)).await.unwrap());
    rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    let descriptor = rpc.promote(id.clone(), Tier::Disk).await.unwrap();
    (id, v1::place(&descriptor).0)
}

pub(crate) fn verify(daemon: &Daemon, more: &[&str]) -> Output {
    verify_as(daemon.setup(), daemon, more)
}

/// By the catalog of `whose`.
fn verify_as(whose: &Setup, daemon: &Daemon, more: &[&str]) -> Output {
    let (root, store) = (daemon.setup().disk_root(), daemon.setup().object_folder());
    let mut command = whose.command("verify", false);
    command.arg("--from").arg(root).args(["--from", &format!("file://{}", store.display())]);
    command.args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Overwrites a file that nobody may write to.
fn spoil(file: &Path, bytes: &[u8]) {
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_is_found_and_written_anew_beside_a_daemon_and_its_readers() {
    let daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let (flipped, file) = in_both(&mut rpc, 1).await;
    let (cut, other) = in_both(&mut rpc, 2).await;
    let (_, _) = in_both(&mut rpc, 3).await;
    let object = |file: &Path| daemon.setup().object_folder().join(file.file_name().unwrap());
    let mut bytes = v1::pattern(1, LEN);
    bytes[LEN / 2] ^= 1;
    spoil(&file, &bytes);
    spoil(&object(&other), &v1::pattern(2, LEN)[1..]);

    let found = verify(&daemon, &[]);
    let lines = said(&found);
    assert_eq!(found.status.code(), Some(1), "{lines}");
    assert_eq!(lines.matches("bad: ").count(), 2, "{lines}");
    assert!(
        lines.contains("in DISK: its bytes have ") && lines.contains("resized: 3145727 bytes instead of 3145728"),
        "{lines}"
    );
    assert!(lines.contains("4 copies are right (12.0 MiB), 2 are bad (0 written anew)"), "{lines}");

    let lease = rpc.lease(flipped.clone()).await.unwrap();
    let held = v1::map(lease.payload_descriptor.as_ref().unwrap()).unwrap();
    let repaired = verify(&daemon, &["--repair"]);
    assert!(repaired.status.success(), "{}", said(&repaired));
    assert!(*held == *bytes, "a reader keeps what it has");
    rpc.release(&lease).await.unwrap();
    let again = verify(&daemon, &["--rate", "1GiB"]);
    assert!(again.status.success(), "{}", said(&again));
    assert!(said(&again).contains("6 copies are right (18.0 MiB), 0 are bad"), "{}", said(&again));
    for (id, seed) in [(flipped, 1), (cut, 2)] {
        rpc.promote(id.clone(), Tier::Ram).await.unwrap();
        assert_eq!(rpc.get(id).await.unwrap(), v1::pattern(seed, LEN));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_removed_only_if_that_is_asked_for_and_from_a_prefix_of_ones_own() {
    let daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let (_, file) = in_both(&mut rpc, 4).await;
    let store = daemon.setup().object_folder();
    let stray = "00000000-0000-7000-8000-000000000001";
    let strays = ["bin", "meta.json"].map(|end| store.join(format!("{stray}.{end}")));
    let object = store.join(file.file_name().unwrap());
    for (from, to) in [object.clone(), object.with_extension("meta.json")].iter().zip(&strays) {
        fs::copy(from, to).unwrap();
    }
    let found = verify(&daemon, &[]);
    let line = format!("nobody's: {stray} in OBJECT");
    assert!(found.status.success() && said(&found).contains(&line), "{}", said(&found));
    assert!(strays.iter().all(|path| path.exists()));

    let other = Daemon::start();
    let refused = verify_as(other.setup(), &daemon, &["--delete-orphans"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("nothing of it is an orphan"), "{}", said(&refused));
    assert!(strays.iter().all(|path| path.exists()) && object.exists());

    let removed = verify(&daemon, &["--delete-orphans"]);
    assert!(said(&removed).contains("1 are nobody's (1 removed)"), "{}", said(&removed));
    assert!(strays.iter().all(|path| !path.exists()) && object.exists());
}
