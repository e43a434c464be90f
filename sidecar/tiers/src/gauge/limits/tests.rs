//! Control groups as hosts, containers and pods show them.

use super::*;

/// A file system of another host.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

fn limits(fake: &Fake) -> Vec<(String, u64)> {
    memory_limits(fake.0.path()).into_iter().map(|limit| (limit.file.display().to_string(), limit.bytes)).collect()
}

#[test]
fn every_group_above_limits_too() {
    let fake = Fake::new();
    fake.write("/proc/self/mountinfo", V2);
    fake.write("/proc/self/cgroup", "0::/pods/pod7/main\n");
    fake.write("/sys/fs/cgroup/pods/pod7/main/memory.max", "max\n");
    fake.write("/sys/fs/cgroup/pods/pod7/memory.max", "1073741824\n");
    fake.write("/sys/fs/cgroup/pods/pod7/memory.high", "805306368\n");
    fake.write("/sys/fs/cgroup/pods/memory.max", "4294967296\n");
    let expected = [
        ("/sys/fs/cgroup/pods/pod7/memory.max", 1 << 30),
        ("/sys/fs/cgroup/pods/pod7/memory.high", 3 << 28),
        ("/sys/fs/cgroup/pods/memory.max", 4 << 30),
    ];
    assert_eq!(limits(&fake), expected.map(|(file, bytes)| (file.to_owned(), bytes)));
}

#[test]
fn a_container_that_sees_its_own_group_as_the_root_is_limited_by_it() {
    let fake = Fake::new();
    fake.write("/proc/self/mountinfo", V2);
    fake.write("/proc/self/cgroup", "0::/\n");
    fake.write("/sys/fs/cgroup/memory.max", "536870912\n");
    assert_eq!(limits(&fake), [("/sys/fs/cgroup/memory.max".to_owned(), 512 << 20)]);
}

#[test]
fn a_group_outside_of_what_is_mounted_leaves_the_mount_point() {
    for group in ["0::/../../other\n", "0::/docker/abc\n"] {
        let fake = Fake::new();
        fake.write("/proc/self/mountinfo", &V2.replace("0:26 /", "0:26 /kubepods"));
        fake.write("/proc/self/cgroup", group);
        fake.write("/sys/fs/cgroup/memory.max", "536870912\n");
        assert_eq!(limits(&fake).len(), 1, "{group}");
    }
}

#[test]
fn version_one_is_read_with_the_limits_above_what_is_visible() {
    let fake = Fake::new();
    let mount = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    let other = "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    fake.write("/proc/self/mountinfo", &format!("{other}{mount}"));
    fake.write("/proc/self/cgroup", "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n");
    fake.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    fake.write("/sys/fs/cgroup/memory/memory.stat", "cache 1\nhierarchical_memory_limit 2147483648\n");
    assert_eq!(limits(&fake), [("/sys/fs/cgroup/memory/memory.stat".to_owned(), 2 << 30)]);
}

#[test]
fn a_host_with_both_versions_is_limited_by_both() {
    let fake = Fake::new();
    let one = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    fake.write("/proc/self/mountinfo", &format!("{one}{}", V2.replace("cgroup rw,nosuid", "cgroup/unified rw,nosuid")));
    fake.write("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    fake.write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000000000\n");
    fake.write("/sys/fs/cgroup/memory/a/memory.stat", "hierarchical_memory_limit 1000000000\n");
    fake.write("/sys/fs/cgroup/unified/b/memory.max", "2000000000\n");
    let bytes: Vec<_> = limits(&fake).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(bytes, [1_000_000_000, 2_000_000_000]);
}

#[test]
fn mount_points_with_blanks_are_read() {
    let fake = Fake::new();
    fake.write("/proc/self/mountinfo", "1 2 0:3 / /sys/my\\040groups rw - cgroup2 none rw\n");
    fake.write("/proc/self/cgroup", "0::/\n");
    fake.write("/sys/my groups/memory.max", "1000000000\n");
    assert_eq!(limits(&fake), [("/sys/my groups/memory.max".to_owned(), 1_000_000_000)]);
}

#[test]
fn what_can_not_be_read_does_not_limit() {
    let fake = Fake::new();
    assert!(limits(&fake).is_empty());
    fake.write("/proc/self/mountinfo", &format!("nonsense\n - \n1 2 3 - cgroup2\n{V2}"));
    fake.write("/proc/self/cgroup", "\n::\n0::/x\nnonsense\n");
    fake.write("/sys/fs/cgroup/x/memory.max", "not a number");
    fake.write("/sys/fs/cgroup/memory.max", "-5");
    assert!(limits(&fake).is_empty());
}
