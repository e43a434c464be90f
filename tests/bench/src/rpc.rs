//! The generated clients over one connection, and the calls that are measured. Nothing between the caller and the wire:
//! what the client crate adds is not part of these figures.

use std::path::Path;

use hyper_util::rt::TokioIo;
use payload_manager_api::admin::v1::{StatsRequest, StatsResponse};
use payload_manager_api::core::v1::{
    PayloadDescriptor, PayloadId, PromotionPolicy, SpillPolicy, Tier, payload_descriptor::Location,
};
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AllocatePayloadRequest, AppendItem, AppendRequest, CommitPayloadRequest,
    CreateStreamRequest, DeleteRequest, ListPayloadsRequest, ListPayloadsResponse, PromoteRequest, ReleaseLeaseRequest,
    SpillRequest, StreamId, SubscribeRequest, SubscribeResponse, subscribe_request,
};
use payload_manager_api::services::v1::payload_admin_service_client::PayloadAdminServiceClient;
use payload_manager_api::services::v1::payload_catalog_service_client::PayloadCatalogServiceClient;
use payload_manager_api::services::v1::payload_data_service_client::PayloadDataServiceClient;
use payload_manager_api::services::v1::payload_stream_service_client::PayloadStreamServiceClient;
use payload_manager_shm::object;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::Result;

/// What stands for an empty unary call: one that the server answers without looking at a payload.
pub(crate) const EMPTY: &str = "Health.Check";

/// Clients of one daemon. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Rpc {
    catalog: PayloadCatalogServiceClient<Channel>,
    data: PayloadDataServiceClient<Channel>,
    stream: PayloadStreamServiceClient<Channel>,
    admin: PayloadAdminServiceClient<Channel>,
    health: HealthClient<Channel>,
}

type Answer<T> = std::result::Result<T, Status>;

impl Rpc {
    pub(crate) async fn connect(socket: &Path) -> std::result::Result<Self, tonic::transport::Error> {
        let socket = socket.to_owned();
        let connect = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connect).await?;
        Ok(Self {
            catalog: PayloadCatalogServiceClient::new(channel.clone()),
            data: PayloadDataServiceClient::new(channel.clone()),
            stream: PayloadStreamServiceClient::new(channel.clone()),
            admin: PayloadAdminServiceClient::new(channel.clone()),
            health: HealthClient::new(channel),
        })
    }

    /// [`EMPTY`].
    pub(crate) async fn empty(&mut self) -> Answer<()> {
        self.health.check(HealthCheckRequest::default()).await.map(drop)
    }

    pub(crate) async fn stats(&mut self) -> Answer<StatsResponse> {
        Ok(self.admin.stats(StatsRequest::default()).await?.into_inner())
    }

    pub(crate) async fn page(&mut self, size: i32, token: &str) -> Answer<ListPayloadsResponse> {
        let request = ListPayloadsRequest { page_size: size, page_token: token.into(), ..Default::default() };
        Ok(self.catalog.list_payloads(request).await?.into_inner())
    }

    /// Takes a read lease and gives it back.
    pub(crate) async fn lease(&mut self, id: &PayloadId) -> Answer<()> {
        let request = AcquireReadLeaseRequest { id: Some(id.clone()), ..Default::default() };
        let lease_id = self.data.acquire_read_lease(request).await?.into_inner().lease_id;
        self.data.release_lease(ReleaseLeaseRequest { lease_id }).await.map(drop)
    }

    pub(crate) async fn allocate(&mut self, size: u64) -> Answer<PayloadDescriptor> {
        let request =
            AllocatePayloadRequest { size_bytes: size, preferred_tier: Tier::Ram.into(), ..Default::default() };
        let made = self.catalog.allocate_payload(request).await?.into_inner();
        made.payload_descriptor.ok_or_else(|| Status::internal("no descriptor"))
    }

    pub(crate) async fn commit(&mut self, id: Option<PayloadId>) -> Answer<()> {
        self.catalog.commit_payload(CommitPayloadRequest { id }).await.map(drop)
    }

    pub(crate) async fn delete(&mut self, id: Option<PayloadId>) -> Answer<()> {
        self.catalog.delete(DeleteRequest { id, force: false }).await.map(drop)
    }

    /// A committed payload in RAM, whose bytes nobody wrote.
    pub(crate) async fn put_empty(&mut self, size: u64) -> Answer<PayloadId> {
        let id = self.allocate(size).await?.payload_id;
        self.commit(id.clone()).await?;
        id.ok_or_else(|| Status::internal("no id"))
    }

    /// A committed payload in RAM with these bytes, written as any client would.
    pub(crate) async fn put(&mut self, bytes: &[u8]) -> Result<PayloadId> {
        self.put_pieces(bytes, 1).await
    }

    /// The same of so many times these bytes.
    pub(crate) async fn put_pieces(&mut self, piece: &[u8], pieces: u64) -> Result<PayloadId> {
        let made = self.allocate(piece.len() as u64 * pieces).await?;
        let Some(Location::Ram(ram)) = made.location else { return Err("not in shared memory".into()) };
        let object = object::open(&ram.shm_name)?;
        for n in 0..pieces {
            std::os::unix::fs::FileExt::write_all_at(&object, piece, n * piece.len() as u64)?;
        }
        self.commit(made.payload_id.clone()).await?;
        Ok(made.payload_id.ok_or("no id")?)
    }

    /// Spills to DISK, durably, and waits until it is there.
    pub(crate) async fn spill(&mut self, ids: Vec<PayloadId>) -> Result<()> {
        self.spill_to(ids, Tier::Disk).await
    }

    /// The same, to any tier.
    pub(crate) async fn spill_to(&mut self, ids: Vec<PayloadId>, to: Tier) -> Result<()> {
        let request = SpillRequest {
            ids,
            policy: SpillPolicy::Blocking.into(),
            fsync: true,
            target_tier: to.into(),
            ..Default::default()
        };
        let results = self.catalog.spill(request).await?.into_inner().results;
        match results.into_iter().find(|result| !result.ok) {
            Some(bad) => Err(format!("a spill failed: {}", bad.error_message).into()),
            None => Ok(()),
        }
    }

    /// Promotes to RAM and waits until it is there.
    pub(crate) async fn promote(&mut self, id: &PayloadId) -> Answer<()> {
        let policy = PromotionPolicy::Blocking.into();
        let request =
            PromoteRequest { id: Some(id.clone()), target_tier: Tier::Ram.into(), policy, ..Default::default() };
        self.catalog.promote(request).await.map(drop)
    }

    pub(crate) async fn create_stream(&mut self, name: &str) -> Answer<()> {
        let request = CreateStreamRequest { stream: Some(stream(name)), ..Default::default() };
        self.stream.create_stream(request).await.map(drop)
    }

    pub(crate) async fn append(&mut self, name: &str, id: &PayloadId) -> Answer<()> {
        let items = vec![AppendItem { payload_id: Some(id.clone()), ..Default::default() }];
        self.stream.append(AppendRequest { stream: Some(stream(name)), items }).await.map(drop)
    }

    /// Follows a stream from the next append on.
    pub(crate) async fn subscribe(&mut self, name: &str) -> Answer<Streaming<SubscribeResponse>> {
        let start = Some(subscribe_request::Start::FromLatest(true));
        let request = SubscribeRequest { stream: Some(stream(name)), start, ..Default::default() };
        Ok(self.stream.subscribe(request).await?.into_inner())
    }
}

fn stream(name: &str) -> StreamId {
    StreamId { name: name.into(), namespace: String::new() }
}
