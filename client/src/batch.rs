//! Reading many payloads in one call.

use payload_manager_api::convert::BATCH_LIMIT;
use payload_manager_api::runtime::v1;
use payload_manager_api::runtime::v1::acquire_read_lease_result::Outcome;

use crate::client::Client;
use crate::descriptor::PayloadId;
use crate::error::{Error, Result};
use crate::read::{PayloadView, ReadOptions};
use crate::session::Taken;

impl Client {
    /// Leases and maps many payloads, a thousand a call: one result each, in order, and one that fails does not stop the
    /// others.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::{PayloadId, Reason};
    ///
    /// let (a, b) = (client.create(1).await?.commit().await?.id, client.create(2).await?.commit().await?.id);
    /// let unknown = PayloadId::from_bytes([7; 16]);
    /// let views = client.read_many(&[a, unknown, b]).await?;
    /// assert_eq!(views[2].as_ref().map(|view| view.len()).ok(), Some(2));
    /// assert_eq!(views[1].as_ref().unwrap_err().reason(), Some(Reason::PayloadNotFound));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the call as a whole; one payload's are its result.
    pub async fn read_many(&self, ids: &[PayloadId]) -> Result<Vec<Result<PayloadView>>> {
        self.read_many_with(ids, ReadOptions::default()).await
    }

    /// Leases many payloads as `options` say; where copies have to be made first, they are made at once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::{ReadOptions, Tier};
    ///
    /// let id = client.create(4096).await?.commit().await?.id;
    /// client.spill(id).await?;
    /// let in_ram = ReadOptions { min_tier: Some(Tier::Ram), ..ReadOptions::default() };
    /// for view in client.read_many_with(&[id], in_ram).await? {
    ///     assert_eq!(view?.descriptor().tier, Tier::Ram);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`read_many`](Self::read_many).
    pub async fn read_many_with(&self, ids: &[PayloadId], options: ReadOptions) -> Result<Vec<Result<PayloadView>>> {
        let at_hand = self.rpc().in_own_time(async { Ok(self.at_hand(ids, options).await) }).await?;
        let rest: Vec<_> = ids.iter().zip(&at_hand).filter(|(_, view)| view.is_none()).map(|(id, _)| *id).collect();
        let mut called = self.call_for(&rest, options).await?.into_iter();
        let missing = || Err(Error::bad("fewer leases than payloads"));
        let view = |at_hand: Option<PayloadView>| at_hand.map_or_else(|| called.next().unwrap_or_else(missing), Ok);
        Ok(at_hand.into_iter().map(view).collect())
    }

    /// What the session gives: a view or nothing each.
    async fn at_hand(&self, ids: &[PayloadId], options: ReadOptions) -> Vec<Option<PayloadView>> {
        let mut views = Vec::with_capacity(ids.len());
        let (mut unmapped, mut places) = (Vec::new(), Vec::new());
        for id in ids {
            views.push(match self.own_sessions().open_and_take(*id, &options).await {
                Taken::View(fast) => Some(PayloadView::of_session(fast)),
                Taken::Unmapped(lease) => {
                    places.push(views.len());
                    unmapped.push(lease);
                    None
                }
                Taken::Ask => None,
            });
        }
        for (at, opened) in places.into_iter().zip(self.own_sessions().open(unmapped).await) {
            if let Some(place) = views.get_mut(at) {
                *place = opened.map(PayloadView::of_session);
            }
        }
        views
    }

    async fn call_for(&self, ids: &[PayloadId], options: ReadOptions) -> Result<Vec<Result<PayloadView>>> {
        let mut views = Vec::with_capacity(ids.len());
        for some in ids.chunks(BATCH_LIMIT) {
            let requests = some.iter().map(|id| options.request(*id)).collect();
            let request = self.rpc().request(v1::AcquireReadLeasesRequest { requests });
            let results = self.rpc().outcome(self.rpc().data().acquire_read_leases(request)).await?.results;
            let got = results.len();
            views.extend(results.into_iter().map(|result| self.view(result, options)));
            if got != some.len() {
                return Err(Error::bad(format!("{got} leases for {} payloads", some.len())));
            }
        }
        Ok(views)
    }

    fn view(&self, result: v1::AcquireReadLeaseResult, options: ReadOptions) -> Result<PayloadView> {
        match result.outcome {
            Some(Outcome::Response(answer)) => PayloadView::open(self, answer, options),
            Some(Outcome::Error(status)) => Err(Error::of_item(&status)),
            None => Err(Error::bad("neither a lease nor an error")),
        }
    }
}
