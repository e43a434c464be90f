//! What was made from what: edges from a child to its parents, never in a circle.
//!
//! An edge is its child's: it goes when the child is deleted, and stays when the parent is. So every edge has a child
//! that is there, and edges are bounded by the payloads that are.

use std::collections::{HashSet, VecDeque};

use payload_manager_types::PayloadId;

/// One step of a payload's origin, seen from the child. Two that are equal are one edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// What it was made from; possibly gone, or never there.
    pub parent: PayloadId,
    /// What was done.
    pub operation: String,
    /// What the parent was to it.
    pub role: String,
    /// Opaque.
    pub parameters: Vec<u8>,
}

/// An edge with both its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageEdge {
    /// What was made.
    pub child: PayloadId,
    /// From what, and how.
    pub edge: Edge,
}

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To ancestors.
    Upstream,
    /// To descendants.
    Downstream,
}

/// A question after ancestors or descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineageQuery {
    /// Of which payload; it need not be there.
    pub of: PayloadId,
    /// Which way.
    pub direction: Direction,
    /// Steps from `of`; `None` for no limit.
    pub max_depth: Option<u32>,
    /// Bytes of the answer, as [`LineageEdge::weight`] counts them.
    pub max_bytes: usize,
}

/// The answer: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lineage {
    /// Breadth first, the edges of one payload in the order in which they were added, each edge once.
    Whole(Vec<LineageEdge>),
    /// It would pass the query's bytes; fewer steps may fit.
    TooLarge,
}

impl Edge {
    pub(crate) fn weight(&self) -> usize {
        crate::metadata::OVERHEAD + self.operation.len() + self.role.len() + self.parameters.len()
    }
}

impl LineageEdge {
    /// Bytes that [`LineageQuery::max_bytes`] counts: at least those of its wire form.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.edge.weight()
    }

    /// The end that lies in `direction`.
    pub(crate) fn end(&self, direction: Direction) -> PayloadId {
        match direction {
            Direction::Upstream => self.edge.parent,
            Direction::Downstream => self.child,
        }
    }
}

impl LineageQuery {
    /// Goes through the edges breadth first. `edges` calls its last argument with each edge that leads from a payload
    /// in a direction, in the order in which they were added, until it says no.
    ///
    /// In memory are the answer and an id an edge of it, so the query's bytes bound that.
    ///
    /// # Errors
    /// Those of `edges`.
    pub(crate) fn walk<E>(
        &self,
        mut edges: impl FnMut(PayloadId, Direction, &mut dyn FnMut(LineageEdge) -> bool) -> Result<(), E>,
    ) -> Result<Lineage, E> {
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        let (mut seen, mut next) = (HashSet::from([self.of]), VecDeque::from([(self.of, 0)]));
        while let Some((id, depth)) = next.pop_front() {
            if self.max_depth.is_some_and(|limit| depth >= limit) {
                break;
            }
            edges(id, self.direction, &mut |edge| {
                bytes = bytes.saturating_add(edge.weight());
                let end = edge.end(self.direction);
                if bytes <= self.max_bytes {
                    if seen.insert(end) {
                        next.push_back((end, depth + 1));
                    }
                    found.push(edge);
                }
                bytes <= self.max_bytes
            })?;
            if bytes > self.max_bytes {
                return Ok(Lineage::TooLarge);
            }
        }
        Ok(Lineage::Whole(found))
    }
}
