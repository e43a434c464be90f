//! The connection: one channel, the four services on it, and how a call's outcome becomes ours. No meaning here.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use payload_manager_api::services::v1::{
    payload_admin_service_client::PayloadAdminServiceClient as Admin,
    payload_catalog_service_client::PayloadCatalogServiceClient as Catalog,
    payload_data_service_client::PayloadDataServiceClient as Data,
    payload_stream_service_client::PayloadStreamServiceClient as Streams,
};
use payload_manager_shm::ProcessMark;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::address::{Address, Target};
use crate::error::{Error, Result};
use crate::trace::TraceContext;

/// How long a TCP connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection that makes itself anew after the daemon was restarted. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    channel: Channel,
    address: Arc<str>,
    deadline: Option<Duration>,
    trace: Option<TraceContext>,
    /// Of the process whose connection it is: a forked child has neither the connection nor the runtime.
    mark: Arc<ProcessMark>,
}

impl Rpc {
    pub(crate) async fn connect(address: &Address) -> Result<Self> {
        let target = address.target()?;
        let name = target.to_string();
        let channel = open(target).await.map_err(|e| Error::unreachable(&name, &e))?;
        let mark = ProcessMark::new().map_err(|e| Error::unreachable(&name, &e))?;
        Ok(Self { channel, address: name.into(), deadline: None, trace: None, mark: Arc::new(mark) })
    }

    pub(crate) fn mark(&self) -> &Arc<ProcessMark> {
        &self.mark
    }

    /// Whether this is the process that connected.
    pub(crate) fn is_ours(&self) -> bool {
        self.mark.is_ours()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn with_deadline(&self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self.clone() }
    }

    pub(crate) fn with_trace(&self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self.clone() }
    }

    /// The trace that its requests are part of.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    pub(crate) fn catalog(&self) -> Catalog<Channel> {
        Catalog::new(self.channel.clone())
    }

    pub(crate) fn data(&self) -> Data<Channel> {
        Data::new(self.channel.clone())
    }

    pub(crate) fn streams(&self) -> Streams<Channel> {
        Streams::new(self.channel.clone())
    }

    pub(crate) fn admin(&self) -> Admin<Channel> {
        Admin::new(self.channel.clone())
    }

    /// `message` as a request that carries deadline and trace, so that the daemon knows them too.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        if let Some(trace) = &self.trace {
            for (name, value) in [("traceparent", trace.parent()), ("tracestate", trace.state())] {
                if let Some(value) = Some(value).filter(|value| !value.is_empty()).and_then(|value| value.parse().ok())
                {
                    request.metadata_mut().insert(name, value);
                }
            }
        }
        request
    }

    /// Awaits a call; its answer, or why there is none.
    pub(crate) async fn outcome<A>(&self, call: impl Future<Output = Result<Response<A>, Status>>) -> Result<A> {
        if !self.is_ours() {
            return Err(Error::forked(&self.address));
        }
        call.await.map(Response::into_inner).map_err(|status| self.error(&status))
    }

    /// Awaits the beginning of what then goes on for as long as it takes, so that the daemon must not know the deadline.
    pub(crate) async fn in_time<A>(&self, begun: impl Future<Output = Result<A>>) -> Result<A> {
        match self.deadline {
            _ if !self.is_ours() => Err(Error::forked(&self.address)),
            Some(deadline) => tokio::time::timeout(deadline, begun).await.unwrap_or_else(|_| Err(Error::deadline())),
            None => begun.await,
        }
    }

    /// Bounded by the deadline, and not by whose process it is: for what has nothing to do with the connection.
    pub(crate) async fn in_own_time<A>(&self, work: impl Future<Output = Result<A>>) -> Result<A> {
        // A child that was forked from a runtime has none, nor a need for one.
        match self.deadline.filter(|_| tokio::runtime::Handle::try_current().is_ok()) {
            Some(deadline) => tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| Err(Error::deadline())),
            None => work.await,
        }
    }

    pub(crate) fn error(&self, status: &Status) -> Error {
        Error::of_status(status, &self.address)
    }
}

async fn open(target: Target) -> Result<Channel, tonic::transport::Error> {
    match target {
        Target::Http(uri) => Endpoint::from(uri).connect_timeout(CONNECT).connect().await,
        Target::Unix(path) => {
            let dial = move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            };
            Endpoint::from_static("http://localhost").connect_with_connector(tower::service_fn(dial)).await
        }
    }
}
