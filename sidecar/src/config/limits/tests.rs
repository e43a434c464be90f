//! What binds the tiers.

use super::super::fake::Fake;
use super::*;

/// Their pages are smaller than any headroom.
const FEW: Pages = Pages { payloads: 1_000, leases: 1_000 };

fn group(fake: &Fake, bytes: u64) {
    fake.write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    fake.write("/proc/self/cgroup", "0::/\n");
    fake.write("/sys/fs/cgroup/memory.max", &bytes.to_string());
}

#[test]
fn without_a_wish_the_ram_tier_gets_half_of_the_tightest_bound() {
    let fake = Fake::new();
    let capacity = Capacity::of_ram(&fake.machine, None, FEW).unwrap();
    assert_eq!(capacity.bytes, (8 * GIB - 256 * MIB) / 2);
    assert_eq!(capacity.settled, Settled::Share(50));
    assert!(capacity.tightest().unwrap().what.starts_with("shared memory"));
    assert_eq!(capacity.bounds.len(), 2, "memory itself is a bound too");
    assert!(capacity.explain().contains("8.0 GiB of shared memory"), "{}", capacity.explain());
}

#[test]
fn a_small_control_group_binds() {
    let fake = Fake::new();
    group(&fake, 256 * MIB);
    let capacity = Capacity::of_ram(&fake.machine, None, FEW).unwrap();
    assert_eq!(capacity.bytes, (256 - 32) * MIB / 2);
    assert!(capacity.tightest().unwrap().what.contains("memory.max"));
}

#[test]
fn a_wish_within_all_bounds_is_granted() {
    let fake = Fake::new();
    let capacity = Capacity::of_ram(&fake.machine, Some(5 * GIB), FEW).unwrap();
    assert_eq!((capacity.bytes, capacity.settled), (5 * GIB, Settled::AsAsked));
}

#[test]
fn a_wish_beyond_the_tightest_bound_is_capped_by_it() {
    let fake = Fake::new();
    group(&fake, GIB);
    let capacity = Capacity::of_ram(&fake.machine, Some(5 * GIB), FEW).unwrap();
    assert_eq!((capacity.bytes, capacity.settled), (GIB - 128 * MIB, Settled::Capped(5 * GIB)));
    assert!(capacity.explain().contains("memory.max"), "{}", capacity.explain());
}

#[test]
fn headroom_never_takes_more_than_half() {
    let fake = Fake::new();
    group(&fake, 16 * MIB);
    let capacity = Capacity::of_ram(&fake.machine, Some(GIB), FEW).unwrap();
    assert_eq!(capacity.bytes, 8 * MIB);
}

#[test]
fn what_the_shared_pages_may_grow_to_is_set_aside() {
    let mut fake = Fake::new();
    fake.machine.space = |_| Ok(super::super::Space { total: GIB, available: GIB, in_memory: true });
    let many = Pages { payloads: 1 << 20, leases: 1 << 16 };
    let capacity = Capacity::of_ram(&fake.machine, Some(GIB), many).unwrap();
    assert_eq!(capacity.bytes, GIB - (80 + 1 + 32) * MIB, "directory, leases, and a record for each page of it");
    let all = Pages { payloads: (1 << 24) - 1, leases: 1 << 16 };
    let capacity = Capacity::of_ram(&fake.machine, Some(GIB), all).unwrap();
    assert_eq!(capacity.bytes, GIB - GIB / 4, "but a quarter at most");
}

#[test]
fn without_shared_memory_or_room_in_it_there_is_no_ram_tier() {
    let fake = Fake::new();
    group(&fake, 4096);
    assert!(Capacity::of_ram(&fake.machine, None, FEW).unwrap_err().contains("no room"));
    fs::remove_dir_all(fake.at("/dev/shm")).unwrap();
    assert!(Capacity::of_ram(&fake.machine, None, FEW).unwrap_err().contains("no shared memory"));
}

#[test]
fn shared_memory_without_a_limit_of_its_own_leaves_the_other_bounds() {
    let mut fake = Fake::new();
    fake.machine.space = |_| Ok(super::super::Space { total: 0, available: 0, in_memory: true });
    let capacity = Capacity::of_ram(&fake.machine, None, FEW).unwrap();
    assert_eq!(capacity.tightest().unwrap().what, "main memory");
    assert_eq!(capacity.bytes, 7 * GIB);
}

#[test]
fn the_disk_tier_gets_four_fifths_of_what_is_left() {
    let fake = Fake::new();
    let capacity = Capacity::of_disk(&fake.machine, &fake.at("/var/lib/not/there/yet"), None).unwrap();
    assert_eq!(capacity.bytes, 40 * GIB);
    assert_eq!(capacity.settled, Settled::Share(80));
}

#[test]
fn what_already_lies_in_the_disk_tier_counts_as_left_for_it() {
    let fake = Fake::new();
    let empty = Capacity::of_disk(&fake.machine, &fake.at("/var/lib/pm"), None).unwrap();
    let file = fake.write("/var/lib/pm/ab/payload.bin", &"x".repeat(5 << 20));
    fs::File::open(file).unwrap().sync_all().unwrap();
    let full = Capacity::of_disk(&fake.machine, &fake.at("/var/lib/pm"), None).unwrap();
    assert!(full.bytes > empty.bytes + 2 * MIB, "{} and {}", full.bytes, empty.bytes);
}

#[test]
fn a_disk_wish_beyond_the_file_system_is_capped() {
    let fake = Fake::new();
    let capacity = Capacity::of_disk(&fake.machine, &fake.at("/var/lib"), Some(u64::MAX >> 1)).unwrap();
    assert_eq!(capacity.bytes, 50 * GIB);
    assert!(matches!(capacity.settled, Settled::Capped(_)));
}

#[test]
fn this_machine_has_room_for_both_tiers() {
    let machine = Machine::this().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ram, disk) =
        (Capacity::of_ram(&machine, None, FEW).unwrap(), Capacity::of_disk(&machine, folder.path(), None).unwrap());
    assert!(ram.bytes >= PAGE && disk.bytes >= PAGE);
    assert!(ram.bytes <= ram.tightest().unwrap().room());
}
