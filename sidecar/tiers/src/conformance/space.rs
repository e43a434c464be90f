//! Runs a test once more where `/dev/shm` and a folder of its own are small file systems that really fill up.

use std::env;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use payload_manager_types::Tier;

use crate::TierError;
use crate::file::CopyFile;

/// Set in the process that has the small file systems: the folder.
const FOLDER: &str = "PAYLOAD_MANAGER_TEST_SMALL_FOLDER";

/// Told on stdout once they are mounted.
const MOUNTED: &str = "small file systems are mounted";

/// Runs `body` with a folder of 8 MiB, and 32 MiB of `/dev/shm`, both tmpfs and empty: in a mount namespace of a child
/// process that runs the test named `test` alone. Where the system gives us no such namespace, says so and tests less; what
/// does not fit at all is tested by the suite on every system.
pub(crate) fn with_small_file_systems(test: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = env::var_os(FOLDER) {
        return body(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let outputs = ["-rm", "-m"].map(|flags| in_namespace(flags, test, folder.path()));
    for output in outputs.into_iter().flatten() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.contains(MOUNTED) {
            let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.contains("1 passed"), "{said}\n{wrong}");
            return;
        }
    }
    full_without_a_mount();
}

fn in_namespace(flags: &str, test: &str, folder: &Path) -> Option<Output> {
    let script = format!(
        "mount -t tmpfs -o size=8m none \"${FOLDER}\" && mount -t tmpfs -o size=32m none /dev/shm && \
         echo '{MOUNTED}' && exec \"$0\" --exact \"$1\" --nocapture"
    );
    let mut unshare = Command::new("unshare");
    unshare.args([flags, "sh", "-c", &script]).arg(env::current_exe().ok()?).arg(test).env(FOLDER, folder);
    unshare.output().ok()
}

/// What can be had everywhere: a device on which every write says that there is no space.
fn full_without_a_mount() {
    eprintln!("no mount namespace to be had here: testing against /dev/full instead of a file system that is full");
    let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = CopyFile::buffered(Tier::Disk, "/dev/full", file).write_at(0, &[1; 5000]).unwrap_err();
    assert!(matches!(error, TierError::Full { asked: 5000, .. }), "{error}");
}

#[test]
fn no_space_is_full_on_every_system() {
    full_without_a_mount();
}
