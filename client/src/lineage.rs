//! What was made from what: edges from a payload to its parents, never in a circle.

use payload_manager_api::catalog::v1;

use crate::client::Client;
use crate::descriptor::PayloadId;
use crate::error::{Error, Result};

/// One step of a payload's origin, seen from the child; two that are equal are one.
///
/// ```
/// use payload_manager_client::{Edge, PayloadId};
///
/// let parent = PayloadId::from_bytes([7; 16]);
/// let edge = Edge { parent, operation: "resize".into(), role: "input".into(), parameters: b"w=640".to_vec() };
/// assert_eq!(edge.parent, parent);
/// ```
#[doc(inline)]
pub use payload_manager_api::convert::Edge;

/// Which way to go.
///
/// ```
/// use payload_manager_client::Direction;
///
/// assert_ne!(Direction::Ancestors, Direction::Descendants);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To what it was made from.
    Ancestors,
    /// To what was made from it.
    Descendants,
}

/// An edge with both its ends: [`Client::lineage`].
///
/// ```
/// use payload_manager_client::LineageEdge;
///
/// fn line(edge: &LineageEdge) -> String {
///     format!("{} was made from {} by {}", edge.child, edge.edge.parent, edge.edge.operation)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageEdge {
    /// What was made.
    pub child: PayloadId,
    /// From what, and how.
    pub edge: Edge,
}

impl Client {
    /// Says what a payload was made from: all edges or none. The parents may be gone; edges that are there already are fine.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// # let parent = client.create(1).await?.commit().await?.id;
    /// use payload_manager_client::{Edge, Reason};
    ///
    /// let made_from = |parent| Edge { parent, operation: "resize".into(), role: String::new(), parameters: vec![] };
    /// client.add_lineage(id, [made_from(parent)]).await?;
    /// let circle = client.add_lineage(parent, [made_from(id)]).await.unwrap_err();
    /// assert_eq!(circle.reason(), Some(Reason::LineageCycle));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound) for the child,
    /// [`Reason::LineageCycle`](crate::Reason::LineageCycle), [`Reason::SelfParent`](crate::Reason::SelfParent).
    pub async fn add_lineage(&self, child: PayloadId, edges: impl IntoIterator<Item = Edge>) -> Result<()> {
        let parents = edges.into_iter().map(to_wire).collect();
        let request = self.rpc().request(v1::AddLineageRequest { child: Some(child.into()), parents });
        self.rpc().outcome(self.rpc().catalog().add_lineage(request)).await
    }

    /// A payload's ancestors or descendants, breadth first, each edge once; at most `max_depth` steps, if there is a limit.
    /// The payload itself need not be there any more.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::Direction;
    ///
    /// assert_eq!(client.lineage(id, Direction::Ancestors, None).await?, []);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::AnswerTooLarge`](crate::Reason::AnswerTooLarge) when fewer steps are needed for it to fit 3 MiB.
    pub async fn lineage(
        &self,
        id: PayloadId,
        direction: Direction,
        max_depth: Option<u32>,
    ) -> Result<Vec<LineageEdge>> {
        if max_depth == Some(0) {
            // On the wire that is no limit.
            return Ok(Vec::new());
        }
        let request = self.rpc().request(v1::GetLineageRequest {
            id: Some(id.into()),
            upstream: direction == Direction::Ancestors,
            max_depth: max_depth.unwrap_or(0),
        });
        let answer = self.rpc().outcome(self.rpc().catalog().get_lineage(request)).await?;
        answer.edges.into_iter().map(edge).collect()
    }
}

fn to_wire(edge: Edge) -> v1::LineageEdge {
    let Edge { parent, operation, role, parameters } = edge;
    v1::LineageEdge { parent: Some(parent.into()), operation, role, parameters, child: None }
}

fn edge(wire: v1::LineageEdge) -> Result<LineageEdge> {
    let v1::LineageEdge { parent, operation, role, parameters, child } = wire;
    let id = |wire: Option<payload_manager_api::core::v1::PayloadId>| {
        let bytes = wire.and_then(|id| id.value.as_slice().try_into().ok()).map(PayloadId::from_bytes);
        bytes.ok_or_else(|| Error::bad("an edge without both its ends"))
    };
    Ok(LineageEdge { child: id(child)?, edge: Edge { parent: id(parent)?, operation, role, parameters } })
}
