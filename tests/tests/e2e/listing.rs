//! Listing: newest first, page by page, and true while payloads come and go.

use std::collections::HashSet;

use payload_manager_api::core::v1::{PayloadState, Tier};
use payload_manager_api::runtime::v1::{ListPayloadsRequest, ListPayloadsResponse};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, v1};

async fn page(rpc: &mut Rpc, page_size: i32, page_token: &str) -> ListPayloadsResponse {
    let request = ListPayloadsRequest { page_size, page_token: page_token.to_owned(), ..Default::default() };
    rpc.catalog.list_payloads(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_that_exists_throughout_is_missed_or_listed_twice() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut stays = HashSet::new();
    let mut goes = Vec::new();
    for number in 0..60 {
        let id = id_of(&rpc.allocate(Tier::Ram, 1).await.unwrap());
        if number % 3 == 0 { goes.push(id) } else { _ = stays.insert(id.value) }
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let answer = page(&mut rpc, 7, &token).await;
        assert!(answer.payloads.len() <= 7);
        seen.extend(answer.payloads.into_iter().map(|row| row.id.unwrap().value));
        // The row that the token stands on may be among those that go.
        if let Some(id) = goes.pop() {
            rpc.delete(id, false).await.unwrap();
        }
        if let Some(id) = goes.first().cloned() {
            goes.remove(0);
            rpc.delete(id, false).await.unwrap();
        }
        rpc.allocate(Tier::Disk, 1).await.unwrap();
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let once: HashSet<Vec<u8>> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "nothing is listed twice");
    assert!(stays.is_subset(&once), "{} are missed", stays.difference(&once).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_from_the_newest_to_the_oldest_with_bounded_sizes() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for _ in 0..60 {
        rpc.allocate(Tier::Ram, 1).await.unwrap();
    }
    for (asked, got) in [(0, 50), (-5, 50), (10, 10), (500, 60), (i32::MAX, 60)] {
        let answer = page(&mut rpc, asked, "").await;
        assert_eq!((answer.payloads.len(), answer.total_count), (got, 60), "{asked}");
        let newest_first = answer.payloads.is_sorted_by(|a, b| a.created_at_ms >= b.created_at_ms);
        assert!(newest_first && answer.next_page_token.is_empty() == (got == 60));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_lists_those_whose_fastest_copy_is_there() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let ram = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 10)).await.unwrap());
    let disk = id_of(&rpc.put(Tier::Disk, &v1::pattern(2, 20)).await.unwrap());
    let both = id_of(&rpc.put(Tier::Disk, &v1::pattern(3, 30)).await.unwrap());
    rpc.promote(both.clone(), Tier::Ram).await.unwrap();
    let allocated = id_of(&rpc.allocate(Tier::Disk, 40).await.unwrap());
    let mut in_tier = async |tier: Tier| {
        let request = ListPayloadsRequest { tier_filter: tier as i32, ..Default::default() };
        let answer = rpc.catalog.list_payloads(request).await.unwrap().into_inner();
        assert_eq!(answer.total_count as usize, answer.payloads.len(), "the total is that of the filter");
        answer.payloads
    };
    let ids = |rows: &[payload_manager_api::runtime::v1::PayloadSummary]| -> Vec<_> {
        rows.iter().map(|row| row.id.clone().unwrap()).collect()
    };
    let in_ram = in_tier(Tier::Ram).await;
    assert_eq!(ids(&in_ram), [both, ram]);
    let on_disk = in_tier(Tier::Disk).await;
    assert_eq!(ids(&on_disk), [allocated, disk]);
    assert_eq!(on_disk[0].state(), PayloadState::Allocated, "what is allocated is listed, too");
    assert!(in_tier(Tier::Gpu).await.is_empty() && in_tier(Tier::Object).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_are_exact_when_nothing_is_under_way() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    rpc.put(Tier::Ram, &v1::pattern(1, 1000)).await.unwrap();
    rpc.allocate(Tier::Ram, 234).await.unwrap();
    let disk = id_of(&rpc.put(Tier::Disk, &v1::pattern(2, 50_000)).await.unwrap());
    let stats = rpc.stats().await.unwrap();
    assert_eq!((stats.payloads_ram, stats.bytes_ram, stats.payloads_disk, stats.bytes_disk), (2, 1234, 1, 50_000));
    rpc.promote(disk, Tier::Ram).await.unwrap();
    let stats = rpc.stats().await.unwrap();
    assert_eq!((stats.payloads_ram, stats.bytes_ram, stats.payloads_disk, stats.bytes_disk), (3, 51_234, 0, 0));
    assert_eq!((stats.payloads_gpu, stats.payloads_object), (0, 0));
}
