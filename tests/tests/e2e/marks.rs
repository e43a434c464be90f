//! Eviction by itself, between the watermarks, in a daemon that nobody asks for room.

use std::fs;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::Tier;
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::AllocatePayloadRequest;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::Code;

const MIB: usize = 1 << 20;

/// A daemon that evicts from 8 MiB of RAM above six of them, down to two.
fn marked() -> Daemon {
    Setup::new().flag("ram", "8MiB").flag("high-watermark", "75").flag("low-watermark", "25").start()
}

async fn taken(rpc: &mut Rpc) -> u64 {
    let ram = rpc.stats().await.unwrap().tiers[0];
    (ram.capacity_bytes - ram.free_bytes) / MIB as u64
}

async fn until_taken(rpc: &Rpc, mib: u64) {
    eventually_async("so much of RAM is taken", || {
        let mut rpc = rpc.clone();
        async move { taken(&mut rpc).await == mib }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_above_its_high_watermark_goes_down_to_the_low_one_by_itself() {
    let daemon = marked();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for seed in 0..6 {
        ids.push(id_of(&rpc.put(Tier::Ram, &v1::pattern(seed, MIB)).await.unwrap()));
    }
    assert_eq!((taken(&mut rpc).await, daemon.disk_files().len()), (6, 0), "not above it yet");
    ids.push(id_of(&rpc.put(Tier::Ram, &v1::pattern(6, MIB)).await.unwrap()));
    until_taken(&rpc, 2).await;
    for (seed, id) in (0..).zip(&ids) {
        let expected = if seed < 5 { Tier::Disk } else { Tier::Ram };
        assert_eq!(rpc.descriptor(id.clone()).await.unwrap().tier(), expected, "payload {seed}");
        assert_eq!(rpc.get(id.clone()).await.unwrap(), v1::pattern(seed, MIB));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_leased_waits_for_its_lease_and_then_goes_by_itself() {
    let daemon = marked();
    let mut rpc = daemon.rpc().await;
    let (mut ids, mut leases) = (Vec::new(), Vec::new());
    for seed in 0..6 {
        ids.push(id_of(&rpc.put(Tier::Ram, &v1::pattern(seed, MIB)).await.unwrap()));
        leases.push(rpc.lease(ids[ids.len() - 1].clone()).await.unwrap());
    }
    let last = id_of(&rpc.put(Tier::Ram, &v1::pattern(6, MIB)).await.unwrap());
    until_taken(&rpc, 6).await;
    assert_eq!(rpc.descriptor(last).await.unwrap().tier(), Tier::Disk, "the only one that nobody read");
    for lease in &leases[..4] {
        rpc.release(lease).await.unwrap();
    }
    until_taken(&rpc, 2).await;
    for (n, id) in ids.into_iter().enumerate() {
        let expected = if n < 4 { Tier::Disk } else { Tier::Ram };
        assert_eq!(rpc.descriptor(id).await.unwrap().tier(), expected, "payload {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_above_the_mark_evicts_what_it_found() {
    let mut daemon = Setup::new().flag("ram", "8MiB").start();
    let mut rpc = daemon.rpc().await;
    for seed in 0..8 {
        rpc.put(Tier::Ram, &v1::pattern(seed, MIB)).await.unwrap();
    }
    daemon.change(|setup| setup.flag("high-watermark", "75").flag("low-watermark", "25"));
    daemon.restart();
    until_taken(&daemon.rpc().await, 2).await;
}

/// Bytes that a process has handed to write calls, whatever became of them.
fn written(daemon: &Daemon) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/io", daemon.pid())).unwrap();
    text.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn evicting_what_has_a_slower_copy_writes_none_of_its_bytes() {
    let daemon = marked();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for seed in 0..7 {
        ids.push(id_of(&rpc.put(Tier::Disk, &v1::pattern(seed, MIB)).await.unwrap()));
    }
    for id in &ids[..6] {
        rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    }
    let before = written(&daemon);
    rpc.promote(ids[6].clone(), Tier::Ram).await.unwrap();
    until_taken(&rpc, 2).await;
    let now = written(&daemon) - before;
    assert!(now < 2 * MIB as u64, "{now} bytes written for a promotion of one MiB and the eviction of five");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slower_copy_that_is_gone_is_written_again_before_the_faster_one_goes() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, MIB);
    for cut in [false, true] {
        let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
        let file = v1::place(&rpc.spill(id.clone()).await.unwrap()).0;
        rpc.promote(id.clone(), Tier::Ram).await.unwrap();
        if cut {
            fs::remove_file(&file).unwrap();
            fs::write(&file, &bytes[..100]).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let spilled = rpc.spill(id.clone()).await.unwrap();
        assert_eq!(spilled.tier(), Tier::Disk);
        assert_eq!(fs::read(v1::place(&spilled).0).unwrap(), bytes);
        assert_eq!(rpc.get(id).await.unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_lives_as_long_as_it_was_given() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let of = |ttl_ms| AllocatePayloadRequest { preferred_tier: Tier::Ram as i32, ttl_ms, ..Default::default() };
    let for_ever = id_of(&rpc.put_with(of(0), b"for ever").await.unwrap());
    let shortest = id_of(&rpc.allocate_with(AllocatePayloadRequest { size_bytes: 8, ..of(1) }).await.unwrap());
    eventually_async("it is gone", || {
        let (mut rpc, id) = (rpc.clone(), shortest.clone());
        async move { rpc.descriptor(id).await.is_err_and(|status| status.code() == Code::NotFound) }
    })
    .await;
    let late = rpc.allocate_with(AllocatePayloadRequest { size_bytes: 8, ..of(1 << 63) }).await.unwrap_err();
    assert_eq!((late.code(), detail(&late).unwrap().known()), (Code::InvalidArgument, Some(Reason::TimeTooLate)));
    assert_eq!(rpc.descriptor(for_ever).await.unwrap().expires_at, None);
}
