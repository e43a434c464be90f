//! Feeding a subscriber: the transport asks for the next entry when it has room for one, and nothing runs in between.
//! So one that does not read costs what it had in hand when it stopped, and one that waits costs nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::vec::IntoIter;

use futures_core::Stream;
use futures_util::stream;
use payload_manager_api::convert::entry_to_wire;
use payload_manager_api::runtime::v1::SubscribeResponse;
use payload_manager_catalog::Limit;
use payload_manager_types::{StreamEntry, StreamName};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::engine::{Error, Subscription};
use crate::grpc::status::failed;

/// Entries in hand for a subscriber that names no bound, and at most.
const INFLIGHT_DEFAULT: u32 = 64;
const INFLIGHT_LIMIT: u32 = 1024;
/// Bytes in hand for a subscriber; one entry whatever its size.
const INFLIGHT_BYTES: usize = 256 << 10;

/// What a subscriber gets.
pub(super) type Pushed = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

/// What is in hand for a subscriber at most.
pub(super) fn limit(max_inflight: Option<u32>) -> Limit {
    let items = max_inflight.unwrap_or(INFLIGHT_DEFAULT).clamp(1, INFLIGHT_LIMIT);
    Limit { items: items as usize, bytes: INFLIGHT_BYTES }
}

/// A subscriber.
struct Feed {
    stream: StreamName,
    subscription: Subscription,
    stopping: CancellationToken,
    in_hand: IntoIter<Arc<StreamEntry>>,
}

/// Every entry from the subscription's place on, and in the end why there are no more.
pub(super) fn push(stream: StreamName, subscription: Subscription, stopping: CancellationToken) -> Pushed {
    let feed = Feed { stream, subscription, stopping, in_hand: Vec::new().into_iter() };
    Box::pin(stream::unfold(Some(feed), |feed| async {
        let mut feed = feed?;
        match feed.next().await {
            Ok(entry) => Some((Ok(entry), Some(feed))),
            Err(error) => Some((Err(failed(error)), None)),
        }
    }))
}

impl Feed {
    async fn next(&mut self) -> Result<SubscribeResponse, Error> {
        loop {
            if let Some(entry) = self.in_hand.next() {
                let entry = entry_to_wire(&self.stream, Arc::unwrap_or_clone(entry));
                return Ok(SubscribeResponse { entry: Some(entry) });
            }
            let more = tokio::select! {
                more = self.subscription.next() => more?,
                () = self.stopping.cancelled() => return Err(Error::ShuttingDown),
            };
            self.in_hand = more.into_iter();
        }
    }
}
