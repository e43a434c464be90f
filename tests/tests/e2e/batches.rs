//! Leases by the dozen, and who holds what.

use std::collections::BTreeSet;

use payload_manager_api::admin::v1::{LeaseInfo, ListLeasesRequest};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::acquire_read_lease_result::Outcome;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeaseResponse, AcquireReadLeasesRequest, ReleaseLeasesRequest,
};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, v1};

async fn lease_all(rpc: &mut Rpc, ids: &[PayloadId], min_tier: Tier) -> Vec<AcquireReadLeaseResponse> {
    let ask = |id: &PayloadId| AcquireReadLeaseRequest {
        id: Some(id.clone()),
        min_tier: min_tier as i32,
        ..Default::default()
    };
    let request = AcquireReadLeasesRequest { requests: ids.iter().map(ask).collect() };
    let results = rpc.data.acquire_read_leases(request).await.unwrap().into_inner().results;
    let lease = |outcome| match outcome {
        Some(Outcome::Response(lease)) => lease,
        other => panic!("{other:?}"),
    };
    results.into_iter().map(|result| lease(result.outcome)).collect()
}

async fn release_all(rpc: &mut Rpc, leases: &[AcquireReadLeaseResponse]) {
    let lease_ids = leases.iter().map(|lease| lease.lease_id.clone().unwrap()).collect();
    rpc.data.release_leases(ReleaseLeasesRequest { lease_ids }).await.unwrap();
}

/// Every lease that is listed, page by page.
async fn listed(rpc: &mut Rpc, id: Option<PayloadId>, page_size: i32) -> Vec<LeaseInfo> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListLeasesRequest { id: id.clone(), page_size, page_token };
        let page = rpc.admin.list_leases(request).await.unwrap().into_inner();
        assert!(page.leases.len() <= usize::try_from(page_size).unwrap());
        all.extend(page.leases);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_leases_are_taken_and_given_back_in_one_call_each() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(id_of(&rpc.put(Tier::Ram, &v1::pattern(number, 50)).await.unwrap()));
    }
    let asked: Vec<PayloadId> = ids.iter().cycle().take(1000).cloned().collect();
    let leases = lease_all(&mut rpc, &asked, Tier::Unspecified).await;
    let of: Vec<PayloadId> = leases.iter().map(|lease| id_of(lease.payload_descriptor.as_ref().unwrap())).collect();
    assert_eq!(of, asked, "in the order they were asked for");
    let names: BTreeSet<Vec<u8>> = leases.iter().map(|lease| lease.lease_id.clone().unwrap().value).collect();
    assert_eq!((names.len(), rpc.stats().await.unwrap().live_leases), (1000, 1000));
    let all = listed(&mut rpc, None, 300).await;
    assert_eq!(all.len(), 1000);
    assert_eq!(listed(&mut rpc, Some(ids[3].clone()), 7).await.len(), 50);
    release_all(&mut rpc, &leases).await;
    release_all(&mut rpc, &leases).await;
    assert_eq!((rpc.stats().await.unwrap().live_leases, listed(&mut rpc, None, 1).await), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_promotes_what_must_be_and_every_lease_has_its_time() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut ids = Vec::new();
    for number in 0..8 {
        let tier = if number % 2 == 0 { Tier::Disk } else { Tier::Ram };
        ids.push(id_of(&rpc.put(tier, &v1::pattern(number, 300_000)).await.unwrap()));
    }
    let leases = lease_all(&mut rpc, &ids, Tier::Ram).await;
    for (number, lease) in (0..).zip(&leases) {
        let now = lease.payload_descriptor.as_ref().unwrap();
        assert_eq!(now.tier(), Tier::Ram);
        assert_eq!(v1::read(now).unwrap(), v1::pattern(number, 300_000));
    }
    assert_eq!(rpc.stats().await.unwrap().live_leases, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_listed_with_what_they_keep_even_when_their_payload_has_gone_and_after_a_restart() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let moved = id_of(&rpc.put(Tier::Ram, b"moved").await.unwrap());
    let gone = id_of(&rpc.put(Tier::Ram, b"gone!!").await.unwrap());
    let lease = rpc.lease(moved.clone()).await.unwrap();
    rpc.lease(gone.clone()).await.unwrap();
    rpc.spill(moved.clone()).await.unwrap();
    rpc.lease(moved.clone()).await.unwrap();
    rpc.delete(gone.clone(), true).await.unwrap();
    for _ in 0..2 {
        let mut rpc = daemon.rpc().await;
        let mut of_moved = listed(&mut rpc, Some(moved.clone()), 10).await;
        of_moved.sort_by_key(|lease| lease.tier);
        let tiers: Vec<(Tier, u64, bool)> = of_moved.iter().map(|l| (l.tier(), l.length_bytes, l.revoked)).collect();
        assert_eq!(tiers, [(Tier::Ram, 5, false), (Tier::Disk, 5, false)]);
        assert_eq!(of_moved[0].lease_expires_at.map(|at| at.seconds), lease.lease_expires_at.map(|at| at.seconds));
        let of_gone = listed(&mut rpc, Some(gone.clone()), 10).await;
        let [lease] = of_gone.as_slice() else { panic!("{of_gone:?}") };
        assert_eq!((lease.payload_id.as_ref(), lease.revoked, lease.length_bytes), (Some(&gone), true, 6));
        assert_eq!(listed(&mut rpc, None, 2).await.len(), 3);
        daemon.restart();
    }
}
