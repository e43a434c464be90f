//! PayloadStreamService: ordered logs of payload ids.
//!
//! `answer` turns what the engine says into messages, `push` feeds a subscriber.

mod answer;
mod push;

use payload_manager_api::convert::{
    self, Append, Commit, CreateStream, GetCommitted, GetRange, Page as AskedPage, Read, Subscribe,
};
use payload_manager_api::runtime::v1::{
    AppendRequest, AppendResponse, CommitRequest, CreateStreamRequest, DeleteStreamRequest, GetCommittedRequest,
    GetCommittedResponse, GetRangeRequest, GetRangeResponse, GetStreamRequest, GetStreamResponse, ListStreamsRequest,
    ListStreamsResponse, ReadRequest, ReadResponse, SubscribeRequest,
};
use payload_manager_api::services::v1::payload_stream_service_server::PayloadStreamService;
use payload_manager_catalog::Limit;
use payload_manager_types::StreamName;
use tonic::{Request, Response, Status};

use super::Service;
use super::status::{failed, invalid, too_large};
use super::wire::ANSWER_LIMIT;
use crate::engine::{ReadSpan, Start};
use answer::{Filling, cursor, group, info, page_token, what_fits};

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
        let appended = self.engine.append(asked.stream, asked.entries).await.map_err(failed)?;
        let (first_offset, last_offset) = appended.unwrap_or_default();
        Ok(Response::new(AppendResponse { first_offset, last_offset }))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let asked = Read::try_from(request.into_inner()).map_err(invalid)?;
        let span = ReadSpan { from: oldest_or(asked.start), max: asked.max_entries, not_before: asked.not_before };
        let entries = self.engine.read_stream(&asked.stream, span).await.map_err(failed)?;
        Ok(Response::new(ReadResponse { entries: what_fits(&asked.stream, entries) }))
    }

    async fn get_range(&self, request: Request<GetRangeRequest>) -> Result<Response<GetRangeResponse>, Status> {
        let GetRange { stream, start, end } = GetRange::try_from(request.into_inner()).map_err(invalid)?;
        let mut filling = Filling::new(&stream);
        self.engine.read_range(&stream, (start, end), |entry| filling.take(entry)).await.map_err(failed)?;
        let entries = filling.all().ok_or_else(|| {
            let what = format!("stream {stream}: the entries from {start} to {end}");
            too_large(&what, "ask for fewer, or use Read, which answers with as many as fit")
        })?;
        Ok(Response::new(GetRangeResponse { entries }))
    }

    type SubscribeStream = push::Pushed;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let asked = Subscribe::try_from(request.into_inner()).map_err(invalid)?;
        let start = match asked.start {
            convert::Start::Offset(offset) => Start::Offset(offset),
            convert::Start::Beginning => Start::Beginning,
            convert::Start::Latest => Start::Latest,
        };
        let limit = push::limit(asked.max_inflight);
        let subscription = self.engine.subscribe(asked.stream.clone(), start, limit).map_err(failed)?;
        Ok(Response::new(push::push(asked.stream, subscription, self.engine.tasks().token())))
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Result<Response<()>, Status> {
        let asked = Commit::try_from(request.into_inner()).map_err(invalid)?;
        self.engine.commit_offset(asked.stream, asked.group, asked.offset).await.map_err(failed)?;
        Ok(Response::new(()))
    }

    async fn get_committed(
        &self,
        request: Request<GetCommittedRequest>,
    ) -> Result<Response<GetCommittedResponse>, Status> {
        let asked = GetCommitted::try_from(request.into_inner()).map_err(invalid)?;
        let committed = self.engine.committed(asked.stream, asked.group).await.map_err(failed)?;
        let (offset, has_commit) = (committed.unwrap_or_default(), committed.is_some());
        Ok(Response::new(GetCommittedResponse { offset, has_commit }))
    }

    async fn list_streams(
        &self,
        request: Request<ListStreamsRequest>,
    ) -> Result<Response<ListStreamsResponse>, Status> {
        let asked = AskedPage::from(request.into_inner());
        let limit = Limit { items: asked.size as usize, bytes: ANSWER_LIMIT };
        let page = self.engine.streams(cursor(&asked.token)?, limit).await.map_err(failed)?;
        let next = page.items.last().filter(|_| page.more);
        let next_page_token = next.map(|last| page_token(&last.name)).unwrap_or_default();
        Ok(Response::new(ListStreamsResponse { streams: page.items.iter().map(info).collect(), next_page_token }))
    }

    async fn get_stream(&self, request: Request<GetStreamRequest>) -> Result<Response<GetStreamResponse>, Status> {
        let stream = StreamName::try_from(request.into_inner()).map_err(invalid)?;
        // The stream's own part takes less than it is weighed with.
        let limit = Limit { items: usize::MAX, bytes: ANSWER_LIMIT - 1024 };
        let (found, groups) = self.engine.stream_info(stream, limit).await.map_err(failed)?;
        let groups = groups.items.into_iter().map(group).collect();
        Ok(Response::new(GetStreamResponse { info: Some(info(&found)), groups }))
    }
}

/// Offset 0 stands for the oldest kept entry as well: proto3 can't tell it from a start that was not given.
fn oldest_or(start: u64) -> Option<u64> {
    (start != 0).then_some(start)
}
