//! How large and how often: the figures that the names promise, or the small ones of `--quick`.

use crate::sample::Times;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Unary calls.
    pub(crate) calls: Times,
    /// What `1k` means.
    pub(crate) few: u32,
    /// What `100k` means.
    pub(crate) many: u32,
    /// What `1m` means.
    pub(crate) huge: u32,
    /// Bytes of a payload that is copied between tiers.
    pub(crate) copy: usize,
    /// How many of them are copied, one after the other.
    pub(crate) copies: usize,
    /// Bytes of one that is copied between a card and RAM.
    pub(crate) card: usize,
    /// How many are spilled at once while leases are measured.
    pub(crate) load: usize,
    /// How often that, a start, or a rate is measured.
    pub(crate) rounds: usize,
    /// How long a rate is measured each time, in milliseconds.
    pub(crate) rate_ms: u64,
    /// Appends that are waited for.
    pub(crate) appends: usize,
    /// How long an idle daemon is watched, in milliseconds.
    pub(crate) idle_ms: u64,
    /// Views that are taken for one sample, and samples.
    pub(crate) views: Times,
    /// Payloads that are put and got, one after the other: of a few KiB, of a MiB, of many.
    pub(crate) puts: [usize; 3],
    /// Sessions, and blocks that are looked for in their pages.
    pub(crate) retired: (u32, u32),
    /// Whether these are the small ones.
    pub(crate) quick: bool,
}

impl Scale {
    /// What the names promise.
    pub(crate) const FULL: Self = Self {
        calls: Times { rounds: 5, samples: 2000 },
        few: 1000,
        many: 100_000,
        huge: 1_000_000,
        copy: 64 << 20,
        copies: 12,
        card: 256 << 20,
        load: 16,
        rounds: 5,
        rate_ms: 2000,
        appends: 1000,
        idle_ms: 20_000,
        views: Times { rounds: 200, samples: 5000 },
        puts: [5000, 500, 30],
        retired: (100, 10_000),
        quick: false,
    };

    /// What takes seconds.
    pub(crate) const QUICK: Self = Self {
        calls: Times { rounds: 2, samples: 100 },
        few: 50,
        many: 500,
        huge: 2000,
        copy: 4 << 20,
        copies: 2,
        card: 4 << 20,
        load: 4,
        rounds: 2,
        rate_ms: 200,
        appends: 20,
        idle_ms: 500,
        views: Times { rounds: 10, samples: 200 },
        puts: [50, 10, 3],
        retired: (4, 100),
        quick: true,
    };
}
