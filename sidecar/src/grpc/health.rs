//! Health: what the daemon says of itself by the standard protocol (`grpc.health.v1`), and how one that asks hears it.
//!
//! *Ready* is SERVING: calls are taken and what is committed can be written down. *Alive* is any answer at all: a daemon whose
//! catalog can't be written is not helped by being killed, nor is one that is on its way out.

use std::path::Path;
use std::time::Duration;

use payload_manager_api::services::v1::payload_admin_service_server::PayloadAdminServiceServer;
use payload_manager_api::services::v1::payload_catalog_service_server::PayloadCatalogServiceServer;
use payload_manager_api::services::v1::payload_data_service_server::PayloadDataServiceServer;
use payload_manager_api::services::v1::payload_stream_service_server::PayloadStreamServiceServer;
use tonic::server::NamedService;
use tonic::transport::Endpoint;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Answered;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;

use super::Service;
use crate::engine::Engine;

/// Whose health is told; the empty name stands for the daemon as a whole.
const SERVICES: [&str; 5] = [
    "",
    PayloadAdminServiceServer::<Service>::NAME,
    PayloadCatalogServiceServer::<Service>::NAME,
    PayloadDataServiceServer::<Service>::NAME,
    PayloadStreamServiceServer::<Service>::NAME,
];

/// How often it is looked whether the catalog takes changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everything serves.
pub(super) async fn begin(reporter: &HealthReporter) {
    tell(reporter, ServingStatus::Serving).await;
}

async fn tell(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

/// Follows the daemon's state until it stops. Then those who watch are told, and let go of: a watch has no end of its own,
/// and would keep a stop waiting for as long as it may.
pub(super) async fn follow(engine: Engine, mut reporter: HealthReporter) {
    let mut was = true;
    loop {
        tokio::select! {
            () = engine.tasks().stopping() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let is = engine.healthy();
        if is != was {
            tell(&reporter, if is { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            was = is;
        }
    }
    tell(&reporter, ServingStatus::NotServing).await;
    for service in SERVICES {
        reporter.clear_service_status(service).await;
    }
}

/// Asks the daemon at this socket; whether it serves.
///
/// # Errors
/// It did not answer in time, in words.
pub(crate) async fn ask(socket: &Path, within: Duration) -> Result<bool, String> {
    let socket = std::path::absolute(socket).map_err(|error| error.to_string())?;
    let place = format!("unix:{}", socket.display());
    let endpoint = Endpoint::from_shared(place).map_err(|error| error.to_string())?;
    let asked = async {
        let channel = endpoint.connect().await.map_err(|error| cause(&error))?;
        let request = HealthCheckRequest { service: String::new() };
        let answer = HealthClient::new(channel).check(request).await.map_err(|status| status.message().to_owned())?;
        Ok(answer.into_inner().status() == Answered::Serving)
    };
    let late = |_| Err(format!("no answer within {} ms", within.as_millis()));
    tokio::time::timeout(within, asked).await.unwrap_or_else(late)
}

/// What is behind an error: the transport's own words say little.
fn cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
