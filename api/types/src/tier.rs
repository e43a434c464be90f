//! The places bytes can be, fast to slow.

use std::fmt;

/// A number that names no tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownTier(pub i32);

/// Where a copy lies. The order is fast to slow, so `a <= b` reads "a is at least as fast as b".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tier {
    /// Device memory. Dies with the daemon.
    Gpu = 1,
    /// Shared memory of the host. Survives the daemon, not the host.
    Ram = 2,
    /// A file of its own. Durable.
    Disk = 3,
    /// An object in a bucket. Durable.
    Object = 4,
}

impl Tier {
    /// Every tier, fast to slow.
    pub const ALL: [Self; 4] = [Self::Gpu, Self::Ram, Self::Disk, Self::Object];

    /// Whether a copy here survives power loss.
    #[must_use]
    pub const fn is_durable(self) -> bool {
        matches!(self, Self::Disk | Self::Object)
    }

    /// "At least `floor`": as fast as it, or faster.
    #[must_use]
    pub fn is_at_least(self, floor: Self) -> bool {
        self <= floor
    }

    /// Position in [`Self::ALL`], for tables with a column a tier.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

impl TryFrom<u8> for Tier {
    type Error = UnknownTier;

    #[inline]
    fn try_from(n: u8) -> Result<Self, UnknownTier> {
        // The numbers are 1 and up, in the order of `ALL`.
        let at = usize::from(n).wrapping_sub(1);
        Self::ALL.get(at).copied().ok_or(UnknownTier(i32::from(n)))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gpu => "GPU",
            Self::Ram => "RAM",
            Self::Disk => "DISK",
            Self::Object => "OBJECT",
        })
    }
}

/// A set of tiers, such as those that hold a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TierSet(u8);

impl TierSet {
    /// The set with nothing in it.
    pub const EMPTY: Self = Self(0);

    /// This set and `tier`.
    #[must_use]
    pub const fn with(self, tier: Tier) -> Self {
        Self(self.0 | 1 << tier as u8)
    }

    /// This set less `tier`.
    #[must_use]
    pub const fn without(self, tier: Tier) -> Self {
        Self(self.0 & !(1 << tier as u8))
    }

    /// Whether `tier` is in the set.
    #[must_use]
    pub const fn contains(self, tier: Tier) -> bool {
        self.0 & (1 << tier as u8) != 0
    }

    /// The members, fast to slow.
    pub fn iter(self) -> impl Iterator<Item = Tier> {
        Tier::ALL.into_iter().filter(move |t| self.contains(*t))
    }

    /// The fastest member.
    #[must_use]
    pub fn fastest(self) -> Option<Tier> {
        self.iter().next()
    }

    /// Whether a member survives power loss.
    #[must_use]
    pub fn any_durable(self) -> bool {
        self.iter().any(Tier::is_durable)
    }

    /// The set as bits, for storage; bit `n` is the tier numbered `n`.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The inverse of [`Self::bits`]; bits that name no tier are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1_1110)
    }
}

impl FromIterator<Tier> for TierSet {
    fn from_iter<I: IntoIterator<Item = Tier>>(tiers: I) -> Self {
        tiers.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_ordered_fast_to_slow() {
        assert!(
            Tier::Gpu.is_at_least(Tier::Ram) && Tier::Ram.is_at_least(Tier::Ram) && !Tier::Disk.is_at_least(Tier::Ram)
        );
        let set: TierSet = [Tier::Disk, Tier::Ram].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Tier::Ram, Tier::Disk]);
        assert_eq!((set.fastest(), set.any_durable()), (Some(Tier::Ram), true));
        assert_eq!(TierSet::from_bits(set.without(Tier::Disk).bits()), TierSet::EMPTY.with(Tier::Ram));
    }

    #[test]
    fn every_number_is_that_of_its_tier() {
        for tier in Tier::ALL {
            assert_eq!(Tier::try_from(tier as u8), Ok(tier));
        }
        for n in [0, 5, 255] {
            assert_eq!(Tier::try_from(n), Err(UnknownTier(i32::from(n))));
        }
    }
}
