//! WatchPayloads: what a watcher is told, as messages, made as its connection takes them. No task and no buffer of its own:
//! who does not read is not asked.

use std::pin::Pin;

use futures_core::Stream;
use futures_util::{TryStreamExt as _, stream};
use payload_manager_api::convert::WatchFrom;
use payload_manager_api::runtime::v1::{PayloadEventKind, WatchPayloadsRequest, WatchPayloadsResponse};
use payload_manager_core::changes::Kind;
use payload_manager_core::ledger::Told;
use tonic::Status;

use super::status::failed;
use super::{Service, wire};
use crate::engine::{Engine, News, Since};

/// What a watcher is sent, until it hangs up or is told why there is no more.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<WatchPayloadsResponse, Status>> + Send>>;

impl Service {
    /// Starts a watch; what changes from here on is told.
    pub(super) fn watch(&self, request: WatchPayloadsRequest) -> Result<Events, Status> {
        let since = match WatchFrom::from(request) {
            WatchFrom::Now => Since::Now,
            WatchFrom::Snapshot => Since::Current,
            WatchFrom::Token(token) => Since::Token(token),
        };
        let watching = self.engine.watch(&since).map_err(failed)?;
        let chunks = stream::try_unfold(watching, |mut watching| async move {
            let news = watching.next().await.map_err(failed)?;
            Ok::<_, Status>(Some((stream::iter(news.into_iter().map(Ok)), watching)))
        });
        let engine = self.engine.clone();
        Ok(Box::pin(chunks.try_flatten().map_ok(move |news| event(&engine, news))))
    }
}

fn event(engine: &Engine, news: News) -> WatchPayloadsResponse {
    let (kind, descriptor) = match news.told {
        Told::Current(descriptor) => (PayloadEventKind::Current, Some(descriptor)),
        Told::SnapshotEnd { .. } => (PayloadEventKind::SnapshotEnd, None),
        Told::Change(change) => (named(change.kind), Some(change.descriptor)),
    };
    WatchPayloadsResponse {
        token: news.token.unwrap_or_default(),
        kind: kind as i32,
        payload_descriptor: descriptor.map(|descriptor| wire::descriptor(engine, &descriptor)),
    }
}

fn named(kind: Kind) -> PayloadEventKind {
    match kind {
        Kind::Allocated => PayloadEventKind::Allocated,
        Kind::Committed => PayloadEventKind::Committed,
        Kind::Changed => PayloadEventKind::Changed,
        Kind::Deleted => PayloadEventKind::Deleted,
        Kind::Expired => PayloadEventKind::Expired,
    }
}
