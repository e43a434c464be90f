//! Payloads by where their copies lie: which of those in segments that are to go may move now, and what was on a card.

use payload_manager_types::{BlockName, PayloadId, Place, Tier};

use super::list::Cursor;
use super::{Age, Ledger};
use crate::board::Board;
use crate::payload::Work;

impl<B: Board> Ledger<B> {
    /// Of the next `most` payloads in RAM, newest first, those with a part of one of these segments that nobody reads and with
    /// which nothing else is done; and where to go on. Those that are not committed stay: their producers write there.
    pub fn movable(
        &mut self,
        segments: &[u32],
        most: usize,
        after: Option<Cursor>,
    ) -> (Vec<PayloadId>, Option<Cursor>) {
        let (ages, more) = self.ages(&[Tier::Ram.index()], most, after, None);
        let there: Vec<(PayloadId, BlockName)> = ages.iter().filter_map(|age| self.at_rest(age, segments)).collect();
        let names: Vec<BlockName> = there.iter().map(|(_, name)| *name).collect();
        // A look at all sessions, which most slices need not take.
        let held = if names.is_empty() { Vec::new() } else { self.board.holders(&names) };
        let free = there.iter().zip(held).filter(|(_, held)| held.pinning == 0).map(|((id, _), _)| *id).collect();
        let next = ages.last().filter(|_| more).map(|&(created, id)| Cursor { created, id });
        (free, next)
    }

    /// Where the copies on GPUs are, of payloads with which nothing is done. A GPU is the fastest tier, so what has a copy
    /// there is listed there.
    #[must_use]
    pub fn on_cards(&self) -> Vec<(PayloadId, Place)> {
        let (ages, _) = self.ages(&[Tier::Gpu.index()], usize::MAX, None, None);
        let place = |id: &PayloadId| {
            let payload = self.payloads.get(id).filter(|p| p.is_committed() && p.work == Work::None)?;
            payload.copy(Tier::Gpu).map(|copy| (*id, copy.place))
        };
        ages.iter().filter_map(|(_, id)| place(id)).collect()
    }

    fn at_rest(&self, (_, id): &Age, segments: &[u32]) -> Option<(PayloadId, BlockName)> {
        let payload = self.payloads.get(id).filter(|p| p.is_committed() && p.work == Work::None)?;
        let place = payload.copy(Tier::Ram)?.place;
        let inside = place.is_part() && segments.contains(&place.unit);
        inside.then(|| self.block_name(*id, Tier::Ram)).flatten().map(|name| (*id, name))
    }
}
