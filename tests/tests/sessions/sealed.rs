//! SEALED: once committed nobody can change it, whoever they are and whatever they still hold (promise: immutable).

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadDescriptor, PayloadId, PayloadState, Protection, Tier};
use payload_manager_api::runtime::v1::AllocatePayloadRequest;
use payload_manager_api::session::v1::{Abort, Delete, request::Verb};
use payload_manager_client::{CreateOptions, Protection as Own};
use payload_manager_shm::WriteMap;
use payload_manager_shm::memfd::{self, Access};
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::Code;

use crate::client::{Client, Peer, Room, backlog_is_empty, sessions_are, why};

const SIZE: usize = (1 << 20) + 5;

/// Allocated and filled.
fn filled(client: &Client, bytes: &[u8]) -> (PayloadId, Room) {
    let (id, room) = client.allocate_as(Protection::Sealed, &[bytes.len() as u64]).remove(0).unwrap();
    room.file.write_all_at(bytes, 0).unwrap();
    (id, room)
}

fn put(client: &Client, bytes: &[u8]) -> (PayloadId, File) {
    let (id, room) = filled(client, bytes);
    client.commit(std::slice::from_ref(&id)).remove(0).unwrap();
    (id, room.file)
}

async fn shown(rpc: &mut Rpc, id: &PayloadId) -> PayloadDescriptor {
    rpc.descriptor(id.clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_read_by_every_session_and_changed_by_nobody() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let (producer, reader) = (Client::of(&daemon), Client::of(&daemon));
    for size in [1, 5000, SIZE] {
        let bytes = v1::pattern(1, size);
        let (id, room) = filled(&producer, &bytes);
        assert_eq!((room.ram.slab_id, room.ram.shm_name.as_str()), (0, ""), "it has no name");
        assert!(shown(&mut rpc, &id).await.dies_with_daemon, "said at allocation");
        producer.commit(std::slice::from_ref(&id)).remove(0).unwrap();
        let done = shown(&mut rpc, &id).await;
        assert_eq!((done.protection(), done.state()), (Protection::Sealed, PayloadState::Active));
        assert!(done.dies_with_daemon);
        let lease = reader.take(&id);
        let view = reader.map(&id);
        let (_, opened) = reader.open(&id).unwrap();
        let wider = memfd::open_again(&opened, Access::Write).unwrap();
        for file in [&room.file, &opened, &wider] {
            file.write_all_at(b"x", 0).unwrap_err();
            file.set_len(0).unwrap_err();
            WriteMap::of_file(file, 0, size).map(drop).unwrap_err();
        }
        assert_eq!(room.file.write_all_at(b"x", 0).unwrap_err().raw_os_error(), Some(Errno::EPERM as i32));
        assert_eq!(&view[..], &bytes[..]);
        drop(lease);
    }
    assert!(daemon.shm().iter().all(|name| !name.contains("-segment-")), "never in a segment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_who_has_it_mapped_is_told_so_and_may_commit_once_it_has_not() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    for size in [5000, SIZE] {
        let bytes = v1::pattern(2, size);
        let (id, room) = client.allocate_as(Protection::Sealed, &[size as u64]).remove(0).unwrap();
        let mut map = WriteMap::of_file(&room.file, 0, size).unwrap();
        map.copy_from_slice(&bytes);
        let busy = client.commit(std::slice::from_ref(&id)).remove(0).unwrap_err();
        assert_eq!((busy.code(), why(&busy)), (Code::FailedPrecondition, Some(Reason::StillMapped)), "{busy:?}");
        assert!(busy.message().contains("unmap it first"), "{busy:?}");
        assert_eq!(shown(&mut rpc, &id).await.state(), PayloadState::Allocated);
        drop(map);
        client.commit(std::slice::from_ref(&id)).remove(0).unwrap();
        let lease = client.take(&id);
        assert_eq!(&client.map(&id)[..], &bytes[..]);
        drop(lease);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_producer_cut_is_not_sealed_until_it_is_put_right() {
    let daemon = Daemon::start();
    let client = Client::of(&daemon);
    let bytes = v1::pattern(3, SIZE);
    let (id, room) = filled(&client, &bytes);
    room.file.set_len(7).unwrap();
    let cut = client.commit(std::slice::from_ref(&id)).remove(0).unwrap_err();
    assert_eq!((cut.code(), why(&cut)), (Code::FailedPrecondition, Some(Reason::SizeMismatch)), "{cut:?}");
    room.file.write_all_at(&bytes, 0).unwrap();
    client.commit(std::slice::from_ref(&id)).remove(0).unwrap();
    let lease = client.take(&id);
    assert_eq!(&client.map(&id)[..], &bytes[..]);
    drop(lease);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_reader_is_refused_until_it_is_spilled_and_nobody_outside_a_session_makes_one() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    let bytes = v1::pattern(4, SIZE);
    let (id, _) = put(&client, &bytes);
    let refused = rpc.get(id.clone()).await.unwrap_err();
    assert_eq!((refused.code(), why(&refused)), (Code::FailedPrecondition, Some(Reason::SealedNeedsSession)));
    let (lease, view) = (client.take(&id), client.map(&id));
    assert!(!rpc.spill(id.clone()).await.unwrap().dies_with_daemon, "a file outlives the daemon");
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    assert_eq!(&view[..], &bytes[..], "stable-lease");
    drop(lease);
    backlog_is_empty(&mut rpc).await;
    // What comes back is the daemon's copy, in an object that no client ever had for writing.
    assert!(!rpc.promote(id.clone(), Tier::Ram).await.unwrap().dies_with_daemon);
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    let asked = AllocatePayloadRequest {
        size_bytes: 5,
        preferred_tier: Tier::Ram as i32,
        protection: Protection::Sealed as i32,
        ..Default::default()
    };
    let refused = rpc.allocate_with(asked).await.unwrap_err();
    assert_eq!((refused.code(), why(&refused)), (Code::FailedPrecondition, Some(Reason::SealedNeedsSession)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_dies_with_the_daemon_and_what_was_spilled_does_not() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    let bytes = v1::pattern(5, SIZE);
    let ((lost, _), (kept, _)) = (put(&client, &bytes), put(&client, &bytes));
    let (unfinished, _) = filled(&client, &bytes);
    let (lease, view) = (client.take(&lost), client.map(&lost));
    let (held, above) = (client.take(&kept), client.map(&kept));
    rpc.spill(kept.clone()).await.unwrap();
    daemon.restart();
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.clone().stats().await.unwrap().backlog_blocks, 1, "what a lease keeps is still counted");
    assert!(held.is_valid() && above[..] == bytes[..], "stable-lease");
    let again = Peer::of(&daemon).attach(&client.welcome).unwrap();
    let gone = rpc.get(lost.clone()).await.unwrap_err();
    assert_eq!((gone.code(), why(&gone)), (Code::DataLoss, Some(Reason::BytesLost)), "{gone:?}");
    assert_eq!(rpc.get(kept).await.unwrap(), bytes);
    assert_eq!(rpc.descriptor(unfinished).await.unwrap_err().code(), Code::NotFound, "its bytes were nobody's yet");
    assert_eq!(&view[..], &bytes[..], "who has it mapped keeps it");
    drop((lease, held));
    rpc.delete(lost, true).await.unwrap();
    backlog_is_empty(&mut rpc).await;
    let (id, _) = put(&again, &bytes);
    again.done(Verb::Delete(Delete { ids: vec![id], force: false })).remove(0).unwrap();
    backlog_is_empty(&mut rpc).await;
    let stats = rpc.stats().await.unwrap();
    let ram = stats.tiers.iter().find(|tier| tier.tier() == Tier::Ram).unwrap();
    assert_eq!(ram.free_bytes, ram.capacity_bytes, "no-leak");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_leak_sealed_memory_goes_with_its_payload_and_with_its_session() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    let bytes = v1::pattern(6, SIZE);
    let (id, file) = put(&client, &bytes);
    assert!(matches!(descriptors(&daemon), None | Some(1)), "one a payload");
    drop(file);
    client.done(Verb::Delete(Delete { ids: vec![id], force: false })).remove(0).unwrap();
    let (given_up, _) = filled(&client, &bytes);
    client.done(Verb::Abort(Abort { ids: vec![given_up] })).remove(0).unwrap();
    let (_left, _) = filled(&client, &bytes);
    drop(client);
    sessions_are(&daemon, &rpc, 0).await;
    backlog_is_empty(&mut rpc).await;
    payload_manager_tests::eventually("nothing of them is left", || matches!(descriptors(&daemon), None | Some(0)));
    let stats = rpc.stats().await.unwrap();
    let ram = stats.tiers.iter().find(|tier| tier.tier() == Tier::Ram).unwrap();
    assert_eq!(ram.free_bytes, ram.capacity_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_full_there_are_as_many_as_the_daemon_has_descriptors_for() {
    let daemon = Setup::new().wrapper(&["sh", "-c", "ulimit -n 256 && exec \"$0\" \"$@\""]).start();
    let client = Client::of(&daemon);
    let made = client.allocate_as(Protection::Sealed, &[1; 40]).into_iter().map(Result::unwrap);
    let mut made: Vec<PayloadId> = made.map(|(id, _)| id).collect();
    made.extend(client.allocate_as(Protection::Sealed, &[1; 24]).into_iter().map(|made| made.unwrap().0));
    let full = client.allocate_as(Protection::Sealed, &[1]).remove(0).unwrap_err();
    assert_eq!((full.code(), why(&full)), (Code::ResourceExhausted, Some(Reason::SealedLimit)), "{full:?}");
    assert!(full.message().contains("(64)"), "{full:?}");
    client.put(b"what is not sealed takes none");
    client.done(Verb::Abort(Abort { ids: made })).into_iter().for_each(Result::unwrap);
    payload_manager_tests::eventually("there is room again", || {
        client.allocate_as(Protection::Sealed, &[1]).remove(0).is_ok()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_crate_makes_and_reads_them_and_strict_ones() {
    let daemon = Daemon::start();
    let producer = connect(&daemon).await;
    let reader = connect(&daemon).await;
    for protection in [Own::Strict, Own::Sealed] {
        let bytes = v1::pattern(7, SIZE);
        let options = CreateOptions { protection, ..CreateOptions::default() };
        let mut payload = producer.create_with(SIZE as u64, options).await.unwrap();
        payload.copy_from_slice(&bytes);
        assert_eq!(payload.descriptor().dies_with_daemon, protection == Own::Sealed);
        let id = payload.commit().await.unwrap().id;
        let view = reader.read(id).await.unwrap();
        let shown = view.descriptor();
        assert_eq!((shown.protection, shown.dies_with_daemon), (protection, protection == Own::Sealed));
        assert_eq!(&view[..], &bytes[..]);
        drop(view);
        let spilled = reader.spill(id).await.unwrap();
        assert!(!spilled.is_some_and(|shown| shown.dies_with_daemon));
        assert_eq!(&reader.read(id).await.unwrap()[..], &bytes[..]);
    }
    let options =
        CreateOptions { protection: Own::Sealed, tier: payload_manager_client::Tier::Disk, ..CreateOptions::default() };
    let refused = producer.create_with(1, options).await.map(drop).unwrap_err();
    assert_eq!(refused.reason(), Some(payload_manager_client::Reason::SealedNeedsSession), "no file can be sealed");
}

async fn connect(daemon: &Daemon) -> payload_manager_client::Client {
    payload_manager_client::Client::connect(daemon.socket()).await.unwrap()
}

/// Descriptors of memory without a name that the daemon has; `None` where that can't be seen.
fn descriptors(daemon: &Daemon) -> Option<usize> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).ok()?;
    // One that was closed meanwhile is none.
    let target = |fd: std::io::Result<std::fs::DirEntry>| std::fs::read_link(fd.ok()?.path()).ok();
    Some(open.filter_map(target).filter(|target| target.to_string_lossy().contains("memfd:payload-")).count())
}
