//! Leases taken without a call (promise: stable-lease).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use payload_manager_api::Reason;
use payload_manager_api::admin::v1::{ListLeasesRequest, ListSessionsRequest};
use payload_manager_api::core::v1::Tier;
use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{Open, Opened, open_result};
use payload_manager_shm::Wanted;
use payload_manager_shm::slot::SlotState;
use payload_manager_test_cuda::Machine;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Setup, v1};
use tonic::Code;

use crate::client::{Client, backlog_is_empty, plain, sessions_are, why};

const LENGTH: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_taken_without_a_call_keeps_its_bytes_through_spill_and_promotion() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let client = Client::of(&daemon);
    let lease = client.take(&id);
    let view = client.map(&id);
    assert_eq!(&view[..], &bytes[..]);

    rpc.spill(id.clone()).await.unwrap();
    assert_eq!(rpc.stats().await.unwrap().backlog_bytes, LENGTH as u64, "its memory waits for the lease");
    let (place, _) = client.open(&id).unwrap();
    assert_eq!(u8::try_from(place.generation).unwrap(), lease.block().generation, "what it holds is opened still");
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    assert!(lease.is_valid());
    assert_eq!(&view[..], &bytes[..]);

    let refused = rpc.delete(id.clone(), false).await.unwrap_err();
    assert_eq!((refused.code(), why(&refused)), (Code::Aborted, Some(Reason::Leased)));
    drop(lease);
    rpc.delete(id, false).await.unwrap();
    backlog_is_empty(&mut rpc).await;
    drop(client);
    sessions_are(&daemon, &rpc, 0).await;
}

/// What is leased is opened where the lease is, whatever is faster by then: a copy on a GPU comes without a descriptor.
#[tokio::test(flavor = "multi_thread")]
async fn descriptors_stay_with_their_payloads_when_one_of_them_has_gone_to_a_gpu() {
    let machine = Machine::with_one(64 << 20);
    let setup = machine.environment().into_iter().fold(Setup::new(), |setup, (name, value)| setup.env(name, value));
    let daemon = setup.flag("gpu-memory", "32MiB").start();
    let mut rpc = daemon.rpc().await;
    let (first, second) = (v1::pattern(1, 5000), v1::pattern(2, 5000));
    let ids = [id_of(&rpc.put(Tier::Ram, &first).await.unwrap()), id_of(&rpc.put(Tier::Ram, &second).await.unwrap())];
    let client = Client::of(&daemon);
    let leases = ids.each_ref().map(|id| client.take(id));
    rpc.promote(ids[0].clone(), Tier::Gpu).await.unwrap();

    let (outcome, files) = client.peer.ask(Verb::Open(Open { ids: ids.to_vec() })).unwrap();
    let Outcome::Opened(Opened { results }) = outcome else { panic!("not opened: {outcome:?}") };
    let places = results.into_iter().map(|result| match result.outcome.unwrap() {
        open_result::Outcome::Place(place) => place,
        open_result::Outcome::Error(error) => panic!("{error:?}"),
    });
    let files: Vec<File> = files.into_iter().map(File::from).collect();
    assert_eq!(files.len(), 2);
    for ((place, file), (bytes, lease)) in places.zip(&files).zip([&first, &second].into_iter().zip(&leases)) {
        assert!(!place.on_device && place.generation == u32::from(lease.block().generation));
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, place.offset_bytes).unwrap();
        assert!(found == *bytes, "another payload's bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_gives_back_without_a_word_is_free_soon() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    for seed in 0..3 {
        let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(seed, LENGTH)).await.unwrap());
        let lease = client.take(&id);
        rpc.spill(id).await.unwrap();
        assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1);
        drop(lease);
        backlog_is_empty(&mut rpc).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_delete_takes_the_claim_at_once_and_leaves_the_bytes() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let client = Client::of(&daemon);
    let lease = client.take(&id);
    let view = client.map(&id);

    rpc.delete(id.clone(), true).await.unwrap();
    assert_eq!((lease.is_valid(), lease.state()), (false, Some(SlotState::Revoked)));
    assert_eq!(client.open(&id).unwrap_err().code(), Code::NotFound, "who has no claim opens nothing new");
    let more = id_of(&rpc.put(Tier::Ram, &v1::pattern(2, LENGTH)).await.unwrap());
    assert_eq!(&view[..], &bytes[..], "nobody writes under a holder");
    assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1);
    drop((lease, view));
    backlog_is_empty(&mut rpc).await;
    rpc.delete(more, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_leased_by_a_session_is_passed_over_when_room_is_made() {
    let daemon = Setup::new().flag("ram", "4MiB").start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    let first = id_of(&rpc.put(Tier::Ram, &v1::pattern(0, LENGTH)).await.unwrap());
    let lease = client.take(&first);
    for seed in 1..12 {
        rpc.put(Tier::Ram, &v1::pattern(seed, LENGTH)).await.unwrap();
    }
    assert!(lease.is_valid());
    let left = rpc.descriptor(first).await.unwrap();
    assert_eq!(left.tier, Tier::Ram as i32, "it stayed where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_opened_for_reading_alone() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let client = Client::of(&daemon);
    for (tier, slowest) in
        [(Tier::Ram, payload_manager_types::Tier::Ram), (Tier::Disk, payload_manager_types::Tier::Disk)]
    {
        let bytes = v1::pattern(7, 10_000);
        let id = id_of(&rpc.put(tier, &bytes).await.unwrap());
        assert_eq!(client.open(&id).unwrap_err().code(), Code::NotFound, "nothing is opened without a lease");
        let lease = client.take_down_to(&id, slowest);
        let (place, file) = client.open(&id).unwrap();
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, place.offset_bytes).unwrap();
        assert_eq!(found, bytes);
        assert_eq!(place.length_bytes, 10_000);
        assert_eq!(place.payload_descriptor.unwrap().tier, tier as i32);
        assert!(file.write_all_at(b"x", 0).is_err(), "the descriptor is for reading");
        assert!(lease.is_valid());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_beyond_the_maximum_is_lowered_and_its_bytes_stay() {
    let daemon = Setup::new().flag("lease-max", "1s").flag("lease-default", "1s").start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let client = Client::of(&daemon);
    let wanted = Wanted { duration: Duration::from_secs(24 * 3600), min_tier: payload_manager_types::Tier::Ram };
    let lease = client.table.take(plain(&id), wanted).unwrap();
    let view = client.map(&id);
    let (rpc_now, named) = (&rpc, &id);
    eventually_async("its claim is over", || async { rpc_now.clone().delete(named.clone(), false).await.is_ok() })
        .await;
    assert!(!lease.is_valid());
    assert_eq!(&view[..], &bytes[..]);
    assert_eq!(rpc.stats().await.unwrap().backlog_blocks, 1, "the bytes wait for who may still look at them");
    drop((lease, view));
    backlog_is_empty(&mut rpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_their_leases_are_listed_and_counted() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, LENGTH)).await.unwrap());
    let (one, other) = (Client::of(&daemon), Client::of(&daemon));
    let leases = [one.take(&id), one.take(&id)];
    let by_call = rpc.lease(id.clone()).await.unwrap();
    let stats = rpc.stats().await.unwrap();
    assert_eq!((stats.sessions, stats.live_leases), (2, 3));

    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSessionsRequest { page_size: 1, page_token };
        let page = rpc.admin.list_sessions(request).await.unwrap().into_inner();
        listed.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let facts: Vec<_> = listed.iter().map(|s| (s.session_id, s.pid, s.live_leases, s.leased_bytes)).collect();
    let pid = std::process::id();
    let expected = [(one.welcome.session_id, pid, 2, LENGTH as u64), (other.welcome.session_id, pid, 0, 0)];
    assert_eq!(facts, expected);

    for payload_id in [None, Some(id)] {
        let mut of = Vec::new();
        let mut request = ListLeasesRequest { id: payload_id.clone(), page_size: 1, ..Default::default() };
        loop {
            let page = rpc.admin.list_leases(request.clone()).await.unwrap().into_inner();
            of.extend(page.leases.into_iter().map(|lease| lease.session_id));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(of, [0, one.welcome.session_id, one.welcome.session_id]);
    }
    drop(leases);
    rpc.release(&by_call).await.unwrap();
    assert_eq!(rpc.stats().await.unwrap().live_leases, 0);
}
