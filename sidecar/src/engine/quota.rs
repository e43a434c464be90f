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
        let waiting = |page: &SessionPage| -> Kept {
            let blocks = page.held(now).into_iter().map(|slot| slot.block);
            blocks.map(|block| (block, ledger.waiting(block, Tier::Ram))).filter(|(_, bytes)| *bytes > 0).collect()
        };
        let mut users: BTreeMap<u32, Vec<(Kept, u32)>> = BTreeMap::new();
        for page in ledger.board().sessions.iter().filter(|page| page.standing() == Standing::Open) {
            if let Some(member) = members.get(&page.number()) {
                users.entry(member.uid).or_default().push((waiting(page), page.number()));
            }
        }
        users.into_values().flat_map(|sessions| beyond(quota, sessions)).collect()
    }
}

/// Blocks that wait for a session's leases, and the bytes of each.
type Kept = BTreeMap<BlockName, u64>;

/// Which of a user's sessions go, those that keep most first, until the others keep no more than the quota. What several
/// keep is one block.
fn beyond(quota: u64, mut sessions: Vec<(Kept, u32)>) -> Vec<u32> {
    sessions.sort_by_cached_key(|(kept, session)| (kept.values().sum::<u64>(), *session));
    let all = |sessions: &[(Kept, u32)]| -> u64 {
        sessions.iter().flat_map(|(kept, _)| kept).collect::<BTreeMap<_, _>>().into_values().sum()
    };
    let mut gone = Vec::new();
    while all(&sessions) > quota
        && let Some((_, session)) = sessions.pop()
    {
        gone.push(session);
    }
    gone
}

#[cfg(test)]
mod tests {
    use payload_manager_types::EntryIndex;

    use super::*;

    #[test]
    fn the_sessions_that_keep_most_go_first_and_no_more_than_have_to() {
        let sessions = || vec![(kept(&[(1, 4)]), 1), (kept(&[(2, 5), (3, 1)]), 2), (kept(&[]), 3)];
        assert_eq!(beyond(10, sessions()), Vec::<u32>::new());
        assert_eq!(beyond(9, sessions()), [2]);
        assert_eq!(beyond(3, sessions()), [2, 1]);
    }

    #[test]
    fn what_several_sessions_keep_is_kept_once() {
        let sessions = || vec![(kept(&[(1, 6)]), 1), (kept(&[(1, 6), (2, 1)]), 2), (kept(&[(1, 6)]), 3)];
        assert_eq!(beyond(7, sessions()), Vec::<u32>::new());
        assert_eq!(beyond(6, sessions()), [2]);
        assert_eq!(beyond(5, sessions()), [2, 3, 1]);
    }

    fn kept(blocks: &[(u32, u64)]) -> Kept {
        let name = |n| BlockName { index: EntryIndex::new(n).unwrap(), generation: 1 };
        blocks.iter().map(|(n, bytes)| (name(*n), *bytes)).collect()
    }
}
