//! Whether eviction would take a payload, and all that keeps it from that, from what the daemon's answers say. Where it
//! would go is the policy's own rule, which the daemon evicts by; whom it takes first among many is not known here.

use std::fmt;

use payload_manager_client::{LeaseInfo, PayloadInfo, PayloadState, Pinned, Priority, Space, SpillTarget, Stats, Tier};

use crate::words::{size, timestamp};

/// Something that keeps a payload where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its producer has not committed it.
    NotCommitted,
    /// It is being deleted or is over.
    Going,
    /// None of its bytes are left.
    NoCopy,
    /// A copy of it is on its way.
    Moving,
    /// It was made never to be evicted.
    NoEvict,
    /// It is in the class that is never evicted.
    NeverClass,
    /// Its fastest copy is pinned.
    Pinned(Pinned),
    /// So many leases are on what would have to go.
    Leased(usize),
    /// Its policy knows no way out of this tier.
    NoWayOut(Tier),
    /// The tier that it would go to is not there.
    NotConfigured(Tier),
    /// The tier that it would go to has no room for it.
    NoRoom { to: Tier, free: u64 },
}

impl Reason {
    /// For programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotCommitted => "NOT_COMMITTED",
            Self::Going => "GOING",
            Self::NoCopy => "NO_COPY",
            Self::Moving => "MOVING",
            Self::NoEvict => "NO_EVICT",
            Self::NeverClass => "PRIORITY_NEVER",
            Self::Pinned(_) => "PINNED",
            Self::Leased(_) => "LEASED",
            Self::NoWayOut(_) => "NO_WAY_OUT",
            Self::NotConfigured(_) => "TIER_NOT_CONFIGURED",
            Self::NoRoom { .. } => "NO_ROOM",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCommitted => f.write_str("its producer has not committed it"),
            Self::Going => f.write_str("it is on its way out already"),
            Self::NoCopy => f.write_str("none of its bytes are left"),
            Self::Moving => f.write_str("a copy of it is on its way"),
            Self::NoEvict => f.write_str("it was made never to be evicted"),
            Self::NeverClass => f.write_str("its priority is NEVER"),
            Self::Pinned(pin) => match pin.until.and_then(timestamp) {
                Some(until) => write!(f, "it is pinned until {until}"),
                None => f.write_str("it is pinned until somebody unpins it"),
            },
            Self::Leased(1) => f.write_str("a lease is on it"),
            Self::Leased(leases) => write!(f, "{leases} leases are on it"),
            Self::NoWayOut(from) => write!(f, "its policy lets it go nowhere from {from}"),
            Self::NotConfigured(to) => write!(f, "it would go to {to}, which is not configured"),
            Self::NoRoom { to, free } => write!(f, "it would go to {to}, which has {} free", size(*free)),
        }
    }
}

/// What eviction thinks of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Where it would go from its fastest tier, if anywhere.
    pub(super) way_out: Option<SpillTarget>,
    /// Nothing: it is taken when its turn comes.
    pub(super) kept: Vec<Reason>,
}

/// Looks at everything that counts.
pub(super) fn verdict(info: &PayloadInfo, leases: &[LeaseInfo], stats: &Stats) -> Verdict {
    let descriptor = &info.descriptor;
    let Some(tier) = descriptor.copies.iter().next() else {
        return Verdict { way_out: None, kept: vec![of_none(info)] };
    };
    let way_out = descriptor.policy.way_out(tier, descriptor.copies);
    let mut kept = Vec::new();
    kept.extend(of_state(descriptor.state));
    // The daemon says of those of the class, too, that they were made never to be evicted.
    let is_never = descriptor.policy.priority == Priority::Never;
    kept.extend(is_never.then_some(Reason::NeverClass));
    kept.extend((info.no_evict && !is_never).then_some(Reason::NoEvict));
    kept.extend(info.pinned.map(Reason::Pinned));
    // Whoever would be deleted must have no lease anywhere.
    let counts = |lease: &&LeaseInfo| lease.tier == tier || way_out == Some(SpillTarget::Void);
    kept.extend(Some(leases.iter().filter(counts).count()).filter(|n| *n > 0).map(Reason::Leased));
    match way_out {
        None => kept.push(Reason::NoWayOut(tier)),
        Some(SpillTarget::Tier(to)) if !descriptor.copies.contains(to) => {
            kept.extend(no_room(to, descriptor.size, stats));
        }
        Some(SpillTarget::Tier(_) | SpillTarget::Void) => {}
    }
    Verdict { way_out, kept }
}

fn of_none(info: &PayloadInfo) -> Reason {
    of_state(info.descriptor.state).unwrap_or(Reason::NoCopy)
}

const fn of_state(state: PayloadState) -> Option<Reason> {
    match state {
        PayloadState::Allocated => Some(Reason::NotCommitted),
        PayloadState::Deleting | PayloadState::Expired | PayloadState::Deleted => Some(Reason::Going),
        PayloadState::Spilling | PayloadState::Evicting => Some(Reason::Moving),
        PayloadState::Active | PayloadState::Durable => None,
    }
}

fn no_room(to: Tier, bytes: u64, stats: &Stats) -> Option<Reason> {
    match stats.tier(to).space {
        None => Some(Reason::NotConfigured(to)),
        Some(Space::Limited { free, .. }) if free < bytes => Some(Reason::NoRoom { to, free }),
        Some(Space::Limited { .. } | Space::Unlimited) => None,
    }
}
