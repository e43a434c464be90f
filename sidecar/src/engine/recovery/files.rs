//! What a start makes of the files it finds: copies of payloads, what is to go, and what nobody knows.

use std::collections::{HashMap, HashSet};

use payload_manager_catalog::{Change, DoomedFile};
use payload_manager_shm::FoundEntry;
use payload_manager_tiers::{Found, TierStore};
use payload_manager_types::{BlockName, EntryIndex, PayloadId, Place, Tier};

use super::{Recovery, View};
use crate::engine::Error;

/// Whether the row says that the bytes are durable elsewhere.
fn has_left_disk(view: &View) -> bool {
    view.row.as_ref().is_some_and(|row| row.copies.any_durable() && !row.copies.contains(Tier::Disk))
}

impl Recovery {
    /// Every file: a copy of a payload, doomed, unfinished, or nobody's.
    pub(super) fn read_disk(
        &mut self,
        files: Vec<Found>,
        views: &mut HashMap<PayloadId, Box<View>>,
        entries: &[FoundEntry],
    ) -> Result<(), Error> {
        let mut doomed: HashSet<PayloadId> =
            self.doomed.iter().filter(|d| d.tier == Tier::Disk).map(|d| d.id).collect();
        let (mut metas, mut dying) = (Vec::new(), HashMap::new());
        for found in files {
            match found {
                Found::Bin { id, size } => match views.get_mut(&id) {
                    // Its bytes are elsewhere, and it waits for its leases.
                    Some(view) if doomed.contains(&id) && has_left_disk(view) => {}
                    Some(view) => view.disk = Some(size),
                    None if doomed.contains(&id) => {}
                    None if self.deleting.contains_key(&id) => drop(dying.insert(id, size)),
                    None => self.orphan(id),
                },
                Found::Meta { id } => metas.push(id),
                Found::Tmp { path } => self.disk.remove_tmp(&path)?,
                Found::Other { path } => {
                    tracing::warn!(path = %path.display(), "not a file of this daemon's; it is left alone");
                }
            }
        }
        self.doom(&dying, entries);
        doomed.extend(dying.into_keys());
        for id in metas.into_iter().filter(|id| !doomed.contains(id)) {
            self.read_meta(id, views.get(&id).map(|view| &**view))?;
        }
        Ok(())
    }

    /// What is being deleted loses its row, and in the same step its files are remembered until they are gone.
    fn doom(&mut self, dying: &HashMap<PayloadId, u64>, entries: &[FoundEntry]) {
        for (id, copies) in &self.deleting {
            let nobody = BlockName { index: EntryIndex::NOBODY, generation: 0 };
            let object = copies.contains(Tier::Object).then_some(DoomedFile {
                id: *id,
                tier: Tier::Object,
                block: nobody,
                size: 0,
            });
            let file = dying.get(id).map(|size| {
                let entry = entries.iter().find(|entry| entry.id == *id);
                let name =
                    entry.and_then(|entry| Some((entry.index, *entry.face?.generations.get(Tier::Disk.index())?)));
                let (index, generation) = name.filter(|(_, g)| *g != 0).unwrap_or((EntryIndex::NOBODY, 0));
                DoomedFile { id: *id, tier: Tier::Disk, block: BlockName { index, generation }, size: *size }
            });
            let files: Vec<DoomedFile> = file.into_iter().chain(object).collect();
            self.doomed.extend(&files);
            self.changes.push(Change::Delete { id: *id, doomed: files });
        }
    }

    /// Metadata without bytes: those came last and never did, or went first. Worth nothing without them, unless they
    /// should be there: then it says what is lost.
    fn read_meta(&mut self, id: PayloadId, view: Option<&View>) -> Result<(), Error> {
        match view {
            Some(view) if view.disk.is_some() => {}
            Some(view) if has_left_disk(view) && self.doomed.iter().any(|d| d.id == id && d.tier == Tier::Disk) => {}
            Some(View { row: Some(row), .. }) if row.copies.contains(Tier::Disk) => {}
            Some(_) => self.disk.free(id, Place::OWN)?,
            None if self.deleting.contains_key(&id) => self.disk.free(id, Place::OWN)?,
            None => self.orphan(id),
        }
        Ok(())
    }

    pub(super) fn orphan(&mut self, id: PayloadId) {
        match self.disk.orphan(id) {
            Ok(Some(path)) => {
                self.report.orphans += 1;
                tracing::warn!(payload = %id, path = %path.display(), "a file that no row names was moved aside; look at it, then delete it");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(payload = %id, %error, "a file that no row names could not be moved aside"),
        }
    }
}
