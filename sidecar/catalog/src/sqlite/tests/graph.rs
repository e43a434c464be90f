//! A lineage of a hundred thousand edges: how long one question of it holds the writer is printed, and judged by who reads
//! it.

use std::time::Instant;

use super::folder::Folder;
use crate::conformance::samples::{edge, facts, id, lineage, put};
use crate::lineage::{Direction, Lineage, LineageQuery};
use crate::{Change, Outcome, Refusal, Sqlite, Store};

/// Payloads of a layer, each made from every one of the layer before it.
const WIDE: u64 = 100;
/// Layers above the payload in the middle, and as many below it.
const DEEP: u64 = 5;
/// The payload in the middle.
const MIDDLE: u64 = 0;

fn nth(layer: u64) -> std::ops::Range<u64> {
    layer * WIDE + 1..(layer + 1) * WIDE + 1
}

fn graph(folder: &Folder) -> Sqlite {
    let mut store = folder.create();
    let rows: Vec<Change> = (0..=2 * DEEP * WIDE).map(|n| put(facts(n))).collect();
    store.apply(&rows, false).unwrap();
    let mut edges = Vec::new();
    // From above downwards: nothing is made from a child yet, so there is nothing to be searched.
    for layer in 1..2 * DEEP {
        edges.extend(nth(layer).map(|child| lineage(child, nth(layer - 1).map(edge).collect())));
        match layer + 1 {
            DEEP => edges.push(lineage(MIDDLE, nth(layer).map(edge).collect())),
            next if next == DEEP + 1 => edges.extend(nth(layer).map(|child| lineage(child, vec![edge(MIDDLE)]))),
            _ => {}
        }
    }
    let (started, outcomes) = (Instant::now(), store.apply(&edges, false).unwrap());
    println!("made in {:?}", started.elapsed());
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
    store
}

#[test]
fn a_hundred_thousand_edges_are_searched_for_circles_and_walked() {
    let folder = Folder::new();
    let mut store = graph(&folder);
    let mut add = |what: &str, edges| {
        let (started, outcome) = (Instant::now(), store.apply(&[edges], false).unwrap());
        println!("{what}: {:?}", started.elapsed());
        outcome[0].clone()
    };
    let last = 2 * DEEP * WIDE;
    let circle = Outcome::Refused(Refusal::LineageCycle { via: id(last) });
    assert_eq!(add("a circle", lineage(1, vec![edge(last)])), circle);
    assert_eq!(add("a circle through the middle", lineage(MIDDLE, vec![edge(last)])), circle);
    assert_eq!(add("no circle, half above and half below", lineage(MIDDLE, vec![edge(1_000_000)])), Outcome::Done);
    assert_eq!(add("nothing above", lineage(1, vec![edge(1_000_000)])), Outcome::Done);
    assert_eq!(add("nothing below", lineage(last, (2_000_000..2_010_000).map(edge).collect())), Outcome::Done);
    let mut reader = store.reader().unwrap();
    for (of, direction) in [(last, Direction::Upstream), (1, Direction::Downstream)] {
        let query = LineageQuery { of: id(of), direction, max_depth: None, max_bytes: usize::MAX };
        let (started, Lineage::Whole(edges)) = (Instant::now(), reader.lineage(&query).unwrap()) else {
            panic!("there is no limit");
        };
        println!("{direction:?}, {} edges: {:?}", edges.len(), started.elapsed());
        assert!(edges.len() as u64 > (2 * DEEP - 2) * WIDE * WIDE / 2, "{}", edges.len());
        let small = LineageQuery { max_bytes: 1 << 20, ..query };
        assert_eq!(reader.lineage(&small).unwrap(), Lineage::TooLarge);
    }
}
