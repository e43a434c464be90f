//! What a batch need not write because it overwrites it itself: a payload that comes and goes between two transactions
//! leaves no trace in the file.
//!
//! A row is settled by the last `Put` or `Delete` of its payload, a doomed file by the last change that names it. Only
//! `Put`s and doomed files are left out: a `Delete` may have something older to remove. What is said about a payload
//! needs its row, so a `Put` before it stays. So does one with which a payload comes to have a durable copy, or comes to
//! have none: a copy that is made anew has to be told what was said (see [`crate::Reader::stale_archives`]).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use payload_manager_types::{PayloadId, Tier};

use crate::change::{Change, DoomedFile, Outcome};

/// Says, for each change of a batch, what is left of it.
pub(crate) struct Coalesced(Vec<Left>);

/// What is left of a change.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Whole,
    Part(Change),
    Nothing,
}

/// What later changes of a batch settle.
#[derive(Default)]
struct Settled {
    rows: HashMap<PayloadId, Row>,
    files: HashSet<(PayloadId, Tier)>,
}

/// What the next change of a row makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// One that is there, with or without a durable copy.
    There {
        durable: bool,
    },
    Gone,
}

impl Coalesced {
    pub(crate) fn new(batch: &[Change]) -> Self {
        let mut settled = Settled::default();
        let mut left: Vec<_> = batch.iter().rev().map(|change| settled.reduce(change)).collect();
        left.reverse();
        Self(left)
    }

    /// What is to be applied of `batch`, which this was made of.
    pub(crate) fn changes<'a>(&self, batch: &'a [Change]) -> Cow<'a, [Change]> {
        if self.0.iter().all(|left| *left == Left::Whole) {
            return Cow::Borrowed(batch);
        }
        let left = batch.iter().zip(&self.0).filter_map(|(change, left)| match left {
            Left::Whole => Some(change.clone()),
            Left::Part(part) => Some(part.clone()),
            Left::Nothing => None,
        });
        Cow::Owned(left.collect())
    }

    /// The outcomes of the batch, given those of what was applied of it.
    pub(crate) fn outcomes(self, applied: Vec<Outcome>) -> Vec<Outcome> {
        let mut applied = applied.into_iter();
        let mut outcome = |left| if left == Left::Nothing { None } else { applied.next() };
        self.0.into_iter().map(|left| outcome(left).unwrap_or(Outcome::Done)).collect()
    }
}

impl Settled {
    /// What is left of `change`, given what later ones settle; then it settles for earlier ones.
    fn reduce(&mut self, change: &Change) -> Left {
        match change {
            Change::Put { facts, doomed } => {
                let row = Row::There { durable: facts.copies.any_durable() };
                let stays = self.rows.get(&facts.id).is_none_or(|next| *next != Row::Gone && *next != row);
                if stays {
                    self.rows.insert(facts.id, row);
                }
                let file = doomed.filter(|file| self.is_last(file));
                match (stays, file) {
                    (true, file) if file == *doomed => Left::Whole,
                    (true, doomed) => Left::Part(Change::Put { facts: facts.clone(), doomed }),
                    (false, Some(file)) => Left::Part(Change::Doom(file)),
                    (false, None) => Left::Nothing,
                }
            }
            Change::Delete { id, doomed } => {
                self.rows.insert(*id, Row::Gone);
                let mut files: Vec<_> = doomed.iter().rev().filter(|file| self.is_last(file)).copied().collect();
                files.reverse();
                let whole = files.len() == doomed.len();
                if whole { Left::Whole } else { Left::Part(Change::Delete { id: *id, doomed: files }) }
            }
            Change::Doom(file) if !self.is_last(file) => Left::Nothing,
            Change::Undoom { id, tier } => {
                self.files.insert((*id, *tier));
                Left::Whole
            }
            Change::SetMetadata { id, .. }
            | Change::AppendMetadataEvent { id, .. }
            | Change::AddLineage { child: id, .. }
            | Change::SetPin { id, .. } => {
                self.rows.remove(id);
                Left::Whole
            }
            Change::Doom(_)
            | Change::CreateStream { .. }
            | Change::RestoreStream { .. }
            | Change::LogArchived { .. }
            | Change::DeleteStream { .. }
            | Change::Append { .. }
            | Change::Trim { .. }
            | Change::CommitOffset { .. }
            | Change::Archived { .. }
            | Change::CountStart
            | Change::CountStartsFrom(_) => Left::Whole,
        }
    }

    fn is_last(&mut self, file: &DoomedFile) -> bool {
        self.files.insert((file.id, file.tier))
    }
}
