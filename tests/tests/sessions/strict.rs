//! STRICT: what its producer still holds after the commit changes nothing (promise: immutable).

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadState, Protection, Tier};
use payload_manager_api::runtime::v1::AllocatePayloadRequest;
use payload_manager_shm::WriteMap;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::Code;

use crate::client::{Client, why};

/// One that would be committed at once, and one that takes several reads.
const SIZES: [usize; 2] = [5000, (1 << 20) + 5];

fn strict(tier: Tier, size: usize) -> AllocatePayloadRequest {
    AllocatePayloadRequest {
        size_bytes: size as u64,
        preferred_tier: tier as i32,
        protection: Protection::Strict as i32,
        ..Default::default()
    }
}

/// Bytes taken of a tier.
async fn taken(rpc: &Rpc, tier: Tier) -> u64 {
    let stats = rpc.clone().stats().await.unwrap();
    stats.tiers.iter().filter(|t| t.tier() == tier).map(|t| t.capacity_bytes - t.free_bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_producer_still_maps_changes_nothing_of_what_readers_of_a_strict_payload_see() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for (tier, size) in [Tier::Ram, Tier::Disk].into_iter().flat_map(|tier| SIZES.map(|size| (tier, size))) {
        let bytes = v1::pattern(1, size);
        let made = rpc.allocate_with(strict(tier, size)).await.unwrap();
        let (path, offset, _) = v1::place(&made);
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut map = WriteMap::of_file(&file, offset, size).unwrap();
        map.copy_from_slice(&bytes);
        let done = rpc.commit(id_of(&made)).await.unwrap();
        assert_eq!(done.protection(), Protection::Strict);
        assert!(done.integrity.is_some(), "the copy made its checksum");
        let reader = v1::map(&done).unwrap();
        map.fill(0xee);
        file.set_len(1).unwrap();
        assert_eq!(&reader[..], &bytes[..], "{tier:?} {size}: under a mapping from before");
        assert_eq!(rpc.get(id_of(&made)).await.unwrap(), bytes, "{tier:?} {size}");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400, "{tier:?}: nobody can open it for writing");
        rpc.delete(id_of(&made), false).await.unwrap();
    }
    assert_eq!(daemon.shm().iter().filter(|name| name.ends_with(".tmp")).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_still_maps_changes_nothing_of_its_strict_payloads() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (client, reader) = (Client::of(&daemon), Client::of(&daemon));
    let sizes = SIZES.map(|size| size as u64);
    let made: Vec<_> = client.allocate_as(Protection::Strict, &sizes).into_iter().map(Result::unwrap).collect();
    for ((id, room), size) in made.iter().zip(SIZES) {
        assert_eq!(
            (room.ram.slab_id, room.ram.offset_bytes),
            (0, 0),
            "never in a segment, which its producer can write"
        );
        let bytes = v1::pattern(2, size);
        let mut map = WriteMap::of_file(&room.file, 0, size).unwrap();
        map.copy_from_slice(&bytes);
        client.commit(std::slice::from_ref(id)).remove(0).unwrap();
        let lease = reader.take(id);
        let seen = reader.map(id);
        map.fill(0xee);
        room.file.set_len(0).unwrap();
        assert_eq!(&seen[..], &bytes[..]);
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
        // It goes down and up again with the checksum that the copy made.
        rpc.spill(id.clone()).await.unwrap();
        assert_eq!(rpc.promote(id.clone(), Tier::Ram).await.unwrap().protection(), Protection::Strict);
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
        drop(lease);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_commit_counts_its_second_copy_and_may_be_tried_again_when_there_is_room() {
    let daemon = Setup::new().flag("ram", "1MiB").start();
    let mut rpc = daemon.rpc().await;
    let size = 400 << 10;
    let stays = AllocatePayloadRequest { preferred_tier: Tier::Ram as i32, no_evict: true, ..Default::default() };
    let stays = id_of(&rpc.put_with(stays, &v1::pattern(1, size)).await.unwrap());
    let made = rpc.allocate_with(strict(Tier::Ram, size)).await.unwrap();
    let (id, bytes) = (id_of(&made), v1::pattern(2, size));
    v1::write(&made, &bytes).unwrap();
    let before = taken(&rpc, Tier::Ram).await;
    let full = rpc.commit(id.clone()).await.unwrap_err();
    assert_eq!((full.code(), why(&full)), (Code::ResourceExhausted, Some(Reason::TierFull)), "{full:?}");
    assert_eq!(rpc.descriptor(id.clone()).await.unwrap().state(), PayloadState::Allocated);
    assert_eq!(taken(&rpc, Tier::Ram).await, before);
    rpc.delete(stays, false).await.unwrap();
    assert_eq!(rpc.commit(id.clone()).await.unwrap().state(), PayloadState::Active);
    assert_eq!(taken(&rpc, Tier::Ram).await, size as u64, "one copy is left");
    assert_eq!(rpc.get(id).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_commit_makes_room_for_its_second_copy_by_evicting() {
    let daemon = Setup::new().flag("ram", "1MiB").start();
    let mut rpc = daemon.rpc().await;
    let size = 400 << 10;
    let goes = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, size)).await.unwrap());
    let done = rpc.put_with(strict(Tier::Ram, size), &v1::pattern(2, size)).await.unwrap();
    assert_eq!(rpc.get(id_of(&done)).await.unwrap(), v1::pattern(2, size));
    assert_eq!(rpc.descriptor(goes).await.unwrap().tier(), Tier::Disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_payload_that_its_producer_cut_may_be_put_right_and_committed() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for tier in [Tier::Ram, Tier::Disk] {
        let made = rpc.allocate_with(strict(tier, SIZES[0])).await.unwrap();
        let (path, ..) = v1::place(&made);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        let cut = rpc.commit(id_of(&made)).await.unwrap_err();
        assert_eq!((cut.code(), why(&cut)), (Code::FailedPrecondition, Some(Reason::SizeMismatch)), "{cut:?}");
        v1::write(&made, &v1::pattern(3, SIZES[0])).unwrap();
        rpc.commit(id_of(&made)).await.unwrap();
        assert_eq!(rpc.get(id_of(&made)).await.unwrap(), v1::pattern(3, SIZES[0]));
    }
}
