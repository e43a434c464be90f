//! What was made from what. Kept by the catalog alone, which also sees to it that nothing is made from itself.

use payload_manager_catalog::{Change, Edge, Lineage, LineageEdge, LineageQuery, Outcome, Refusal};
use payload_manager_types::PayloadId;

use super::{Engine, Error};

impl Engine {
    /// Adds edges from a payload to what it was made from, all or none; those that are there already are fine.
    ///
    /// # Errors
    /// [`Error::Refused`] if the payload is not there, [`Error::LineageCycle`], [`Error::Catalog`].
    pub async fn add_lineage(&self, child: PayloadId, edges: Vec<Edge>) -> Result<(), Error> {
        let engine = self.clone();
        self.detached("add-lineage", async move {
            match engine.say(child, |_| Change::AddLineage { child, edges }).await? {
                (Outcome::Refused(Refusal::LineageCycle { via }), _) => Err(Error::LineageCycle { child, via }),
                _ => Ok(()),
            }
        })
        .await
    }

    /// A payload's ancestors or descendants. It need not be there.
    ///
    /// # Errors
    /// [`Error::LineageTooLarge`] if there are more than the query allows, [`Error::Catalog`].
    pub async fn lineage(&self, query: LineageQuery) -> Result<Vec<LineageEdge>, Error> {
        match self.read_catalog(move |reader| reader.lineage(&query)).await? {
            Lineage::Whole(edges) => Ok(edges),
            Lineage::TooLarge => Err(Error::LineageTooLarge { id: query.of }),
        }
    }
}
