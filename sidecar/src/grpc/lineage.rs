//! What was made from what, as messages.

use payload_manager_api::catalog::v1::{AddLineageRequest, GetLineageRequest, GetLineageResponse};
use payload_manager_api::convert::{self, AddLineage, GetLineage};
use payload_manager_catalog::{Direction, Edge, LineageQuery};
use prost::Message as _;
use tonic::Status;

use super::status::{failed, invalid};
use super::wire::ANSWER_LIMIT;
use crate::engine::{Engine, Error};
use crate::said;

/// What the catalog counts for an edge is at most so many times its bytes in the answer: it must not be the one that
/// refuses what would fit.
const COUNTED: usize = 3;

pub(super) async fn add(engine: &Engine, request: AddLineageRequest) -> Result<(), Status> {
    let AddLineage { child, parents } = request.try_into().map_err(invalid)?;
    let edge = |edge| {
        let convert::Edge { parent, operation, role, parameters } = edge;
        Edge { parent, operation, role, parameters }
    };
    engine.add_lineage(child, parents.into_iter().map(edge).collect()).await.map_err(failed)
}

pub(super) async fn get(engine: &Engine, request: GetLineageRequest) -> Result<GetLineageResponse, Status> {
    let GetLineage { id, upstream, max_depth } = request.try_into().map_err(invalid)?;
    let direction = if upstream { Direction::Upstream } else { Direction::Downstream };
    let query = LineageQuery { of: id, direction, max_depth, max_bytes: COUNTED * ANSWER_LIMIT };
    let edges = engine.lineage(query).await.map_err(failed)?;
    let answer = GetLineageResponse { edges: edges.into_iter().map(said::edge).collect() };
    if answer.encoded_len() > ANSWER_LIMIT {
        return Err(failed(Error::LineageTooLarge { id }));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use payload_manager_catalog::LineageEdge;
    use payload_manager_types::PayloadId;

    use super::*;

    #[test]
    fn the_catalog_never_counts_more_for_an_edge_than_is_allowed_for() {
        for text in ["", "resize", &"x".repeat(5000)] {
            let parent = PayloadId::from_bytes([1; 16]);
            let edge =
                Edge { parent, operation: text.to_owned(), role: text.to_owned(), parameters: text.as_bytes().into() };
            let found = LineageEdge { child: parent, edge };
            let (counted, sent) = (found.weight(), GetLineageResponse { edges: vec![said::edge(found)] });
            assert!(counted >= sent.encoded_len() && counted <= COUNTED * sent.encoded_len(), "{counted}: {sent:?}");
        }
    }
}
