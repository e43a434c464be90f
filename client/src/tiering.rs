//! Moving copies between tiers on request.

use payload_manager_api::core::v1 as core;
use payload_manager_api::core::v1::SpillPolicy;
use payload_manager_api::runtime::v1;
use payload_manager_api::runtime::v1::spill_response;

use crate::client::Client;
use crate::descriptor::{Descriptor, PayloadId, SpillTarget, Tier, descriptor};
use crate::device::{self, DeviceUuid};
use crate::error::{Error, Result};
use crate::read::Promotion;

/// How payloads are spilled: the default is each one's own target, and to answer when the copies survive power loss.
///
/// ```
/// use payload_manager_client::{SpillOptions, SpillTarget, Tier};
///
/// let and_free = SpillOptions {
///     target: Some(SpillTarget::Tier(Tier::Disk)),
///     wait_for_leases: true,
///     ..SpillOptions::default()
/// };
/// assert!(and_free.fsync && and_free.wait);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpillOptions {
    /// Where to; each payload's own target, or DISK, if there is none.
    pub target: Option<SpillTarget>,
    /// Whether to answer when it is done; else it is only queued.
    pub wait: bool,
    /// Whether to answer only when the faster copies' memory is really free: leases on them end first.
    pub wait_for_leases: bool,
    /// Whether to answer only when the slower copies survive power loss.
    pub fsync: bool,
}

impl Default for SpillOptions {
    fn default() -> Self {
        Self { target: None, wait: true, wait_for_leases: false, fsync: true }
    }
}

impl Client {
    /// Makes a copy of a payload in a faster tier, and keeps the slower ones. Nothing happens if it is there already.
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
    /// let descriptor = client.promote(id, Tier::Ram).await?;
    /// assert!(descriptor.copies.contains(Tier::Ram) && descriptor.copies.contains(Tier::Disk));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::TierFull`](crate::Reason::TierFull), [`Reason::PromoteToSlower`](crate::Reason::PromoteToSlower) and
    /// so on.
    pub async fn promote(&self, id: PayloadId, tier: Tier) -> Result<Descriptor> {
        self.promote_with(id, tier, Promotion::Wait).await
    }

    /// Makes a copy in a faster tier, and waits for it or not. In that of GPUs it is on one that this process may see, where
    /// there is room; if a copy is on another already, that is the answer.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::{Promotion, Tier};
    ///
    /// client.promote_with(id, Tier::Ram, Promotion::Background).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    pub async fn promote_with(&self, id: PayloadId, tier: Tier, promotion: Promotion) -> Result<Descriptor> {
        self.promote_on(id, tier, promotion, None).await
    }

    /// The same, onto this GPU if one is named.
    pub(crate) async fn promote_on(
        &self,
        id: PayloadId,
        tier: Tier,
        promotion: Promotion,
        device: Option<DeviceUuid>,
    ) -> Result<Descriptor> {
        let message = v1::PromoteRequest {
            id: Some(id.into()),
            target_tier: core::Tier::from(tier) as i32,
            policy: promotion.number(),
            devices: device::named(tier, device),
        };
        let request = self.rpc().request(message);
        descriptor(self.rpc().outcome(self.rpc().catalog().promote(request)).await?.payload_descriptor)
    }

    /// Makes a copy of a payload in its slower tier (DISK, unless its policy says otherwise), then drops the faster
    /// ones. Answers when the copy survives power loss, with the payload as it is then; `None` if its target is VOID, so
    /// that it is deleted.
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
    /// assert_eq!(client.resolve(id).await?.tier, Tier::Disk);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::TierFull`](crate::Reason::TierFull), [`Reason::SpillToFaster`](crate::Reason::SpillToFaster) and so on.
    pub async fn spill(&self, id: PayloadId) -> Result<Option<Descriptor>> {
        let results = self.spill_with(&[id], SpillOptions::default()).await?;
        results.into_iter().next().unwrap_or_else(|| Err(Error::bad("no result for the payload that was spilled")))
    }

    /// Spills many payloads in one call, as `options` say: one result each, in order, and one that fails does not stop
    /// the others.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # let id = client.create(4096).await?.commit().await?.id;
    /// use payload_manager_client::{PayloadId, Reason, SpillOptions};
    ///
    /// let unknown = PayloadId::from_bytes([7; 16]);
    /// let results = client.spill_with(&[id, unknown], SpillOptions::default()).await?;
    /// assert!(results[0].is_ok());
    /// assert_eq!(results[1].as_ref().unwrap_err().reason(), Some(Reason::PayloadNotFound));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the call as a whole; one payload's are its result.
    pub async fn spill_with(
        &self,
        ids: &[PayloadId],
        options: SpillOptions,
    ) -> Result<Vec<Result<Option<Descriptor>>>> {
        let policy = if options.wait { SpillPolicy::Blocking } else { SpillPolicy::BestEffort };
        let request = self.rpc().request(v1::SpillRequest {
            ids: ids.iter().map(|id| (*id).into()).collect(),
            policy: policy as i32,
            wait_for_leases: options.wait_for_leases,
            fsync: options.fsync,
            target_tier: options.target.map_or(0, |target| core::Tier::from(target) as i32),
        });
        let results = self.rpc().outcome(self.rpc().catalog().spill(request)).await?.results;
        if results.len() != ids.len() {
            return Err(Error::bad(format!("{} results for {} payloads", results.len(), ids.len())));
        }
        Ok(results.into_iter().map(outcome).collect())
    }
}

fn outcome(result: spill_response::Result) -> Result<Option<Descriptor>> {
    match (result.ok, result.error) {
        (true, _) => result.payload_descriptor.map(|wire| descriptor(Some(wire))).transpose(),
        (false, Some(status)) => Err(Error::of_item(&status)),
        (false, None) => Err(Error::of_text(&result.error_message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_failed_item_keeps_its_code_from_old_daemons_too() {
        let item = |error| spill_response::Result { error_message: "ABORTED: leased".into(), error, ..<_>::default() };
        assert_eq!(outcome(item(None)).unwrap_err().code(), Some(Code::Aborted));
        let status = core::CallStatus { code: 9, message: "pinned".into(), detail: None };
        assert_eq!(outcome(item(Some(status))).unwrap_err().code(), Some(Code::FailedPrecondition));
        assert_eq!(outcome(spill_response::Result { ok: true, ..<_>::default() }).unwrap(), None);
    }
}
