//! What was done, by kind: a run that did too little has shown nothing.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)+) => {
        /// A kind of thing that is done in a run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        const KINDS: &[Kind] = &[$(Kind::$kind,)+];
    };
}

kinds! {
    /// A payload committed.
    Made,
    /// One that has a time to live.
    Fleeting,
    /// An allocation given up.
    GivenUp,
    /// A read while the session was up, checked.
    Read,
    /// A read while it was not, under a lease that was asked for, checked.
    ReadByCall,
    /// A view looked at once more, after others had their turn.
    Again,
    /// The same, with its lease over: its bytes stay all the same.
    AfterTheEnd,
    /// A payload that nobody deletes by force, there while a view of it is held.
    There,
    /// A lease prolonged.
    Renewed,
    /// A payload spilled.
    Spilled,
    /// A payload promoted.
    Promoted,
    /// A payload deleted.
    Deleted,
    /// A payload deleted by force.
    Forced,
    /// A delete that a lease stood in the way of.
    Leased,
    /// A payload that was not there any more.
    Gone,
    /// A full tier.
    Full,
    /// A call that no daemon answered.
    Unheard,
    /// A worker killed.
    WorkerKilled,
    /// A worker stopped for a while.
    WorkerStopped,
    /// The daemon killed and started again.
    DaemonKilled,
    /// The daemon stopped for a while.
    DaemonStopped,
    /// A payload that nobody may delete, found as it was made.
    Kept,
    /// A look at the daemon that found blocks waiting for their leases.
    Backlog,
}

/// How often each was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally([u64; KINDS.len()]);

impl Tally {
    pub(crate) fn count(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(all, more)| *all += more);
    }

    /// As a worker tells it.
    pub(crate) fn line(&self) -> String {
        self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Of such a line; `None` if its worker was killed in the middle of it.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let counts: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        counts.try_into().ok().map(Self)
    }

    /// # Panics
    /// If something was never done.
    pub(crate) fn has_some_of_each(&self) {
        let never: Vec<Kind> = KINDS.iter().copied().filter(|kind| self.of(*kind) == 0).collect();
        assert!(never.is_empty(), "too short a run: nothing of {never:?}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = KINDS.iter().map(|kind| format!("{kind:?} {}", self.of(*kind))).collect();
        f.write_str(&each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_counted_and_a_torn_one_nothing() {
        let mut tally = Tally::default();
        tally.count(Kind::Made);
        tally.count(Kind::Backlog);
        let line = tally.line();
        assert_eq!(Tally::of_line(&line), Some(tally));
        assert_eq!(Tally::of_line(line.rsplit_once(' ').unwrap().0), None);
    }
}
