//! Clients that spoil what they may write: their own lease pages and their own payloads.

use std::fs::File;
use std::os::unix::fs::FileExt;

use payload_manager_api::admin::v1::{ListLeasesRequest, ListSessionsRequest};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_shm::object::punch;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, eventually, v1};

use crate::client::{Client, backlog_is_empty, sessions_are};

const LENGTH: usize = 1 << 20;

/// What a client can do to a file that it may write, and in words.
type Spoil = (&'static str, fn(&File));

const SPOIL: [Spoil; 6] = [
    ("cut to nothing", |file| file.set_len(0).unwrap()),
    ("cut to a part of a page", |file| file.set_len(100).unwrap()),
    ("cut to its first page", |file| file.set_len(4096).unwrap()),
    ("grown", |file| file.set_len(4 << 20).unwrap()),
    ("punched", |file| punch(file, 0, file.metadata().unwrap().len()).unwrap()),
    ("written over", |file| {
        file.write_all_at(&vec![0xff; usize::try_from(file.metadata().unwrap().len()).unwrap()], 0).unwrap()
    }),
];

/// Everything that makes the daemon look at lease pages.
async fn make_it_look(rpc: &mut Rpc, id: &PayloadId) {
    rpc.spill(id.clone()).await.unwrap();
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    rpc.stats().await.unwrap();
    rpc.list().await.unwrap();
    rpc.admin.list_leases(ListLeasesRequest::default()).await.unwrap();
    rpc.admin.list_sessions(ListSessionsRequest::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_cut_or_punched_or_grown_harms_its_owner_alone() {
    let daemon = Setup::new().flag("lease-max", "1s").flag("lease-default", "1s").start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let good = Client::of(&daemon);
    for (what, spoil) in SPOIL {
        let (bad, other) = (Client::of(&daemon), good.take(&id));
        let view = good.map(&id);
        // Not given back: that would be a write to what is not there.
        std::mem::forget(bad.take(&id));
        spoil(&bad.page);
        make_it_look(&mut rpc, &id).await;
        assert_eq!(&view[..], &bytes[..], "{what}");
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes, "{what}");
        drop((other, view));
        let again = good.take(&id);
        assert_eq!(&good.map(&id)[..], &bytes[..], "{what}");
        drop((again, bad));
    }
    drop(good);
    // What those held whose pages are as they were goes with their deadlines, not later.
    let (now, named) = (&rpc, &id);
    eventually_async("it can be deleted", || async { now.clone().delete(named.clone(), false).await.is_ok() }).await;
    backlog_is_empty(&mut rpc).await;
    sessions_are(&daemon, &rpc, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_spoils_its_payload_harms_those_who_read_that_alone() {
    let daemon = Daemon::start();
    let own = daemon.shm();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let others = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let good = Client::of(&daemon);
    for (what, spoil) in SPOIL {
        for committed_first in [false, true] {
            // What it spoils is its segment, with all that it would put into it later.
            let bad = Client::of(&daemon);
            let (id, room) = bad.allocate(&[LENGTH as u64]).remove(0).unwrap();
            if !committed_first {
                spoil(&room.file);
            }
            let committed = bad.commit(std::slice::from_ref(&id)).remove(0);
            if committed_first {
                committed.unwrap();
                spoil(&room.file);
            }
            let moved = rpc.spill(id.clone()).await;
            let is_short = what.starts_with("cut");
            assert!(!is_short || moved.is_err(), "{what}: bytes that are not there were copied");
            let _ = rpc.promote(id.clone(), Tier::Ram).await;
            make_it_look(&mut rpc, &others).await;
            let lease = good.take(&others);
            assert!(good.map(&others)[..] == bytes[..] && lease.is_valid(), "{what}");
            drop(lease);
            rpc.delete(id, true).await.unwrap();
        }
    }
    rpc.delete(others, false).await.unwrap();
    drop(good);
    backlog_is_empty(&mut rpc).await;
    sessions_are(&daemon, &rpc, 0).await;
    eventually("nothing is left of them", || daemon.shm() == own && daemon.disk_files().is_empty());
    let stats = rpc.stats().await.unwrap();
    assert!(stats.tiers.iter().all(|tier| tier.free_bytes == tier.capacity_bytes), "{stats:?}");
}
