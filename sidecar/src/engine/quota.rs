//! What users keep from being freed. A block that nobody can find any more waits for its leases; whose sessions keep too
//! much waiting loses the one that keeps most, and its blocks go at their deadlines.
//!
//! That is the one way in which memory goes under a program that still looks at it, and the client crate says so.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use payload_manager_shm::{SessionPage, Standing};
use payload_manager_types::{BlockName, Tier};

use super::Engine;

/// How much, and who is told.
pub(super) struct Quota {
    /// Of RAM's capacity, for each user.
    percent: u8,
    hang_up: OnceLock<HangUp>,
}

/// Ends a session, by its number.
type HangUp = Box<dyn Fn(u32) + Send + Sync>;

impl Quota {
    pub(super) fn new(percent: u8) -> Self {
        Self { percent, hang_up: OnceLock::new() }
    }
}

impl Engine {
    /// Who ends sessions that keep too much.
    pub fn ends_sessions(&self, hang_up: impl Fn(u32) + Send + Sync + 'static) {
        // There is one socket, and it is served once.
        let _ = self.0.quota.hang_up.set(Box::new(hang_up));
    }

    /// Ends the sessions that keep too much.
    pub(super) fn enforce_quota(&self) {
        for session in self.over_quota() {
            tracing::warn!(session, "it keeps more from being freed than its user may (pinned-per-uid): closed");
            self.0.quota.hang_up.get().into_iter().for_each(|hang_up| hang_up(session));
        }
    }

    fn over_quota(&self) -> Vec<u32> {
        let members = self.members().lock().clone();
        let ledger = self.ledger();
        if !ledger.has_held() {
            return Vec::new();
        }
        let capacity = ledger.limits().capacity.get(Tier::Ram.index()).copied().flatten().unwrap_or(0);
        let quota = capacity / 100 * u64::from(self.0.quota.percent);
        let now = self.now().monotonic;
        let waiting = |page: &SessionPage| {
            let mut blocks: Vec<BlockName> = page.held(now).iter().map(|slot| slot.block).collect();
            blocks.sort_unstable();
            blocks.dedup();
            blocks.into_iter().map(|block| ledger.waiting(block)).sum::<u64>()
        };
        let mut users: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
        for page in ledger.board().sessions.iter().filter(|page| page.standing() == Standing::Open) {
            if let Some(member) = members.get(&page.number()) {
                users.entry(member.uid).or_default().push((waiting(page), page.number()));
            }
        }
        users.into_values().flat_map(|sessions| beyond(quota, sessions)).collect()
    }
}

/// Which of a user's sessions go, those that keep most first, until the others keep no more than the quota.
fn beyond(quota: u64, mut sessions: Vec<(u64, u32)>) -> Vec<u32> {
    sessions.sort_unstable();
    let mut kept: u64 = sessions.iter().map(|(bytes, _)| bytes).sum();
    let mut gone = Vec::new();
    while kept > quota
        && let Some((bytes, session)) = sessions.pop()
    {
        kept -= bytes;
        gone.push(session);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_that_keep_most_go_first_and_no_more_than_have_to() {
        assert_eq!(beyond(10, vec![(4, 1), (6, 2)]), Vec::<u32>::new());
        assert_eq!(beyond(9, vec![(4, 1), (6, 2)]), [2]);
        assert_eq!(beyond(3, vec![(4, 1), (6, 2), (0, 3)]), [2, 1]);
    }
}
