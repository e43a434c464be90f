//! What was made from what.

use super::samples::{edge, facts, id, lineage, put};
use super::{Case, Subject, apply, content, done, sure, walked};
use crate::change::{Change, Outcome, Refusal};
use crate::lineage::{Direction, Edge, Lineage, LineageEdge, LineageQuery};
use crate::store::Store;

pub(super) const CASES: &[Case] = &[
    ("an edge reads back as it was added", an_edge_reads_back_as_it_was_added),
    ("the same edge twice is one edge", the_same_edge_twice_is_one_edge),
    ("a diamond is walked breadth first and each edge once", a_diamond_is_walked_breadth_first_and_each_edge_once),
    ("a walk ends where it is told to", a_walk_ends_where_it_is_told_to),
    ("no edge closes a circle", no_edge_closes_a_circle),
    ("edges are added all or none", edges_are_added_all_or_none),
    ("the child must be there and a parent need not be", the_child_must_be_there_and_a_parent_need_not_be),
    ("a deleted payload takes its own edges along only", a_deleted_payload_takes_its_own_edges_along_only),
    ("a fan of 10,000 edges is one answer either way", a_fan_of_10_000_edges_is_one_answer_either_way),
    ("a long chain is searched for circles and walked", a_long_chain_is_searched_for_circles_and_walked),
];

/// Opens with payloads 0 to `count`.
fn open(subject: &dyn Subject, count: u64) -> Box<dyn Store> {
    let mut store = subject.open();
    done(&mut *store, &(0..=count).map(|n| put(facts(n))).collect::<Vec<_>>());
    store
}

/// The answer as (child, parent).
fn pairs(store: &dyn Store, of: u64, direction: Direction, max_depth: Option<u32>) -> Vec<(u64, u64)> {
    let number = |id| (0..20_000).find(|n| super::samples::id(*n) == id).unwrap();
    let edges = walked(&mut *sure(|| store.reader()), id(of), direction, max_depth);
    edges.iter().map(|edge| (number(edge.child), number(edge.edge.parent))).collect()
}

fn refused(via: u64) -> [Outcome; 1] {
    [Outcome::Refused(Refusal::LineageCycle { via: id(via) })]
}

fn an_edge_reads_back_as_it_was_added(subject: &dyn Subject) {
    let mut store = open(subject, 2);
    let strange = Edge {
        parent: id(u64::MAX),
        operation: "o\0'; --".to_owned(),
        role: "\u{1f980}".to_owned(),
        parameters: (0..=255).cycle().take(1 << 20).collect(),
    };
    done(&mut *store, &[lineage(1, vec![edge(2), strange.clone()]), lineage(2, vec![])]);
    drop(store);
    let edges = [edge(2), strange].map(|edge| LineageEdge { child: id(1), edge });
    assert_eq!(content(&*subject.open()).lineage, edges);
}

fn the_same_edge_twice_is_one_edge(subject: &dyn Subject) {
    let mut store = open(subject, 2);
    let others = [
        Edge { role: "crop".to_owned(), ..edge(1) },
        Edge { operation: String::new(), role: "crop".to_owned(), ..edge(1) },
        Edge { parameters: b"crop".to_vec(), ..edge(1) },
    ];
    let all: Vec<_> = [edge(1)].into_iter().chain(others).collect();
    done(&mut *store, &[lineage(0, vec![edge(1); 3]), lineage(0, all.clone()), lineage(0, all.clone())]);
    let expected: Vec<_> = all.into_iter().map(|edge| LineageEdge { child: id(0), edge }).collect();
    assert_eq!(content(&*store).lineage, expected, "what differs in anything is another one");
}

fn a_diamond_is_walked_breadth_first_and_each_edge_once(subject: &dyn Subject) {
    let mut store = open(subject, 5);
    // 4 was made of 3 and 2, both of 1, and that of 0; 5 was made of 4 and, past it all, of 0.
    done(&mut *store, &[lineage(1, vec![edge(0)]), lineage(3, vec![edge(1)]), lineage(2, vec![edge(1)])]);
    done(&mut *store, &[lineage(4, vec![edge(3), edge(2)]), lineage(5, vec![edge(4), edge(0)])]);
    let up = pairs(&*store, 5, Direction::Upstream, None);
    assert_eq!(up, [(5, 4), (5, 0), (4, 3), (4, 2), (3, 1), (2, 1), (1, 0)]);
    let down = pairs(&*store, 0, Direction::Downstream, None);
    assert_eq!(down, [(1, 0), (5, 0), (3, 1), (2, 1), (4, 3), (4, 2), (5, 4)]);
}

fn a_walk_ends_where_it_is_told_to(subject: &dyn Subject) {
    let mut store = open(subject, 3);
    done(&mut *store, &[lineage(1, vec![edge(0)]), lineage(2, vec![edge(1)]), lineage(3, vec![edge(2), edge(0)])]);
    assert_eq!(pairs(&*store, 3, Direction::Upstream, Some(0)), []);
    assert_eq!(pairs(&*store, 3, Direction::Upstream, Some(1)), [(3, 2), (3, 0)]);
    assert_eq!(pairs(&*store, 3, Direction::Upstream, Some(2)), [(3, 2), (3, 0), (2, 1)]);
    assert_eq!(pairs(&*store, 3, Direction::Upstream, Some(u32::MAX)).len(), 4);
    assert_eq!(pairs(&*store, 3, Direction::Downstream, None), []);
    let mut reader = sure(|| store.reader());
    let whole = walked(&mut *reader, id(3), Direction::Upstream, None);
    let bytes: usize = whole.iter().map(LineageEdge::weight).sum();
    let mut ask = |max_bytes| {
        let query = LineageQuery { of: id(3), direction: Direction::Upstream, max_depth: None, max_bytes };
        sure(|| reader.lineage(&query))
    };
    assert_eq!((ask(bytes), ask(bytes - 1), ask(0)), (Lineage::Whole(whole), Lineage::TooLarge, Lineage::TooLarge));
}

fn no_edge_closes_a_circle(subject: &dyn Subject) {
    let mut store = open(subject, 4);
    done(&mut *store, &[lineage(1, vec![edge(0)]), lineage(2, vec![edge(1)]), lineage(3, vec![edge(2)])]);
    let before = content(&*store);
    assert_eq!(apply(&mut *store, &[lineage(0, vec![edge(3)])]), refused(3));
    assert_eq!(apply(&mut *store, &[lineage(1, vec![edge(4), edge(0), edge(2), edge(3)])]), refused(2));
    assert_eq!(apply(&mut *store, &[lineage(4, vec![edge(3), edge(4)])]), refused(4), "of itself");
    assert_eq!(content(&*store), before);
    done(&mut *store, &[lineage(3, vec![edge(0), edge(1)]), lineage(0, vec![edge(4)]), lineage(2, vec![edge(4)])]);
    assert_eq!(apply(&mut *store, &[lineage(4, vec![edge(3)])]), refused(3));
}

fn edges_are_added_all_or_none(subject: &dyn Subject) {
    let mut store = open(subject, 3);
    done(&mut *store, &[lineage(1, vec![edge(0)])]);
    let batch = [lineage(2, vec![edge(1)]), lineage(0, vec![edge(9), edge(1), edge(8)]), lineage(3, vec![edge(2)])];
    assert_eq!(apply(&mut *store, &batch), [Outcome::Done, refused(1)[0].clone(), Outcome::Done]);
    assert_eq!(pairs(&*store, 3, Direction::Upstream, None), [(3, 2), (2, 1), (1, 0)], "the rest of the batch stands");
}

fn the_child_must_be_there_and_a_parent_need_not_be(subject: &dyn Subject) {
    let mut store = open(subject, 1);
    let nobody = Outcome::Refused(Refusal::NoSuchPayload);
    assert_eq!(apply(&mut *store, &[lineage(7, vec![edge(1)]), lineage(7, vec![])]), [nobody.clone(), nobody]);
    done(&mut *store, &[lineage(1, vec![edge(7)])]);
    assert_eq!(pairs(&*store, 7, Direction::Downstream, None), [(1, 7)]);
    assert_eq!(pairs(&*store, 7, Direction::Upstream, None), []);
}

fn a_deleted_payload_takes_its_own_edges_along_only(subject: &dyn Subject) {
    let mut store = open(subject, 3);
    done(&mut *store, &[lineage(1, vec![edge(0)]), lineage(2, vec![edge(1)]), lineage(3, vec![edge(0)])]);
    done(&mut *store, &[Change::Delete { id: id(1), doomed: vec![] }]);
    assert_eq!(pairs(&*store, 2, Direction::Upstream, None), [(2, 1)]);
    assert_eq!(pairs(&*store, 1, Direction::Downstream, None), [(2, 1)]);
    assert_eq!(
        (pairs(&*store, 1, Direction::Upstream, None), pairs(&*store, 0, Direction::Downstream, None)),
        (vec![], vec![(3, 0)])
    );
}

fn a_fan_of_10_000_edges_is_one_answer_either_way(subject: &dyn Subject) {
    let mut store = open(subject, 10_001);
    done(&mut *store, &[lineage(10_001, (1..=10_000).map(edge).collect())]);
    done(&mut *store, &(1..=10_000).map(|child| lineage(child, vec![edge(0)])).collect::<Vec<_>>());
    let mut reader = sure(|| store.reader());
    for (of, direction) in [(10_001, Direction::Upstream), (0, Direction::Downstream)] {
        let edges = walked(&mut *reader, id(of), direction, None);
        assert_eq!(edges.len(), 20_000, "{direction:?}");
    }
    assert_eq!(apply(&mut *store, &[lineage(0, vec![edge(10_001)])]), refused(10_001));
    done(&mut *store, &[Change::Delete { id: id(10_001), doomed: vec![] }]);
    assert_eq!(walked(&mut *reader, id(0), Direction::Downstream, None).len(), 10_000);
}

fn a_long_chain_is_searched_for_circles_and_walked(subject: &dyn Subject) {
    let mut store = open(subject, 10_000);
    done(&mut *store, &(1..=10_000).map(|child| lineage(child, vec![edge(child - 1)])).collect::<Vec<_>>());
    assert_eq!(apply(&mut *store, &[lineage(0, vec![edge(10_000)])]), refused(10_000));
    let mut reader = sure(|| store.reader());
    assert_eq!(walked(&mut *reader, id(10_000), Direction::Upstream, None).len(), 10_000);
    assert_eq!(walked(&mut *reader, id(0), Direction::Downstream, Some(3)).len(), 3);
}
