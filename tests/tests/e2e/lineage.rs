//! What was made from what: walked both ways, never in a circle, and kept.

use payload_manager_api::Reason;
use payload_manager_api::catalog::v1::{AddLineageRequest, GetLineageRequest, LineageEdge};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::reason::detail;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc};
use prost::Message as _;
use tonic::{Code, Status};

/// An id that is nobody's.
fn nobody(n: u32) -> PayloadId {
    PayloadId { value: [[9; 12].as_slice(), &n.to_be_bytes()].concat() }
}

fn from(parent: &PayloadId) -> LineageEdge {
    LineageEdge { parent: Some(parent.clone()), ..Default::default() }
}

async fn add(rpc: &mut Rpc, child: &PayloadId, parents: Vec<LineageEdge>) -> Result<(), Status> {
    rpc.catalog.add_lineage(AddLineageRequest { child: Some(child.clone()), parents }).await.map(drop)
}

async fn made(rpc: &mut Rpc, child: &PayloadId, parents: &[&PayloadId]) -> Result<(), Status> {
    add(rpc, child, parents.iter().map(|parent| from(parent)).collect()).await
}

async fn walk(rpc: &mut Rpc, id: &PayloadId, upstream: bool, max_depth: u32) -> Result<Vec<LineageEdge>, Status> {
    let request = GetLineageRequest { id: Some(id.clone()), upstream, max_depth };
    let answer = rpc.catalog.get_lineage(request).await?.into_inner();
    assert!(answer.encoded_len() <= 3 << 20);
    Ok(answer.edges)
}

/// Children and parents by their place in `ids`.
async fn pairs(rpc: &mut Rpc, ids: &[PayloadId], of: usize, upstream: bool, max_depth: u32) -> Vec<(usize, usize)> {
    let place = |id: &Option<PayloadId>| ids.iter().position(|known| Some(known) == id.as_ref()).unwrap();
    let edges = walk(rpc, &ids[of], upstream, max_depth).await.unwrap();
    edges.iter().map(|edge| (place(&edge.child), place(&edge.parent))).collect()
}

async fn payloads(rpc: &mut Rpc, count: usize) -> Vec<PayloadId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(id_of(&rpc.allocate(Tier::Ram, 1).await.unwrap()));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diamond_is_walked_breadth_first_both_ways_and_survives_kill_and_deletes() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let ids = payloads(&mut rpc, 4).await;
    let [top, left, right, bottom] = [&ids[0], &ids[1], &ids[2], &ids[3]];
    made(&mut rpc, left, &[top]).await.unwrap();
    made(&mut rpc, right, &[top, top]).await.unwrap();
    made(&mut rpc, bottom, &[left, right]).await.unwrap();
    made(&mut rpc, bottom, &[right, left]).await.unwrap();
    daemon.kill();
    daemon.start_again();
    rpc = daemon.rpc().await;
    assert_eq!(pairs(&mut rpc, &ids, 3, true, 0).await, [(3, 1), (3, 2), (1, 0), (2, 0)]);
    assert_eq!(pairs(&mut rpc, &ids, 0, false, 0).await, [(1, 0), (2, 0), (3, 1), (3, 2)]);
    assert_eq!(pairs(&mut rpc, &ids, 3, true, 1).await, [(3, 1), (3, 2)]);
    assert_eq!(pairs(&mut rpc, &ids, 0, false, 1).await, [(1, 0), (2, 0)]);

    rpc.delete(top.clone(), false).await.unwrap();
    rpc.delete(left.clone(), false).await.unwrap();
    daemon.restart();
    rpc = daemon.rpc().await;
    let others_that_name_it_stay = [(3, 1), (3, 2), (2, 0)];
    assert_eq!(pairs(&mut rpc, &ids, 3, true, 0).await, others_that_name_it_stay);
    assert_eq!(pairs(&mut rpc, &ids, 0, false, 1).await, [(2, 0)]);
    assert_eq!(made(&mut rpc, left, &[right]).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_circle_is_made_short_or_long_and_a_refused_call_adds_none_of_its_edges() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let ids = payloads(&mut rpc, 100).await;
    for pair in ids.windows(2) {
        made(&mut rpc, &pair[1], &[&pair[0]]).await.unwrap();
    }
    for closing in [1, 50, 99] {
        let refused = made(&mut rpc, &ids[0], &[&nobody(1), &ids[closing]]).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let why = detail(&refused).unwrap();
        assert_eq!(why.known(), Some(Reason::LineageCycle));
        assert!(why.metadata.contains_key("payload_id") && why.metadata.contains_key("parent"), "{why:?}");
    }
    assert_eq!(walk(&mut rpc, &ids[0], true, 0).await.unwrap(), []);
    assert_eq!(walk(&mut rpc, &nobody(1), false, 0).await.unwrap(), []);
    made(&mut rpc, &ids[99], &[&ids[0]]).await.unwrap();
    assert_eq!(walk(&mut rpc, &ids[99], true, 0).await.unwrap().len(), 100, "a short cut is no circle");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_would_close_a_circle_together_one_is_refused() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for _ in 0..20 {
        let ids = payloads(&mut rpc, 2).await;
        let (mut here, mut there) = (rpc.clone(), rpc.clone());
        let (first, second) = ([&ids[0]], [&ids[1]]);
        let (one, other) = tokio::join!(made(&mut here, &ids[0], &second), made(&mut there, &ids[1], &first));
        let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert_eq!(refused.iter().map(Status::code).collect::<Vec<_>>(), [Code::FailedPrecondition], "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_of_ten_thousand_edges_is_one_answer_either_way() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let child = &payloads(&mut rpc, 1).await[0];
    add(&mut rpc, child, (0..10_000).map(|n| from(&nobody(n))).collect()).await.unwrap();
    let up = walk(&mut rpc, child, true, 0).await.unwrap();
    assert_eq!(
        up.iter().map(|edge| edge.parent.clone().unwrap()).collect::<Vec<_>>(),
        (0..10_000).map(nobody).collect::<Vec<_>>()
    );
    assert_eq!(walk(&mut rpc, &nobody(9_999), false, 0).await.unwrap().len(), 1);

    let root = nobody(1 << 20);
    let children = payloads(&mut rpc, 100).await;
    for child in &children {
        let edges = (0..100).map(|n| LineageEdge { operation: format!("step {n}"), ..from(&root) });
        add(&mut rpc, child, edges.collect()).await.unwrap();
    }
    let down = walk(&mut rpc, &root, false, 0).await.unwrap();
    assert_eq!(down.len(), 10_000);
    assert!(down.iter().all(|edge| edge.parent.as_ref() == Some(&root)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_a_message_holds_names_max_depth_which_helps() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let ids = payloads(&mut rpc, 3).await;
    made(&mut rpc, &ids[2], &[&ids[1]]).await.unwrap();
    made(&mut rpc, &ids[1], &[&ids[0]]).await.unwrap();
    for half in 0..2 {
        let many = (half * 40_000..(half + 1) * 40_000).map(|n| from(&nobody(n)));
        add(&mut rpc, &ids[0], many.collect()).await.unwrap();
    }
    let refused = walk(&mut rpc, &ids[2], true, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(detail(&refused).unwrap().known(), Some(Reason::AnswerTooLarge));
    assert!(refused.message().contains("max_depth"), "{}", refused.message());
    assert_eq!(walk(&mut rpc, &ids[2], true, 3).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(walk(&mut rpc, &ids[2], true, 2).await.unwrap().len(), 2);
    assert_eq!(walk(&mut rpc, &nobody(79_999), false, 0).await.unwrap().len(), 3);
}
