//! Listens: gRPC on `control.sock` and, if asked for, on a loopback port; with health checking and reflection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use payload_manager_api::FILE_DESCRIPTOR_SET;
use payload_manager_api::codec::blame_the_caller;
use payload_manager_api::services::v1::payload_admin_service_server::PayloadAdminServiceServer;
use payload_manager_api::services::v1::payload_catalog_service_server::PayloadCatalogServiceServer;
use payload_manager_api::services::v1::payload_data_service_server::PayloadDataServiceServer;
use payload_manager_api::services::v1::payload_stream_service_server::PayloadStreamServiceServer;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::{InterceptorLayer, Routes};
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder as Reflection;
use tower::util::MapResponseLayer;

use super::Service;
use super::calls::Calls;
use super::deadline::KeepDeadline;
use super::health;
use super::peers::{Doorkeeper, Known};
use super::watched::Watch;
use crate::config::Peers;
use crate::engine::Engine;
use crate::inherited::Inherited;

/// The name of the gRPC socket in the runtime folder.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// Sockets that are bound and not served yet.
pub(crate) struct Listeners {
    socket: PathBuf,
    /// Whether it is this process's to remove.
    own: bool,
    unix: UnixListener,
    tcp: Option<TcpListener>,
}

/// Why the daemon can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A socket can't be bound.
    #[error("can't listen on {address}: {error}")]
    Bind {
        /// Where.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The descriptors compiled into this program are broken.
    #[error("reflection can't be offered: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Listeners {
    /// Binds `control.sock` in a folder that is locked by this process, mode 0660, and `listen` if there is one. A
    /// socket that is there was left by a daemon that is gone.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub(crate) async fn bind(
        runtime_dir: &Path,
        listen: Option<SocketAddr>,
        inherited: &mut Inherited,
    ) -> Result<Self, ListenError> {
        let socket = runtime_dir.join(CONTROL_SOCKET);
        let at_socket = |error| ListenError::Bind { address: socket.display().to_string(), error };
        let (unix, own) = match inherited.grpc(runtime_dir)? {
            Some(passed) => (UnixListener::from_std(passed).map_err(at_socket)?, false),
            None => (bind(&socket).map_err(at_socket)?, true),
        };
        let tcp = match listen {
            Some(address) => {
                let bound = TcpListener::bind(address).await;
                Some(bound.map_err(|error| ListenError::Bind { address: address.to_string(), error })?)
            }
            None => None,
        };
        Ok(Self { socket, own, unix, tcp })
    }

    /// The Unix socket's path.
    #[must_use]
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The same, if this process has made it.
    pub(crate) fn own(&self) -> Option<PathBuf> {
        self.own.then(|| self.socket.clone())
    }

    /// The TCP address, with the port that was given.
    #[must_use]
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|l| l.local_addr().ok())
    }

    /// Serves until the engine's tasks are asked to stop, then lets what is under way finish.
    ///
    /// # Errors
    /// [`ListenError::Reflection`].
    pub(crate) async fn serve(self, engine: &Engine, peers: Peers) -> Result<(), ListenError> {
        let (reporter, routes) = routes(engine).await?;
        let stopping = engine.tasks().token();
        let door = Doorkeeper::new(peers);
        let calls = Calls::default();
        let watch = Watch::new(engine.meters().clone());
        let (unix_routes, stop, unix_calls) = (routes.clone(), stopping.clone(), calls.clone());
        let watch_unix = watch.clone();
        engine.tasks().spawn("grpc-unix", async move {
            let layer = InterceptorLayer::new(move |request| door.check(request));
            let server = tonic::transport::Server::builder()
                .layer(watch_unix)
                .layer(MapResponseLayer::new(answer))
                .layer(layer)
                .layer(KeepDeadline)
                .layer(unix_calls.clone())
                .add_routes(unix_routes);
            let incoming = UnixListenerStream::new(self.unix).map(|stream| stream.map(Known::new));
            let server = server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
            ended(unix_calls.serve(server, stop).await);
        });
        if let Some(tcp) = self.tcp {
            engine.tasks().spawn("grpc-tcp", async move {
                let server = tonic::transport::Server::builder()
                    .layer(watch)
                    .layer(MapResponseLayer::new(answer))
                    .layer(KeepDeadline)
                    .layer(calls.clone())
                    .add_routes(routes);
                let incoming = TcpListenerStream::new(tcp);
                let server = server.serve_with_incoming_shutdown(incoming, stopping.clone().cancelled_owned());
                ended(calls.serve(server, stopping).await);
            });
        }
        engine.tasks().spawn("health", health::follow(engine.clone(), reporter));
        Ok(())
    }
}

/// Binds it; one that is there was left by a daemon that is gone.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// The last word on every answer.
fn answer<B>(mut response: tonic::codegen::http::Response<B>) -> tonic::codegen::http::Response<B> {
    blame_the_caller(response.headers_mut());
    response
}

fn ended(result: Option<Result<(), tonic::transport::Error>>) {
    match result {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::error!(%error, "a gRPC listener ended"),
        None => tracing::info!("every call is answered; peers that do not hang up are left behind"),
    }
}

async fn routes(engine: &Engine) -> Result<(HealthReporter, Routes), ListenError> {
    let service = Service { engine: engine.clone() };
    let (reporter, told) = tonic_health::server::health_reporter();
    health::begin(&reporter).await;
    let described = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(PayloadCatalogServiceServer::new(service.clone()))
        .add_service(PayloadDataServiceServer::new(service.clone()))
        .add_service(PayloadStreamServiceServer::new(service.clone()))
        .add_service(PayloadAdminServiceServer::new(service))
        .add_service(told)
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?);
    Ok((reporter, routes))
}
