//! Runs a test once more where file systems are small and really fill up, or where memory is short and really kills.

use std::env;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use payload_manager_types::Tier;

use super::new_id;
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
    if !runs_in_namespace(test, "32m", None) {
        full_without_a_mount();
    }
}

/// Runs `body` under a memory limit of so many bytes, with a `/dev/shm` of its own that is larger than that: in a cgroup of
/// a child process that runs the test named `test` alone. Returns false, with nothing run, where the system gives us no
/// cgroup; a child that is killed by the limit fails the test.
pub(crate) fn with_small_memory(test: &str, bytes: u64, body: impl FnOnce()) -> bool {
    if env::var_os(FOLDER).is_some() {
        body();
        return true;
    }
    let group = MemoryGroup::new(bytes);
    group.is_some_and(|group| runs_in_namespace(test, "1g", Some(&group)))
}

/// Runs a test in a child with small file systems, and fails if it fails; false if there is no such child to be had.
fn runs_in_namespace(test: &str, shm: &str, group: Option<&MemoryGroup>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let join = group.map_or(String::new(), |group| format!("echo $$ > '{}/cgroup.procs' &&", group.0.display()));
    let script = format!(
        "{join} mount -t tmpfs -o size=8m none \"${FOLDER}\" && mount -t tmpfs -o size={shm} none /dev/shm && \
         echo '{MOUNTED}' && exec \"$0\" --exact \"$1\" --nocapture"
    );
    ["-rm", "-m"].iter().any(|flags| {
        let mut unshare = Command::new("unshare");
        unshare.args([flags, "sh", "-c", &script]).arg(env::current_exe().unwrap()).arg(test);
        let Ok(output) = unshare.env(FOLDER, folder.path()).output() else { return false };
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        let ran = said.contains(MOUNTED);
        assert!(!ran || (output.status.success() && said.contains("1 passed")), "{}\n{said}\n{wrong}", output.status);
        ran
    })
}

/// A cgroup with a memory limit, below this process's own; removed on drop.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where cgroups can't be made, or not with a memory limit.
    fn new(bytes: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |of: &str| groups.lines().find_map(|line| Some(line.split_once(of)?.1.to_owned()));
        let v1 = own(":memory:").map(|own| (format!("/sys/fs/cgroup/memory{own}"), "memory.limit_in_bytes"));
        let v2 = own("0::").map(|own| (format!("/sys/fs/cgroup{own}"), "memory.max"));
        [v1, v2].into_iter().flatten().find_map(|(parent, limit)| {
            let folder = Path::new(&parent).join(format!("pmtest-{}", new_id()));
            fs::create_dir(&folder).ok()?;
            let group = Self(folder);
            fs::write(group.0.join(limit), bytes.to_string()).ok().map(|()| group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It is empty: whoever was in it has been waited for.
        let _ = fs::remove_dir(&self.0);
    }
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
