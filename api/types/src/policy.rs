//! What a producer asks for: who may write after commit, and what eviction may do.

use crate::tier::{Tier, TierSet};

/// Who could still write the bytes after commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Protection {
    /// The producer wrote in place; every other client gets read-only access from the kernel.
    #[default]
    Shared = 1,
    /// Commit copies into memory that no client ever had for writing.
    Strict = 2,
    /// A memfd sealed against writing by anyone; session clients only, and it dies with the daemon.
    Sealed = 3,
}

impl TryFrom<u8> for Protection {
    type Error = u8;

    fn try_from(n: u8) -> Result<Self, u8> {
        [Self::Shared, Self::Strict, Self::Sealed].into_iter().find(|p| *p as u8 == n).ok_or(n)
    }
}

/// Eviction class: LOW goes before NORMAL before HIGH, NEVER not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Priority {
    /// First to go.
    Low = 1,
    /// The default.
    #[default]
    Normal = 2,
    /// Last to go.
    High = 3,
    /// Never evicted.
    Never = 4,
}

impl TryFrom<u8> for Priority {
    type Error = u8;

    fn try_from(n: u8) -> Result<Self, u8> {
        [Self::Low, Self::Normal, Self::High, Self::Never].into_iter().find(|p| *p as u8 == n).ok_or(n)
    }
}

/// Where eviction may send a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpillTarget {
    /// A slower tier.
    Tier(Tier),
    /// Nowhere: evicting deletes.
    Void,
}

/// What eviction may do with a payload. The default is NORMAL, to DISK, no floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EvictionPolicy {
    /// The class.
    pub priority: Priority,
    /// Copy to a durable tier before dropping; VOID is then refused.
    pub require_durable: bool,
    /// Where to, when nobody says; `None` is DISK.
    pub spill_target: Option<SpillTarget>,
    /// Never leaves the payload's fastest copy slower than this.
    pub min_residency: Option<Tier>,
}

impl EvictionPolicy {
    /// Where a spill goes that names no target.
    #[must_use]
    pub fn target(&self) -> SpillTarget {
        self.spill_target.unwrap_or(SpillTarget::Tier(Tier::Disk))
    }

    /// Where eviction may send a payload that leaves `from`: to a slower one of the `copies` that it has, or where the
    /// policy says. What must be durable first goes nowhere else. `None`: it can't leave.
    ///
    /// ```
    /// use payload_manager_types::{EvictionPolicy, SpillTarget, Tier, TierSet};
    ///
    /// let copies = TierSet::EMPTY.with(Tier::Ram);
    /// let usual = EvictionPolicy::default();
    /// assert_eq!(usual.way_out(Tier::Ram, copies), Some(SpillTarget::Tier(Tier::Disk)));
    /// let floor = EvictionPolicy { min_residency: Some(Tier::Ram), ..usual };
    /// assert_eq!(floor.way_out(Tier::Ram, copies), None);
    /// ```
    #[must_use]
    pub fn way_out(&self, from: Tier, copies: TierSet) -> Option<SpillTarget> {
        let safe = |to: Tier| !self.require_durable || to.is_durable() || copies.any_durable();
        let allowed =
            |to: &Tier| *to > from && self.min_residency.is_none_or(|floor| to.is_at_least(floor)) && safe(*to);
        if let Some(twin) = copies.iter().find(allowed) {
            return Some(SpillTarget::Tier(twin));
        }
        match self.target() {
            SpillTarget::Tier(to) => allowed(&to).then_some(SpillTarget::Tier(to)),
            SpillTarget::Void => (!self.require_durable && self.min_residency.is_none()).then_some(SpillTarget::Void),
        }
    }

    /// Twelve bits and a bit more, for records that hold a word: priority 3, durable 1, target 4, floor 4.
    #[must_use]
    pub fn to_bits(self) -> u16 {
        let target = match self.spill_target {
            None => 0,
            Some(SpillTarget::Tier(t)) => t as u16,
            Some(SpillTarget::Void) => 5,
        };
        let floor = self.min_residency.map_or(0, |t| t as u16);
        self.priority as u16 | u16::from(self.require_durable) << 3 | target << 4 | floor << 8
    }

    /// The inverse of [`Self::to_bits`]; `None` for bits it never makes.
    #[must_use]
    pub fn from_bits(bits: u16) -> Option<Self> {
        let nibble = |shift: u16| u8::try_from(bits >> shift & 0xf).ok();
        if bits >> 12 != 0 {
            return None;
        }
        Some(Self {
            priority: Priority::try_from(nibble(0)? & 0x7).ok()?,
            require_durable: bits & 0x8 != 0,
            spill_target: match nibble(4)? {
                0 => None,
                5 => Some(SpillTarget::Void),
                n => Some(SpillTarget::Tier(Tier::try_from(n).ok()?)),
            },
            min_residency: match nibble(8)? {
                0 => None,
                n => Some(Tier::try_from(n).ok()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_its_bits() {
        let targets =
            [None, Some(SpillTarget::Void), Some(SpillTarget::Tier(Tier::Disk)), Some(SpillTarget::Tier(Tier::Object))];
        for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Never] {
            for spill_target in targets {
                for min_residency in [None, Some(Tier::Ram), Some(Tier::Object)] {
                    for require_durable in [false, true] {
                        let policy = EvictionPolicy { priority, require_durable, spill_target, min_residency };
                        assert_eq!(EvictionPolicy::from_bits(policy.to_bits()), Some(policy));
                    }
                }
            }
        }
        assert_eq!(EvictionPolicy::from_bits(0), None);
        assert_eq!(EvictionPolicy::from_bits(u16::MAX), None);
    }

    #[test]
    fn a_payload_leaves_for_what_it_has_there_before_what_its_policy_says_and_never_for_what_it_forbids() {
        let ram = TierSet::EMPTY.with(Tier::Ram);
        let (disk, object) = (SpillTarget::Tier(Tier::Disk), SpillTarget::Tier(Tier::Object));
        let usual = EvictionPolicy::default();
        let to_object = EvictionPolicy { spill_target: Some(object), ..usual };
        assert_eq!(to_object.way_out(Tier::Ram, ram), Some(object));
        assert_eq!(to_object.way_out(Tier::Ram, ram.with(Tier::Disk)), Some(disk));
        assert_eq!(usual.way_out(Tier::Disk, ram.with(Tier::Disk)), None, "DISK is not slower than DISK");
        let void = EvictionPolicy { spill_target: Some(SpillTarget::Void), ..usual };
        assert_eq!(void.way_out(Tier::Ram, ram), Some(SpillTarget::Void));
        assert_eq!(EvictionPolicy { require_durable: true, ..void }.way_out(Tier::Ram, ram), None);
        let floor = EvictionPolicy { min_residency: Some(Tier::Disk), ..to_object };
        assert_eq!((floor.way_out(Tier::Ram, ram), floor.way_out(Tier::Ram, ram.with(Tier::Disk))), (None, Some(disk)));
        let durable =
            EvictionPolicy { require_durable: true, spill_target: Some(SpillTarget::Tier(Tier::Ram)), ..usual };
        let gpu = TierSet::EMPTY.with(Tier::Gpu);
        assert_eq!(durable.way_out(Tier::Gpu, gpu), None, "RAM alone is not durable");
        assert_eq!(durable.way_out(Tier::Gpu, gpu.with(Tier::Disk)), Some(disk));
    }
}
