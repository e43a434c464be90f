//! What every gRPC server should offer besides its own calls: health and reflection.

use nix::sys::signal::Signal;
use payload_manager_tests::named::methods;
use payload_manager_tests::{Daemon, within};
use tonic::Streaming;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_healthy_until_the_daemon_stops() {
    let mut daemon = Daemon::start();
    let mut health = HealthClient::new(daemon.rpc().await.channel);
    let services = methods().into_iter().map(|method| method.service);
    for service in services.chain([String::new()]) {
        let status = health.check(HealthCheckRequest { service: service.clone() }).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "nobody".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut watch).await, None, "who watches is let go, and does not keep the stop waiting");
    assert!(daemon.wait().success());
    assert!(!daemon.log_of_last_run().contains("stopped with work under way"));
}

async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    within("the next status", watch.message()).await.unwrap().map(|told| told.status())
}

async fn ask(daemon: &Daemon, question: MessageRequest) -> MessageResponse {
    let mut reflection = ServerReflectionClient::new(daemon.rpc().await.channel);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = within("a reflection", answers.message()).await.unwrap().unwrap();
    answer.message_response.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_tells_every_service_and_every_file() {
    let daemon = Daemon::start();
    let MessageResponse::ListServicesResponse(list) = ask(&daemon, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services");
    };
    let told: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for method in methods() {
        assert!(told.contains(&method.service), "{} is not told", method.service);
        let symbol = format!("{}.{}", method.service, method.name);
        let answer = ask(&daemon, MessageRequest::FileContainingSymbol(symbol.clone())).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{symbol}: {answer:?}");
    }
    assert!(told.iter().any(|name| name == "grpc.health.v1.Health"), "{told:?}");
}
