//! Lineage in memory: each edge in two lists, its child's and its parent's.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use payload_manager_types::PayloadId;

use super::State;
use crate::change::{Outcome, Refusal};
use crate::lineage::{Direction, Edge, Lineage, LineageEdge, LineageQuery};

/// All edges, by where they lead from and which way, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Edges(HashMap<(Direction, PayloadId), Vec<LineageEdge>>);

impl State {
    pub(super) fn add_lineage(&mut self, child: PayloadId, new: &[Edge]) -> Outcome {
        if !self.payloads.contains_key(&child) {
            return Outcome::Refused(Refusal::NoSuchPayload);
        }
        let below = self.edges.below(child);
        if let Some(edge) = new.iter().find(|edge| below.contains(&edge.parent)) {
            return Outcome::Refused(Refusal::LineageCycle { via: edge.parent });
        }
        self.edges.add(child, new);
        Outcome::Done
    }
}

impl Edges {
    /// The edges that lead from `id`.
    fn from(&self, direction: Direction, id: PayloadId) -> &[LineageEdge] {
        self.0.get(&(direction, id)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has_parents(&self, id: PayloadId) -> bool {
        !self.from(Direction::Upstream, id).is_empty()
    }

    /// `id` and everything made of it.
    fn below(&self, id: PayloadId) -> HashSet<PayloadId> {
        let (mut below, mut next) = (HashSet::from([id]), vec![id]);
        while let Some(id) = next.pop() {
            let children = self.from(Direction::Downstream, id).iter().map(|edge| edge.child);
            next.extend(children.filter(|child| below.insert(*child)));
        }
        below
    }

    fn add(&mut self, child: PayloadId, new: &[Edge]) {
        let mut known: HashSet<Edge> =
            self.from(Direction::Upstream, child).iter().map(|known| known.edge.clone()).collect();
        for edge in new {
            if known.insert(edge.clone()) {
                for from in [(Direction::Upstream, child), (Direction::Downstream, edge.parent)] {
                    self.0.entry(from).or_default().push(LineageEdge { child, edge: edge.clone() });
                }
            }
        }
    }

    /// Forgets the edges to the parents of `child`.
    pub(super) fn forget(&mut self, child: PayloadId) {
        for gone in self.0.remove(&(Direction::Upstream, child)).unwrap_or_default() {
            if let Some(of_parent) = self.0.get_mut(&(Direction::Downstream, gone.edge.parent)) {
                of_parent.retain(|edge| edge.child != child);
            }
        }
    }

    pub(super) fn walk(&self, query: &LineageQuery) -> Lineage {
        let walked = query.walk(|id, direction, each| {
            // The walk stops asking once `each` has said no.
            let _all_taken = self.from(direction, id).iter().all(|edge| each(edge.clone()));
            Ok::<(), Infallible>(())
        });
        walked.unwrap_or_else(|never| match never {})
    }
}
