//! What is said about payloads, written beside their durable copies: from there a catalog can be made again.
//!
//! A new copy gets what is said by then. What is said later, or just then, the catalog marks in the transaction that takes
//! it in, and this brings the archive up to date and takes the mark away. So it is right soon after an answer, and a crash
//! in between is made good by the next start. Nobody waits for it.

use std::time::Duration;

use payload_manager_catalog::{Change, Direction, Durability, Limit, Lineage, LineageQuery, StaleArchive};
use payload_manager_core::payload::Descriptor;
use payload_manager_types::PayloadId;

use super::{Engine, Error, blocking};
use crate::archive::Said;

/// How many marks are looked up at once.
const PAGE: usize = 64;

/// How long to wait when an archive could not be written.
const PAUSE: Duration = Duration::from_secs(5);

impl Engine {
    /// Something was said about a payload, or it has a durable copy now.
    pub(super) fn ring_archivist(&self) {
        self.0.archivist.notify_one();
    }

    /// Brings archives up to date until the daemon stops.
    pub(super) async fn keep_archives(&self) {
        loop {
            let rung = self.0.archivist.notified();
            let well = self.catch_up().await;
            tokio::select! {
                () = self.0.tasks.stopping() => break,
                () = rung => {}
                () = tokio::time::sleep(PAUSE), if !well => {}
            }
        }
        // What was said last is still marked, and the next start sees to it; mostly there is time for it now.
        self.catch_up().await;
    }

    /// Whether all went well.
    async fn catch_up(&self) -> bool {
        let (mut after, mut well) = (None, true);
        loop {
            let page = match self.look_up(move |reader| reader.stale_archives(after, Limit::items(PAGE))).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "it can't be looked up which archives are behind");
                    return false;
                }
            };
            for stale in page.items {
                after = Some(stale.id);
                if let Err(error) = self.bring_up_to_date(stale).await {
                    tracing::warn!(payload = %stale.id, %error, "its archive could not be brought up to date; it is tried again");
                    well = false;
                }
            }
            if !page.more {
                return well;
            }
        }
    }

    async fn bring_up_to_date(&self, stale: StaleArchive) -> Result<(), Error> {
        // Deleted: the mark goes with the row. Its copy not shown yet: it rings when it is.
        let Ok(payload) = self.descriptor(stale.id) else { return Ok(()) };
        if !payload.copies.any_durable() {
            return Ok(());
        }
        let engine = self.clone();
        blocking(move || engine.describe(&payload)).await?;
        let pass = self.0.gate.pass().await?;
        let done = Change::Archived { id: stale.id, number: stale.number };
        // Waited for, so that a mark is never taken away by the word of an earlier one.
        self.0.gate.submit(pass, done, Durability::Committed).done().await.map(drop)
    }

    /// Writes beside all durable copies what the catalog knows now.
    fn describe(&self, payload: &Descriptor) -> Result<(), Error> {
        let facts = &payload.facts;
        let (said, now) = (self.said_of(facts.id)?, self.now().wall);
        let archive = |packing| self.0.archive.encode(facts, (facts.checksum, packing), said.clone(), now);
        for tier in payload.copies.iter().filter(|tier| tier.is_durable()) {
            self.tier(tier)?.describe(facts.id, facts.size, &archive)?;
        }
        Ok(())
    }

    /// All that is said about a payload. For threads that may block.
    pub(super) fn said_of(&self, id: PayloadId) -> Result<Said, Error> {
        let parents =
            LineageQuery { of: id, direction: Direction::Upstream, max_depth: Some(1), max_bytes: usize::MAX };
        Ok(self.0.gate.catalog().read(|reader| {
            let lineage = match reader.lineage(&parents)? {
                Lineage::Whole(edges) => edges,
                Lineage::TooLarge => Vec::new(),
            };
            let events = reader.metadata_events(id, None, Limit::NONE)?.items;
            Ok(Said { metadata: reader.metadata(id)?, events, lineage })
        })?)
    }
}
