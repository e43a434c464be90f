//! PayloadStreamService: ordered logs of payload ids.

use payload_manager_api::convert::{self, Append, CreateStream, Read, Subscribe, entry_to_wire};
use payload_manager_api::runtime::v1::{
    AppendRequest, AppendResponse, CommitRequest, CreateStreamRequest, DeleteStreamRequest, GetCommittedRequest,
    GetCommittedResponse, GetRangeRequest, GetRangeResponse, GetStreamRequest, GetStreamResponse, ListStreamsRequest,
    ListStreamsResponse, ReadRequest, ReadResponse, StreamEntry as WireEntry, SubscribeRequest, SubscribeResponse,
};
use payload_manager_api::services::v1::payload_stream_service_server::PayloadStreamService;
use payload_manager_types::{StreamEntry, StreamName};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Service;
use super::status::{failed, invalid, not_built};
use super::wire::ANSWER_LIMIT;
use crate::engine::{Error, ReadSpan, Start, Subscription};

/// Entries buffered for a subscriber that names no bound, and at most.
const INFLIGHT_DEFAULT: u32 = 64;
const INFLIGHT_LIMIT: u32 = 4096;

#[tonic::async_trait]
impl PayloadStreamService for Service {
    async fn create_stream(&self, request: Request<CreateStreamRequest>) -> Result<Response<()>, Status> {
        let asked = CreateStream::try_from(request.into_inner()).map_err(invalid)?;
        self.engine.create_stream(asked.stream, asked.retention).await.map_err(failed)?;
        Ok(Response::new(()))
    }

    async fn delete_stream(&self, request: Request<DeleteStreamRequest>) -> Result<Response<()>, Status> {
        let stream = StreamName::try_from(request.into_inner()).map_err(invalid)?;
        self.engine.delete_stream(stream).await.map_err(failed)?;
        Ok(Response::new(()))
    }

    async fn append(&self, request: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        let asked = Append::try_from(request.into_inner()).map_err(invalid)?;
        let (first_offset, last_offset) = self.engine.append(asked.stream, asked.entries).await.map_err(failed)?;
        Ok(Response::new(AppendResponse { first_offset, last_offset }))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let asked = Read::try_from(request.into_inner()).map_err(invalid)?;
        let span = ReadSpan { from: oldest_or(asked.start), max: asked.max_entries, not_before: asked.not_before };
        let entries = self.engine.read_stream(&asked.stream, span).await.map_err(failed)?;
        Ok(Response::new(ReadResponse { entries: what_fits(&asked.stream, entries) }))
    }

    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let asked = Subscribe::try_from(request.into_inner()).map_err(invalid)?;
        let start = match asked.start {
            convert::Start::Offset(offset) => Start::Offset(offset),
            convert::Start::Beginning => Start::Beginning,
            convert::Start::Latest => Start::Latest,
        };
        let subscription = self.engine.subscribe(asked.stream.clone(), start).map_err(failed)?;
        let buffer = asked.max_inflight.unwrap_or(INFLIGHT_DEFAULT).clamp(1, INFLIGHT_LIMIT);
        let (sender, receiver) = mpsc::channel(buffer as usize);
        let stopping = self.engine.tasks().token().cancelled_owned();
        self.engine.tasks().spawn("subscriber", async move {
            tokio::select! {
                () = feed(asked.stream, subscription, &sender) => {}
                // One that does not read misses the reason; it must not keep a stop waiting.
                () = stopping => drop(sender.try_send(Err(failed(Error::ShuttingDown)))),
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn commit(&self, _: Request<CommitRequest>) -> Result<Response<()>, Status> {
        Err(not_built("Commit"))
    }

    async fn get_committed(&self, _: Request<GetCommittedRequest>) -> Result<Response<GetCommittedResponse>, Status> {
        Err(not_built("GetCommitted"))
    }

    async fn get_range(&self, _: Request<GetRangeRequest>) -> Result<Response<GetRangeResponse>, Status> {
        Err(not_built("GetRange"))
    }

    async fn list_streams(&self, _: Request<ListStreamsRequest>) -> Result<Response<ListStreamsResponse>, Status> {
        Err(not_built("ListStreams"))
    }

    async fn get_stream(&self, _: Request<GetStreamRequest>) -> Result<Response<GetStreamResponse>, Status> {
        Err(not_built("GetStream"))
    }
}

type Outbox = mpsc::Sender<Result<SubscribeResponse, Status>>;

/// Feeds a subscriber at its own pace until it hangs up, or tells it why there is no more.
async fn feed(stream: StreamName, mut subscription: Subscription, sender: &Outbox) {
    loop {
        let next = tokio::select! {
            () = sender.closed() => return,
            next = subscription.next() => next,
        };
        let entries = match next {
            Ok(entries) => entries,
            Err(error) => return drop(sender.send(Err(failed(error))).await),
        };
        for entry in entries {
            let entry = Some(entry_to_wire(&stream, entry));
            if sender.send(Ok(SubscribeResponse { entry })).await.is_err() {
                return;
            }
        }
    }
}

/// Offset 0 stands for the oldest kept entry as well: proto3 can't tell it from a start that was not given.
fn oldest_or(start: u64) -> Option<u64> {
    (start != 0).then_some(start)
}

/// As many entries as fit one answer; one at least, and the reader asks for the rest.
fn what_fits(stream: &StreamName, entries: Vec<StreamEntry>) -> Vec<WireEntry> {
    let mut left = ANSWER_LIMIT;
    let wire = entries.into_iter().map(|entry| entry_to_wire(stream, entry));
    wire.take_while(|entry| {
        let bytes = entry.encoded_len() + 8;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    })
    .collect()
}
