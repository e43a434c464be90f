//! Keeping a payload's fastest copy where it is, and having one made in time.

use std::time::Duration;

use payload_manager_api::core::v1 as core;
use payload_manager_api::runtime::v1;

use crate::client::Client;
use crate::descriptor::{PayloadId, Tier};
use crate::device;
use crate::error::Result;
use crate::keeper::millis;

impl Client {
    /// Keeps a payload's fastest copy where it is: nothing evicts or spills it, through restarts of the daemon. For so long
    /// from now, in milliseconds, or until it is unpinned; the last call counts.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::Reason;
    ///
    /// client.pin(id, Some(std::time::Duration::from_secs(3600))).await?;
    /// assert_eq!(client.spill(id).await.unwrap_err().reason(), Some(Reason::Pinned));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::NotCommitted`](crate::Reason::NotCommitted), [`Reason::PayloadNotFound`](crate::Reason::PayloadNotFound).
    pub async fn pin(&self, id: PayloadId, duration: Option<Duration>) -> Result<()> {
        // On the wire 0 is until it is unpinned.
        let duration_ms = duration.map_or(0, |time| millis(time).max(1));
        let request = self.rpc().request(v1::PinRequest { id: Some(id.into()), duration_ms });
        self.rpc().outcome(self.rpc().catalog().pin(request)).await
    }

    /// Ends a pin. What is not pinned, or not there, is fine.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// client.pin(id, None).await?;
    /// client.unpin(id).await?;
    /// assert!(client.get(id).await?.pinned.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The daemon is out of reach, or its catalog.
    pub async fn unpin(&self, id: PayloadId) -> Result<()> {
        let request = self.rpc().request(v1::UnpinRequest { id: Some(id.into()) });
        self.rpc().outcome(self.rpc().catalog().unpin(request)).await
    }

    /// Begins to make a copy in a faster tier, for who will read it soon. Whether it comes about is not told;
    /// [`promote`](Self::promote) waits for it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::Tier;
    ///
    /// client.spill(id).await?;
    /// client.prefetch(id, Tier::Ram).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`promote`](Self::promote), where it is known at once.
    pub async fn prefetch(&self, id: PayloadId, tier: Tier) -> Result<()> {
        let target_tier = core::Tier::from(tier) as i32;
        let devices = device::named(tier, None);
        let request = self.rpc().request(v1::PrefetchRequest { id: Some(id.into()), target_tier, devices });
        self.rpc().outcome(self.rpc().catalog().prefetch(request)).await
    }
}
