//! Bytes that are no message are the caller's mistake, whatever service they are sent to.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail it by panicking")]

use payload_manager_api::admin::v1 as admin;
use payload_manager_api::codec::blame_the_caller;
use payload_manager_api::reason::{Reason, detail, status};
use payload_manager_api::services::v1::payload_admin_service_server::{PayloadAdminService, PayloadAdminServiceServer};
use tonic::codegen::Service as _;
use tonic::codegen::http;
use tonic::{Code, Request, Response, Status};

struct Admin;

#[tonic::async_trait]
impl PayloadAdminService for Admin {
    async fn stats(&self, _: Request<admin::StatsRequest>) -> Result<Response<admin::StatsResponse>, Status> {
        Ok(Response::new(admin::StatsResponse::default()))
    }

    async fn list_leases(
        &self,
        request: Request<admin::ListLeasesRequest>,
    ) -> Result<Response<admin::ListLeasesResponse>, Status> {
        let next_page_token = request.into_inner().page_token;
        Ok(Response::new(admin::ListLeasesResponse { leases: Vec::new(), next_page_token }))
    }

    async fn list_sessions(
        &self,
        _: Request<admin::ListSessionsRequest>,
    ) -> Result<Response<admin::ListSessionsResponse>, Status> {
        Err(status(Code::Internal, Reason::Bug, "", []))
    }
}

/// What a server answers to a body, given as text.
async fn answer_to(call: &str, body: String) -> Status {
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("/payload.manager.services.v1.PayloadAdminService/{call}"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let mut response = PayloadAdminServiceServer::new(Admin).call(request).await.unwrap();
    blame_the_caller(response.headers_mut());
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
}

/// What a server answers to one gRPC frame around `message`.
async fn answer(call: &str, message: &str) -> Status {
    let length = char::from(u8::try_from(message.len()).unwrap());
    answer_to(call, format!("\0\0\0\0{length}{message}")).await
}

fn assert_blamed(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(detail(status).unwrap().known(), Some(Reason::MessageUndecodable));
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_an_invalid_argument_with_a_reason() {
    let no_such_wire_type = "\x0f";
    let cut_short = "\x1a\x09token";
    for garbage in [no_such_wire_type, cut_short] {
        for call in ["Stats", "ListLeases"] {
            assert_blamed(&answer(call, garbage).await);
        }
    }
}

#[tokio::test]
async fn a_message_that_can_be_decoded_passes() {
    for message in ["", "\x1a\x05token"] {
        assert_eq!(answer("ListLeases", message).await.code(), Code::Ok);
    }
}

#[tokio::test]
async fn a_body_that_is_not_one_message_is_an_invalid_argument_too() {
    let (nothing, half_a_header, cut_short, no_such_flag) = ("", "\0\0", "\0\0\0\0\x09tok", "\x07\0\0\0\0");
    for body in [nothing, half_a_header, cut_short, no_such_flag] {
        assert_blamed(&answer_to("ListLeases", body.to_owned()).await);
    }
}

#[tokio::test]
async fn an_error_of_the_daemon_stays_what_it_is() {
    assert_eq!(answer("ListSessions", "").await.code(), Code::Internal);
}
