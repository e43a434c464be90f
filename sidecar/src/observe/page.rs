//! The metrics as a page of text that Prometheus reads, on a Unix socket or a loopback port.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Registry, TextEncoder};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use super::few::Few;
use crate::config::MetricsPage;

/// The socket's name in the runtime folder.
pub(crate) const SOCKET: &str = "metrics.sock";

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be served on {address}: {why}")]
pub struct PageError {
    address: String,
    why: String,
}

/// A page that is bound and not served yet.
pub(super) struct Page {
    registry: Registry,
    at: Bound,
}

enum Bound {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Page {
    /// Binds it, in a folder that is locked by this process: a socket that is there was left by a daemon that is gone. Also
    /// what reads the metrics for it.
    ///
    /// # Errors
    /// [`PageError`].
    pub(super) async fn bind(runtime_dir: &Path, at: MetricsPage) -> Result<(Self, PrometheusExporter), PageError> {
        let at = match at {
            MetricsPage::Tcp(address) => {
                let bound = TcpListener::bind(address).await;
                Bound::Tcp(bound.map_err(|error| PageError { address: address.to_string(), why: error.to_string() })?)
            }
            MetricsPage::Off | MetricsPage::Socket => {
                let path = runtime_dir.join(SOCKET);
                let listener = listen(&path);
                let why = |error: io::Error| PageError { address: path.display().to_string(), why: error.to_string() };
                Bound::Unix(listener.map_err(why)?, path)
            }
        };
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        let exporter = exporter.scope_info_enabled(false).build();
        let exporter = exporter.map_err(|error| PageError { address: "a page".to_owned(), why: error.to_string() })?;
        Ok((Self { registry, at }, exporter))
    }

    pub(super) fn tcp(&self) -> Option<SocketAddr> {
        match &self.at {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix(..) => None,
        }
    }

    /// Serves it until it is told to stop.
    pub(super) async fn serve(self, stopping: CancellationToken) {
        let routes = Router::new().route("/metrics", get(metrics)).with_state(self.registry);
        let stopped = stopping.clone().cancelled_owned();
        let ended = match self.at {
            // A reader that keeps its connection open does not keep the daemon.
            Bound::Tcp(listener) => tokio::select! {
                ended = async { axum::serve(Few::new(listener), routes).await } => ended,
                () = stopped => Ok(()),
            },
            Bound::Unix(listener, path) => {
                let ended = tokio::select! {
                    ended = async { axum::serve(Few::new(listener), routes).await } => ended,
                    () = stopped => Ok(()),
                };
                let _ = std::fs::remove_file(path);
                ended
            }
        };
        if let Err(error) = ended {
            tracing::error!(%error, "metrics are not served any more");
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// On a thread that may block: the catalog is read for it.
async fn metrics(State(registry): State<Registry>) -> Response {
    let encoded = tokio::task::spawn_blocking(move || TextEncoder::new().encode_to_string(&registry.gather())).await;
    match encoded {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
