//! The generated clients over one connection, and the handful of calls that every test makes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use payload_manager_api::admin::v1::{StatsRequest, StatsResponse};
use payload_manager_api::catalog::v1::{
    AddLineageRequest, AppendPayloadMetadataEventRequest, LineageEdge, PayloadMetadata, UpdatePayloadMetadataRequest,
};
use payload_manager_api::core::v1::{PayloadDescriptor, PayloadId, Tier};
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeaseResponse, AllocatePayloadRequest, AppendItem, CommitPayloadRequest,
    CommitRequest, CreateStreamRequest, DeleteRequest, GetStreamRequest, GetStreamResponse, ListPayloadsRequest,
    PayloadSummary, PromoteRequest, ReleaseLeaseRequest, ResolveSnapshotRequest, SpillRequest, StreamId,
    spill_response,
};
use payload_manager_api::services::v1::payload_admin_service_client::PayloadAdminServiceClient;
use payload_manager_api::services::v1::payload_catalog_service_client::PayloadCatalogServiceClient;
use payload_manager_api::services::v1::payload_data_service_client::PayloadDataServiceClient;
use payload_manager_api::services::v1::payload_stream_service_client::PayloadStreamServiceClient;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::v1;

/// gRPC clients of one daemon. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// Allocate, commit, delete, promote, spill, list.
    pub catalog: PayloadCatalogServiceClient<Channel>,
    /// Leases.
    pub data: PayloadDataServiceClient<Channel>,
    /// Streams.
    pub stream: PayloadStreamServiceClient<Channel>,
    /// Stats.
    pub admin: PayloadAdminServiceClient<Channel>,
    /// The connection itself, for other services.
    pub channel: Channel,
}

impl Rpc {
    /// Connects to a Unix socket.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn unix(socket: &Path) -> Self {
        Self::try_unix(socket.to_owned()).await.unwrap()
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn try_unix(socket: PathBuf) -> Result<Self, tonic::transport::Error> {
        let connect = service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connect).await?;
        Ok(Self::over(channel))
    }

    /// Connects over TCP.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn tcp(address: SocketAddr) -> Self {
        Self::over(Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap())
    }

    fn over(channel: Channel) -> Self {
        Self {
            catalog: PayloadCatalogServiceClient::new(channel.clone()),
            data: PayloadDataServiceClient::new(channel.clone()),
            stream: PayloadStreamServiceClient::new(channel.clone()),
            admin: PayloadAdminServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// Allocates, with every other field of the request as `request` has it.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn allocate_with(&mut self, request: AllocatePayloadRequest) -> Result<PayloadDescriptor, Status> {
        let answer = self.catalog.allocate_payload(request).await?.into_inner();
        answer.payload_descriptor.ok_or_else(|| Status::internal("no descriptor"))
    }

    /// Allocates.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn allocate(&mut self, tier: Tier, size_bytes: u64) -> Result<PayloadDescriptor, Status> {
        let preferred_tier = tier as i32;
        self.allocate_with(AllocatePayloadRequest { size_bytes, preferred_tier, ..Default::default() }).await
    }

    /// Commits.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn commit(&mut self, id: PayloadId) -> Result<PayloadDescriptor, Status> {
        let answer = self.catalog.commit_payload(CommitPayloadRequest { id: Some(id) }).await?.into_inner();
        answer.payload_descriptor.ok_or_else(|| Status::internal("no descriptor"))
    }

    /// Allocates, writes as a client of the first version does, commits.
    ///
    /// # Errors
    /// The daemon's.
    ///
    /// # Panics
    /// If the location can't be written.
    pub async fn put(&mut self, tier: Tier, bytes: &[u8]) -> Result<PayloadDescriptor, Status> {
        self.put_with(AllocatePayloadRequest { preferred_tier: tier as i32, ..Default::default() }, bytes).await
    }

    /// As [`Self::put`], with every field but the size as `request` has it.
    ///
    /// # Errors
    /// The daemon's.
    ///
    /// # Panics
    /// If the location can't be written.
    pub async fn put_with(
        &mut self,
        mut request: AllocatePayloadRequest,
        bytes: &[u8],
    ) -> Result<PayloadDescriptor, Status> {
        request.size_bytes = bytes.len() as u64;
        let allocated = self.allocate_with(request).await?;
        v1::write(&allocated, bytes).unwrap();
        self.commit(id_of(&allocated)).await
    }

    /// Takes a lease of the default length on the fastest copy.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn lease(&mut self, id: PayloadId) -> Result<AcquireReadLeaseResponse, Status> {
        let request = AcquireReadLeaseRequest { id: Some(id), ..Default::default() };
        Ok(self.data.acquire_read_lease(request).await?.into_inner())
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn release(&mut self, lease: &AcquireReadLeaseResponse) -> Result<(), Status> {
        self.data.release_lease(ReleaseLeaseRequest { lease_id: lease.lease_id.clone() }).await.map(|_| ())
    }

    /// The bytes of a payload, read under a lease.
    ///
    /// # Errors
    /// The daemon's.
    ///
    /// # Panics
    /// If the location can't be read.
    pub async fn get(&mut self, id: PayloadId) -> Result<Vec<u8>, Status> {
        let lease = self.lease(id).await?;
        let bytes = v1::read(lease.payload_descriptor.as_ref().unwrap()).unwrap();
        self.release(&lease).await.map(|()| bytes)
    }

    /// What a payload is now.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn descriptor(&mut self, id: PayloadId) -> Result<PayloadDescriptor, Status> {
        let answer = self.data.resolve_snapshot(ResolveSnapshotRequest { id: Some(id) }).await?.into_inner();
        answer.payload_descriptor.ok_or_else(|| Status::internal("no descriptor"))
    }

    /// Makes a copy in `tier` and waits for it.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn promote(&mut self, id: PayloadId, tier: Tier) -> Result<PayloadDescriptor, Status> {
        let request = PromoteRequest { id: Some(id), target_tier: tier as i32, ..Default::default() };
        let answer = self.catalog.promote(request).await?.into_inner();
        answer.payload_descriptor.ok_or_else(|| Status::internal("no descriptor"))
    }

    /// Spills one payload to DISK and waits for it; its own error is the call's.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn spill(&mut self, id: PayloadId) -> Result<PayloadDescriptor, Status> {
        self.spill_to(id, Tier::Disk).await
    }

    /// As [`Self::spill`], to any tier.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn spill_to(&mut self, id: PayloadId, tier: Tier) -> Result<PayloadDescriptor, Status> {
        let request = SpillRequest { ids: vec![id], target_tier: tier as i32, ..Default::default() };
        let mut results = self.spill_all(request).await?;
        let result = results.pop().ok_or_else(|| Status::internal("no result"))?;
        match result.error {
            Some(error) => Err(error.into()),
            None => result.payload_descriptor.ok_or_else(|| Status::internal("no descriptor")),
        }
    }

    /// Spills, and answers with every result.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn spill_all(&mut self, request: SpillRequest) -> Result<Vec<spill_response::Result>, Status> {
        Ok(self.catalog.spill(request).await?.into_inner().results)
    }

    /// Deletes.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn delete(&mut self, id: PayloadId, force: bool) -> Result<(), Status> {
        self.catalog.delete(DeleteRequest { id: Some(id), force }).await.map(|_| ())
    }

    /// Says `what` about a payload in every way there is: sets its metadata, adds an event, and that it was made from `parent`.
    ///
    /// # Panics
    /// If the daemon refuses one of them.
    pub async fn say(&mut self, id: &PayloadId, parent: &PayloadId, what: &str) {
        let metadata = || Some(PayloadMetadata { data: what.into(), schema: format!("{what} schema"), id: None });
        let set = UpdatePayloadMetadataRequest { id: Some(id.clone()), metadata: metadata(), ..Default::default() };
        self.catalog.update_payload_metadata(set).await.unwrap();
        let (source, version) = ("a test".to_owned(), what.to_owned());
        let event = AppendPayloadMetadataEventRequest { id: Some(id.clone()), metadata: metadata(), source, version };
        self.catalog.append_payload_metadata_event(event).await.unwrap();
        let (operation, role, parameters) = (what.to_owned(), "input".to_owned(), what.into());
        let edge = LineageEdge { parent: Some(parent.clone()), operation, role, parameters, child: None };
        let add = AddLineageRequest { child: Some(id.clone()), parents: vec![edge] };
        self.catalog.add_lineage(add).await.unwrap();
    }

    /// Every payload there is, page by page.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn list(&mut self) -> Result<Vec<PayloadSummary>, Status> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListPayloadsRequest { page_token, page_size: 500, ..Default::default() };
            let page = self.catalog.list_payloads(request).await?.into_inner();
            all.extend(page.payloads);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Counters.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn stats(&mut self) -> Result<StatsResponse, Status> {
        Ok(self.admin.stats(StatsRequest {}).await?.into_inner())
    }

    /// Makes a stream that keeps everything.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn create_stream(&mut self, name: &str) -> Result<(), Status> {
        let request = CreateStreamRequest { stream: Some(stream(name)), ..Default::default() };
        self.stream.create_stream(request).await.map(|_| ())
    }

    /// Appends payloads to a stream; answers the first and last offset.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn append(&mut self, name: &str, ids: &[PayloadId]) -> Result<(u64, u64), Status> {
        let items = ids.iter().map(|id| AppendItem { payload_id: Some(id.clone()), ..Default::default() }).collect();
        let request = payload_manager_api::runtime::v1::AppendRequest { stream: Some(stream(name)), items };
        let answer = self.stream.append(request).await?.into_inner();
        Ok((answer.first_offset, answer.last_offset))
    }

    /// Says how far a consumer group has come.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn commit_offset(&mut self, name: &str, group: &str, offset: u64) -> Result<(), Status> {
        let request = CommitRequest { stream: Some(stream(name)), consumer_group: group.to_owned(), offset };
        self.stream.commit(request).await.map(|_| ())
    }

    /// A stream's bounds, retention and groups.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn stream_info(&mut self, name: &str) -> Result<GetStreamResponse, Status> {
        let request = GetStreamRequest { stream: Some(stream(name)) };
        Ok(self.stream.get_stream(request).await?.into_inner())
    }
}

/// The id in a descriptor.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn id_of(descriptor: &PayloadDescriptor) -> PayloadId {
    descriptor.payload_id.clone().expect("a descriptor without an id")
}

/// A stream by its name alone.
#[must_use]
pub fn stream(name: &str) -> StreamId {
    StreamId { name: name.to_owned(), namespace: String::new() }
}
