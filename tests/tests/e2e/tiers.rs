//! Tiers as caches of each other: what is full makes room, what is written once is not written again, and leases go on
//! meanwhile.

use std::os::unix::fs::MetadataExt;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{EvictionPolicy, EvictionPriority, PayloadId, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::{AllocatePayloadRequest, SpillRequest};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Setup, skip, v1};
use tonic::Code;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn more_than_ram_holds_goes_through_it_and_every_byte_comes_back() {
    let daemon = Setup::new().flag("ram", "8MiB").flag("high-watermark", "90").start();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for seed in 0..24 {
        let stored = rpc.put(Tier::Ram, &v1::pattern(seed, MIB)).await.unwrap();
        assert_eq!(stored.tier(), Tier::Ram);
        ids.push(id_of(&stored));
    }
    let stats = rpc.stats().await.unwrap();
    assert_eq!(stats.payloads_ram + stats.payloads_disk, 24);
    assert!(stats.bytes_ram <= 8 * MIB as u64 && stats.payloads_disk >= 16, "{stats:?}");
    for (seed, id) in (0..).zip(&ids) {
        assert_eq!(rpc.get(id.clone()).await.unwrap(), v1::pattern(seed, MIB), "payload {seed}, where it is");
    }
    for (seed, id) in (0..).zip(&ids) {
        let promoted = rpc.promote(id.clone(), Tier::Ram).await.unwrap();
        assert_eq!(promoted.tier(), Tier::Ram);
        assert_eq!(rpc.get(id.clone()).await.unwrap(), v1::pattern(seed, MIB), "payload {seed}, promoted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_evicted_stays_and_a_full_tier_says_so_with_numbers() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let never = EvictionPolicy { priority: EvictionPriority::Never as i32, ..Default::default() };
    let preferred_tier = Tier::Ram as i32;
    let held = AllocatePayloadRequest { preferred_tier, eviction_policy: Some(never), ..Default::default() };
    let barred = AllocatePayloadRequest { preferred_tier, no_evict: true, ..Default::default() };
    let never = id_of(&rpc.put_with(held, &v1::pattern(1, MIB)).await.unwrap());
    let barred = id_of(&rpc.put_with(barred, &v1::pattern(2, MIB)).await.unwrap());
    let leased = id_of(&rpc.put(Tier::Ram, &v1::pattern(3, MIB)).await.unwrap());
    let _lease = rpc.lease(leased.clone()).await.unwrap();
    let uncommitted = id_of(&rpc.allocate(Tier::Ram, MIB as u64).await.unwrap());

    let full = rpc.allocate(Tier::Ram, MIB as u64).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    let told = detail(&full).unwrap();
    assert_eq!(told.known(), Some(Reason::TierFull));
    let fact = |name: &str| told.metadata.get(name).map(String::as_str);
    assert_eq!((fact("tier"), fact("asked_bytes"), fact("free_bytes")), (Some("RAM"), Some("1048576"), Some("0")));
    assert_eq!(fact("capacity_bytes"), Some("4194304"));
    for id in [never, barred, leased, uncommitted] {
        assert_eq!(rpc.descriptor(id).await.unwrap().tier(), Tier::Ram, "a refusal changes nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn low_goes_before_normal_and_normal_before_high() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let mut put = async |priority: EvictionPriority, seed: u64| {
        let policy = EvictionPolicy { priority: priority as i32, ..Default::default() };
        let preferred_tier = Tier::Ram as i32;
        let request = AllocatePayloadRequest { preferred_tier, eviction_policy: Some(policy), ..Default::default() };
        id_of(&rpc.put_with(request, &v1::pattern(seed, MIB)).await.unwrap())
    };
    let high = put(EvictionPriority::High, 1).await;
    let normal = put(EvictionPriority::Normal, 2).await;
    let low = put(EvictionPriority::Low, 3).await;
    for expected in [[Tier::Ram, Tier::Ram, Tier::Disk], [Tier::Ram, Tier::Disk, Tier::Disk]] {
        // The first one finds room; each further one costs the lowest class a payload.
        while rpc.stats().await.unwrap().tiers[0].free_bytes >= MIB as u64 {
            rpc.allocate(Tier::Ram, MIB as u64).await.unwrap();
        }
        rpc.allocate(Tier::Ram, MIB as u64).await.unwrap();
        let mut found = Vec::new();
        for id in [&high, &normal, &low] {
            found.push(rpc.descriptor(id.clone()).await.unwrap().tier());
        }
        assert_eq!(found, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_evicted_to_void_is_deleted_when_room_is_needed_unless_somebody_reads_it() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let policy = EvictionPolicy { spill_target: Tier::Void as i32, ..Default::default() };
    let preferred_tier = Tier::Ram as i32;
    let request = AllocatePayloadRequest { preferred_tier, eviction_policy: Some(policy), ..Default::default() };
    let read = id_of(&rpc.put_with(request.clone(), &v1::pattern(1, MIB)).await.unwrap());
    let unread = id_of(&rpc.put_with(request, &v1::pattern(2, MIB)).await.unwrap());
    let lease = rpc.lease(read.clone()).await.unwrap();
    for _ in 0..3 {
        rpc.allocate(Tier::Ram, MIB as u64).await.unwrap();
    }
    assert_eq!(rpc.descriptor(unread).await.unwrap_err().code(), Code::NotFound, "its policy says so");
    assert_eq!(rpc.allocate(Tier::Ram, MIB as u64).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(rpc.get(read.clone()).await.unwrap(), v1::pattern(1, MIB), "a read beats an eviction");
    rpc.release(&lease).await.unwrap();
    rpc.allocate(Tier::Ram, MIB as u64).await.unwrap();
    assert_eq!(rpc.descriptor(read).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(daemon.disk_files(), Vec::<std::path::PathBuf>::new(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_spill_writes_no_bytes() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, MIB)).await.unwrap());
    let first = rpc.spill(id.clone()).await.unwrap();
    let file = std::fs::metadata(v1::place(&first).0).unwrap();
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    let second = rpc.spill(id.clone()).await.unwrap();
    let again = std::fs::metadata(v1::place(&second).0).unwrap();
    assert_eq!((file.ino(), file.mtime_nsec()), (again.ino(), again.mtime_nsec()), "the same file, not written again");
    assert!(second.version > first.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_who_asks_for_the_same_copy_gets_it_and_it_is_made_once() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Disk, &v1::pattern(1, 8 * MIB)).await.unwrap());
    let before = rpc.descriptor(id.clone()).await.unwrap().version;
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let (mut rpc, id) = (rpc.clone(), id.clone());
            tokio::spawn(async move { rpc.promote(id, Tier::Ram).await })
        })
        .collect();
    for promoted in asked {
        let promoted = promoted.await.unwrap().unwrap();
        assert_eq!((promoted.tier(), promoted.version), (Tier::Ram, before + 1));
    }
    let stats = rpc.stats().await.unwrap();
    assert_eq!(stats.tiers[0].capacity_bytes - stats.tiers[0].free_bytes, 8 * MIB as u64, "one copy");
}

/// How many payloads of 64 MiB are a gigabyte.
const GIGABYTE: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn while_a_gigabyte_is_spilled_leases_on_other_payloads_go_on() {
    let daemon = Setup::new().flag("ram", "1100MiB").flag("disk", "1100MiB").start();
    let mut rpc = daemon.rpc().await;
    let bounds = rpc.stats().await.unwrap().tiers;
    if bounds.iter().any(|tier| tier.capacity_bytes < 1100 * MIB as u64) {
        return skip("while_a_gigabyte_is_spilled_leases_on_other_payloads_go_on", "a gigabyte of RAM and DISK each");
    }
    let mut bytes = v1::pattern(1, 64 * MIB);
    let mut ids: Vec<PayloadId> = Vec::new();
    for number in 0..GIGABYTE {
        bytes[number] = !bytes[number];
        ids.push(id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap()));
    }
    let other = id_of(&rpc.put(Tier::Ram, &v1::pattern(2, 4096)).await.unwrap());

    let (mut spiller, request) = (rpc.clone(), SpillRequest { ids: ids.clone(), fsync: true, ..Default::default() });
    let spill = tokio::spawn(async move { spiller.spill_all(request).await });
    let (mut leases, mut under_way) = (0, 0);
    while !spill.is_finished() {
        let lease = rpc.lease(other.clone()).await.unwrap();
        rpc.release(&lease).await.unwrap();
        leases += 1;
        // In DISK are those that are through: while one is and not all are, bytes are moving.
        let through = rpc.stats().await.unwrap().payloads_disk;
        under_way += usize::from(through > 0 && through < GIGABYTE as u64);
    }
    let results = spill.await.unwrap().unwrap();
    assert!(results.iter().all(|result| result.ok), "{results:?}");
    assert!(leases > 10 && under_way > 0, "{leases} leases during the spill, {under_way} in its middle");
    println!("{leases} leases while a gigabyte was spilled");

    let mut expected = v1::pattern(1, 64 * MIB);
    for (number, id) in ids.into_iter().enumerate() {
        expected[number] = !expected[number];
        let now = rpc.descriptor(id).await.unwrap();
        assert_eq!(now.tier(), Tier::Disk);
        assert!(v1::map(&now).unwrap()[..] == expected[..], "payload {number} is not what it was");
    }
}
