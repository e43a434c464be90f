//! Which memory limit binds, read from the files of a made-up cgroup tree.

use std::fs;
use std::path::Path;

use super::{CgroupGauge, MemoryGauge};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// A file system of another host.
struct Host(tempfile::TempDir);

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(path, text)| host.write(path, text));
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A cgroup's limit, usage, and clean file cache within the usage.
    fn v2(&self, group: &str, max: &str, current: u64, cache: u64) {
        self.write(&format!("{group}/memory.max"), max);
        self.write(&format!("{group}/memory.current"), &current.to_string());
        let stat =
            format!("anon 5\nfile 9\nfile_dirty {MIB}\nfile_writeback 0\ninactive_file {cache}\nactive_file {MIB}\n");
        self.write(&format!("{group}/memory.stat"), &stat);
    }

    fn room(&self) -> (u64, String) {
        let room = CgroupGauge::new(self.0.path()).room(u64::MAX);
        (room.free, room.bound_by)
    }
}

const V2_MOUNT: &str = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

#[test]
fn the_tightest_limit_above_this_process_binds() {
    let host = Host::new(&[("/proc/self/mountinfo", V2_MOUNT), ("/proc/self/cgroup", "0::/pod/box\n")]);
    host.v2("/sys/fs/cgroup/pod", &(8 * GIB).to_string(), 6 * GIB, 0);
    host.v2("/sys/fs/cgroup/pod/box", &(4 * GIB).to_string(), GIB, 0);
    let (free, bound_by) = host.room();
    assert_eq!(free, 2 * GIB - 512 * MIB, "8 GiB less 6 used, less a sixteenth");
    assert!(bound_by.contains("/sys/fs/cgroup/pod/memory.max"), "{bound_by}");
    host.v2("/sys/fs/cgroup/pod/box", "max", GIB, 0);
    host.v2("/sys/fs/cgroup/pod", "max", 6 * GIB, 0);
    assert_eq!(host.room().0, u64::MAX);
}

#[test]
fn clean_file_cache_is_not_counted_and_headroom_is_kept() {
    let host = Host::new(&[("/proc/self/mountinfo", V2_MOUNT), ("/proc/self/cgroup", "0::/\n")]);
    host.v2("/sys/fs/cgroup", &(100 * MIB).to_string(), 90 * MIB, 60 * MIB);
    assert_eq!(host.room().0, 100 * MIB - 30 * MIB - 25 * MIB, "a quarter is the most that a small limit gives up");
    host.write("/sys/fs/cgroup/memory.high", &(80 * MIB).to_string());
    assert_eq!(host.room().0, 80 * MIB - 30 * MIB - 20 * MIB, "what throttles binds too");
    host.v2("/sys/fs/cgroup", &(100 * MIB).to_string(), 99 * MIB, 0);
    assert_eq!(host.room().0, 0);
}

#[test]
fn statistics_are_read_only_when_it_seems_tight() {
    let host = Host::new(&[("/proc/self/mountinfo", V2_MOUNT), ("/proc/self/cgroup", "0::/\n")]);
    host.v2("/sys/fs/cgroup", &(4 * GIB).to_string(), GIB, GIB);
    let gauge = CgroupGauge::new(host.0.path());
    assert_eq!(gauge.room(MIB).free, 3 * GIB - 256 * MIB, "enough without a look at the cache");
    assert_eq!(gauge.room(3 * GIB).free, 4 * GIB - 256 * MIB);
}

#[test]
fn version_1_is_read_where_the_memory_controller_is_mounted() {
    let mounts = "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                  35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    let host = Host::new(&[
        ("/proc/self/mountinfo", mounts),
        ("/proc/self/cgroup", "3:cpuset:/\n4:memory:/job/one\n0::/\n"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "77\n"),
        ("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", &format!("{GIB}\n")),
        ("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", &format!("{}\n", 512 * MIB)),
        ("/sys/fs/cgroup/memory/job/memory.stat", &format!("inactive_file 1\ntotal_inactive_file {}\n", 12 * MIB)),
    ]);
    assert_eq!(host.room().0, GIB - 500 * MIB - 64 * MIB);
}

#[test]
fn in_a_container_the_mounted_part_is_where_to_look() {
    for group in ["0::/", "0::/docker/abc", "0::/docker/abc/../elsewhere"] {
        let mount = "41 31 0:38 /docker/abc /sys/fs/c\\040group ro - cgroup2 cgroup rw\n";
        let host = Host::new(&[("/proc/self/mountinfo", mount), ("/proc/self/cgroup", group)]);
        host.v2("/sys/fs/c group", &(4 * GIB).to_string(), 0, 0);
        assert_eq!(host.room().0, 4 * GIB - 256 * MIB, "{group}");
    }
}

#[test]
fn without_a_cgroup_the_host_binds_and_without_anything_nothing_does() {
    let meminfo = "MemTotal:       16777216 kB\nMemFree: 5 kB\nMemAvailable:    8388608 kB\nSwapFree:  1048576 kB\n";
    let host = Host::new(&[("/proc/meminfo", meminfo)]);
    let (free, bound_by) = host.room();
    assert_eq!(free, 9 * GIB - 512 * MIB);
    assert!(bound_by.contains("host"), "{bound_by}");
    assert_eq!(CgroupGauge::new(Path::new("/nowhere")).room(1).free, u64::MAX);
}

#[test]
fn this_very_host_has_some_room_and_it_can_be_told_what_binds() {
    let room = CgroupGauge::default().room(1);
    assert!(!room.bound_by.is_empty() && room.free < u64::MAX, "{room:?}");
}
