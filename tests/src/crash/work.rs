//! Work at random: whatever a client may do, in any order, until the daemon dies under it.

use payload_manager_api::core::v1::Tier;

use super::belief::{Known, Stage};
use super::dice::Dice;
use super::witness::{Dead, Wish, Witness};

/// Payloads that one witness keeps, about.
const KEPT: usize = 10;

impl Witness {
    /// Works until the daemon dies.
    pub async fn work(&mut self, dice: &mut Dice) -> Dead {
        loop {
            if let Err(dead) = self.something(dice).await {
                return dead;
            }
        }
    }

    async fn something(&mut self, dice: &mut Dice) -> Result<(), Dead> {
        let allocated = self.which(|known| known.stage == Stage::Allocated);
        let committed = self.which(|known| known.stage == Stage::Committed);
        let full = allocated.len() + committed.len() >= KEPT;
        let (young, any) = (dice.pick(&allocated), dice.pick(&committed));
        match (dice.below(16), young, any) {
            (0..=2, ..) if !full => self.allocate(wish(dice)).await.map(drop),
            (3..=5, Some(at), _) => self.commit(at).await,
            (6, Some(at), _) if dice.one_in(3) => self.delete(at, dice.one_in(2)).await,
            (7..=8, _, Some(at)) => self.lease(at).await,
            (9, _, Some(at)) => self.release(at).await,
            (10, _, Some(at)) => self.renew(at).await,
            (11..=12, _, Some(at)) => self.spill(at).await,
            (13, _, Some(at)) => self.promote(at).await,
            (14, _, Some(at)) if full || dice.one_in(3) => self.delete(at, dice.one_in(2)).await,
            (15, _, Some(at)) if dice.one_in(2) => self.append(&[at, at]).await,
            (_, _, Some(at)) => self.look(at).await,
            _ => self.allocate(wish(dice)).await.map(drop),
        }
    }

    fn which(&self, wanted: impl Fn(&Known) -> bool) -> Vec<usize> {
        self.payloads.iter().enumerate().filter(|(_, known)| wanted(known)).map(|(at, _)| at).collect()
    }
}

/// From a byte to what takes several reads, writes and direct I/O.
fn wish(dice: &mut Dice) -> Wish {
    let size = match dice.below(8) {
        0 => 1,
        1..=5 => dice.below(40_000) + 1,
        6 => dice.below(300_000) + 1,
        _ => (1 << 20) + dice.below(5_000),
    };
    Wish {
        tier: if dice.one_in(3) { Tier::Disk } else { Tier::Ram },
        size: usize::try_from(size).unwrap_or(1),
        labelled: dice.one_in(4),
        fleeting: false,
        strict: dice.one_in(4),
    }
}
