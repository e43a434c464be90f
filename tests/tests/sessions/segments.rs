//! Many payloads in one object: who may write it, who reads it, and what is left of it.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::payload_descriptor::Location;
use payload_manager_api::core::v1::{PayloadId, RamLocation, Tier};
use payload_manager_api::runtime::v1::AcquireReadLeaseRequest;
use payload_manager_api::session::v1::{Delete, request::Verb};
use payload_manager_shm::ReadMap;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, eventually, v1};
use tonic::Code;

use crate::client::{Client, Peer, Room, backlog_is_empty, sessions_are, why};

const MIB: usize = 1 << 20;

fn bytes(seed: u64, size: usize) -> Vec<u8> {
    v1::pattern(seed, size)
}

/// Segments that there are, and the memory that they take.
fn segments(daemon: &Daemon) -> (usize, u64) {
    let names: Vec<String> = daemon.shm().into_iter().filter(|name| name.contains("-segment-")).collect();
    let path = |name: &str| Path::new("/dev/shm").join(name.trim_start_matches('/'));
    let taken = |name: &String| path(name).metadata().map_or(0, |meta| meta.blocks() * 512);
    (names.len(), names.iter().map(taken).sum())
}

fn delete(client: &Client, ids: &[PayloadId]) {
    let done = client.done(Verb::Delete(Delete { ids: ids.to_vec(), force: false }));
    assert!(done.into_iter().all(|done| done.is_ok()));
}

/// Where a lease that takes a part, or does not, is on.
async fn leased(rpc: &mut Rpc, id: &PayloadId, accepts_segment_offset: bool) -> RamLocation {
    let id = Some(id.clone());
    let request = AcquireReadLeaseRequest { id, accepts_segment_offset, ..Default::default() };
    let answer = rpc.data.acquire_read_lease(request).await.unwrap().into_inner();
    match answer.payload_descriptor.unwrap().location.unwrap() {
        Location::Ram(ram) => ram,
        other => panic!("not in RAM: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_a_session_lie_in_its_segments_and_are_read_there() {
    let daemon = Daemon::start();
    let (producer, reader) = (Client::of(&daemon), Client::of(&daemon));
    let sizes = [1, 64, 4095, 4096, 5000, 3 * MIB, 20 * MIB];
    let made: Vec<(PayloadId, Room)> = sizes.iter().map(|size| producer.put(&bytes(1, *size))).collect();
    let units: std::collections::BTreeSet<u32> = made.iter().map(|(_, room)| room.ram.slab_id).collect();
    assert!(!units.contains(&0) && units.len() == 3, "small, paged and single: {units:?}");
    for ((id, room), size) in made.iter().zip(sizes) {
        let lease = reader.take(id);
        assert_eq!(lease.face().place.unit, room.ram.slab_id);
        assert_eq!(&reader.map(id)[..], &bytes(1, size)[..]);
        let (segment, file) = reader.segment(room.ram.slab_id).unwrap();
        assert_eq!((segment.length_bytes, &segment.shm_name), (room.ram.segment_bytes, &room.ram.shm_name));
        let part = ReadMap::of_file(&file, room.ram.offset_bytes, size).unwrap();
        assert_eq!(&part[..], &bytes(1, size)[..]);
        assert!(!segment.writable && file.write_all_at(b"x", 0).is_err(), "immutable");
    }
    let none = reader.segment(77).unwrap_err();
    assert_eq!((none.code(), why(&none)), (Code::NotFound, Some(Reason::SegmentNotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_warm_for_the_session_and_is_used_again_once_nobody_reads_it() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (producer, reader) = (Client::of(&daemon), Client::of(&daemon));
    let (first, room) = producer.put(&bytes(1, MIB));
    let lease = reader.take(&first);
    let view = reader.map(&first);
    rpc.spill(first.clone()).await.unwrap();
    let (second, other) = producer.put(&bytes(2, MIB));
    assert_ne!((other.ram.slab_id, other.ram.offset_bytes), (room.ram.slab_id, room.ram.offset_bytes));
    assert_eq!(&view[..], &bytes(1, MIB)[..], "stable-lease");
    drop(lease);
    delete(&producer, &[second]);
    backlog_is_empty(&mut rpc).await;
    let before = segments(&daemon);
    let again: Vec<(PayloadId, Room)> = (0..2).map(|seed| producer.put(&bytes(seed, MIB))).collect();
    assert_eq!(segments(&daemon), before, "nothing new was taken");
    let places = [&room, &other].map(|room| room.ram.offset_bytes);
    assert!(again.iter().all(|(_, room)| places.contains(&room.ram.offset_bytes)));
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_full_what_is_warm_for_one_makes_room_for_others() {
    let daemon = Setup::new().flag("ram", "24MiB").start();
    let mut rpc = daemon.rpc().await;
    let (producer, other) = (Client::of(&daemon), Client::of(&daemon));
    let made: Vec<PayloadId> = (0..5).map(|seed| producer.put(&bytes(seed, 4 * MIB)).0).collect();
    delete(&producer, &made);
    backlog_is_empty(&mut rpc).await;
    assert!(segments(&daemon).1 >= 20 << 20);
    let (id, _) = other.put(&bytes(9, 20 * MIB));
    assert!(segments(&daemon).1 <= 24 << 20, "{:?}", segments(&daemon));
    let own = rpc.put(Tier::Ram, &bytes(8, 3 * MIB)).await.unwrap();
    assert!(segments(&daemon).1 <= 21 << 20, "{:?}", segments(&daemon));
    assert_eq!(rpc.get(own.payload_id.unwrap()).await.unwrap(), bytes(8, 3 * MIB));
    delete(&other, &[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_reader_gets_an_object_of_its_own_and_a_session_reader_does_not_notice() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let producer = Client::of(&daemon);
    let (id, room) = producer.put(&bytes(1, MIB));
    let part = leased(&mut rpc, &id, true).await;
    assert_eq!((part.slab_id, part.offset_bytes), (room.ram.slab_id, room.ram.offset_bytes));
    assert_eq!(part.segment_bytes, room.ram.segment_bytes);
    let lease = producer.take(&id);
    let view = producer.map(&id);
    let own = leased(&mut rpc, &id, false).await;
    assert_eq!((own.slab_id, own.offset_bytes, own.segment_bytes), (0, 0, MIB as u64));
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes(1, MIB));
    assert!(lease.is_valid() && view[..] == bytes(1, MIB)[..]);
    assert_eq!(rpc.clone().stats().await.unwrap().backlog_blocks, 1, "what session leases keep");
    let moved = producer.take(&id);
    assert_eq!(moved.face().place.unit, 0);
    drop((lease, moved));
    // Its other lease runs out by itself.
    rpc.delete(id, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_leak_a_session_that_is_over_leaves_its_payloads_and_nothing_warm() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (producer, reader) = (Client::of(&daemon), Client::of(&daemon));
    let (kept, _) = producer.put(&bytes(1, 5000));
    let (gone, _) = producer.put(&bytes(2, 3 * MIB));
    delete(&producer, &[gone]);
    let lease = reader.take(&kept);
    producer.allocate(&[2 * MIB as u64]).remove(0).unwrap();
    drop(producer);
    sessions_are(&daemon, &rpc, 1).await;
    eventually("only what is alive takes memory", || segments(&daemon) == (1, 8192));
    drop(lease);
    eventually("it has moved out", || segments(&daemon) == (0, 0));
    assert_eq!(rpc.get(kept.clone()).await.unwrap(), bytes(1, 5000));
    rpc.delete(kept, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_kill_payloads_in_segments_their_leases_and_what_is_being_written() {
    let mut daemon = Daemon::start();
    let producer = Client::of(&daemon);
    let made: Vec<(PayloadId, Room)> = [100, 5000, MIB].iter().map(|size| producer.put(&bytes(1, *size))).collect();
    let (gone, _) = producer.put(&bytes(3, 2 * MIB));
    delete(&producer, &[gone]);
    let (late, room) = producer.allocate(&[7000]).remove(0).unwrap();
    let leases: Vec<_> = made.iter().map(|(id, _)| producer.take(id)).collect();
    let view = producer.map(&made[2].0);
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    assert!(leases.iter().all(payload_manager_shm::Lease::is_valid));
    assert_eq!(&view[..], &bytes(1, MIB)[..]);
    assert_eq!(rpc.clone().stats().await.unwrap().backlog_blocks, 0);
    room.write(&bytes(4, 7000));
    let again = Peer::of(&daemon).attach(&producer.welcome).unwrap();
    assert!(again.commit(std::slice::from_ref(&late))[0].is_ok());
    for ((id, old), size) in made.iter().zip([100, 5000, MIB]) {
        assert_eq!(&again.map(id)[..], &bytes(1, size)[..]);
        assert!(!again.segment(old.ram.slab_id).unwrap().0.writable, "nobody fills it any more");
    }
    let (next, fresh) = again.put(&bytes(5, 5000));
    assert!(made.iter().all(|(_, room)| room.ram.slab_id != fresh.ram.slab_id), "numbers are never used again");
    assert_eq!(rpc.get(late.clone()).await.unwrap(), bytes(4, 7000));
    drop((leases, view));
    let all = made.into_iter().map(|(id, _)| id).chain([late, next]).collect::<Vec<_>>();
    delete(&again, &all);
    backlog_is_empty(&mut rpc).await;
    drop((producer, again));
    eventually_async("nothing is left", || async { segments(&daemon) == (0, 0) }).await;
}

/// The segment that it lies in, without a lease; 0 is an object of its own.
async fn lies_in(rpc: &mut Rpc, id: &PayloadId) -> u32 {
    match rpc.descriptor(id.clone()).await.unwrap().location.unwrap() {
        Location::Ram(ram) => ram.slab_id,
        other => panic!("not in RAM: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_leaves_in_nearly_empty_segments_moves_out_once_nobody_reads_it() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (producer, reader) = (Client::of(&daemon), Client::of(&daemon));
    let few: Vec<PayloadId> = (0..3).map(|seed| producer.put(&bytes(seed, 3000)).0).collect();
    let many: Vec<PayloadId> = (3..6).map(|seed| producer.put(&bytes(seed, 3 * MIB)).0).collect();
    let lease = reader.take(&few[0]);
    let view = reader.map(&few[0]);
    let was = lies_in(&mut rpc.clone(), &few[0]).await;
    drop(producer);
    for id in &few[1..] {
        eventually_async("it has an object of its own", || async { lies_in(&mut rpc.clone(), id).await == 0 }).await;
    }
    assert_eq!((lies_in(&mut rpc.clone(), &few[0]).await, &view[..]), (was, &bytes(0, 3000)[..]), "stable-lease");
    for id in &many {
        assert_ne!(lies_in(&mut rpc.clone(), id).await, 0, "what fills a segment is not copied");
    }
    drop((lease, view));
    eventually("the segment is gone", || segments(&daemon).0 == 1);
    for (seed, id) in few.iter().chain(&many).enumerate() {
        let size = if seed < few.len() { 3000 } else { 3 * MIB };
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes(seed as u64, size));
    }
}
