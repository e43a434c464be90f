//! What the daemon holds, in figures of one moment.

use payload_manager_api::admin::v1;
use payload_manager_api::convert::tier;
use payload_manager_types::Tier;

use crate::client::Client;
use crate::error::Result;

/// What the daemon holds: [`Client::stats`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// # client.create(4096).await?.commit().await?;
/// use payload_manager_client::{Stats, Tier};
///
/// let stats: Stats = client.stats().await?;
/// assert_eq!((stats.tier(Tier::Ram).payloads, stats.live_leases), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Every tier, fast to slow, configured or not.
    pub tiers: [TierStats; 4],
    /// Leases that hold.
    pub live_leases: u64,
    /// Clients with a session.
    pub sessions: u64,
    /// Blocks that nobody can find any more, kept by leases on them.
    pub backlog_blocks: u64,
    /// The bytes of those.
    pub backlog_bytes: u64,
}

/// One tier's figures. A payload counts where its fastest copy is.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// for tier in client.stats().await?.tiers.iter().filter(|tier| tier.space.is_some()) {
///     println!("{}: {} payloads, {} bytes", tier.tier, tier.payloads, tier.bytes);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// Which.
    pub tier: Tier,
    /// Payloads whose fastest copy is here, not committed ones too.
    pub payloads: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How much there is; `None` where the daemon has no such tier.
    pub space: Option<Space>,
}

/// How much a tier can hold.
///
/// ```
/// use payload_manager_client::Space;
///
/// let half = Space::Limited { capacity: 8 << 30, free: 4 << 30 };
/// assert!(matches!(half, Space::Limited { capacity, free } if free * 2 == capacity));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// So many bytes.
    Limited {
        /// In all.
        capacity: u64,
        /// Not taken by any copy.
        free: u64,
    },
    /// As much as anyone wants.
    Unlimited,
}

impl Stats {
    /// The figures of `tier`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::Tier;
    ///
    /// assert!(client.stats().await?.tier(Tier::Ram).space.is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tier(&self, tier: Tier) -> TierStats {
        self.tiers[tier.index()]
    }
}

impl Client {
    /// What the daemon holds at this moment.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// println!("{} leases", client.stats().await?.live_leases);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the daemon can't be asked.
    pub async fn stats(&self) -> Result<Stats> {
        let request = self.rpc().request(v1::StatsRequest {});
        self.rpc().outcome(self.rpc().admin().stats(request)).await?.try_into()
    }
}

impl TryFrom<v1::StatsResponse> for Stats {
    type Error = crate::Error;

    fn try_from(wire: v1::StatsResponse) -> Result<Self> {
        let row = |tier, payloads, bytes| TierStats { tier, payloads, bytes, space: None };
        let mut tiers = [
            row(Tier::Gpu, wire.payloads_gpu, wire.bytes_gpu),
            row(Tier::Ram, wire.payloads_ram, wire.bytes_ram),
            row(Tier::Disk, wire.payloads_disk, wire.bytes_disk),
            row(Tier::Object, wire.payloads_object, wire.bytes_object),
        ];
        for usage in wire.tiers {
            if let Some(tier) = tier(usage.tier, "tiers.tier")? {
                let limited = Space::Limited { capacity: usage.capacity_bytes, free: usage.free_bytes };
                tiers[tier.index()].space = Some(if usage.unlimited { Space::Unlimited } else { limited });
            }
        }
        let v1::StatsResponse { live_leases, sessions, backlog_blocks, backlog_bytes, .. } = wire;
        Ok(Self { tiers, live_leases, sessions, backlog_blocks, backlog_bytes })
    }
}
