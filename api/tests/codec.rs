//! Bytes that are no message are the caller's mistake, whatever service they are sent to.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail it by panicking")]

use payload_manager_api::admin::v1 as admin;
use payload_manager_api::reason::{Reason, detail};
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
        Err(Status::unimplemented(""))
    }
}

/// What a server answers to one gRPC frame around `message`, given as text.
async fn answer(call: &str, message: &str) -> Status {
    let length = char::from(u8::try_from(message.len()).unwrap());
    let frame = format!("\0\0\0\0{length}{message}");
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("/payload.manager.services.v1.PayloadAdminService/{call}"))
        .header("content-type", "application/grpc")
        .body(frame)
        .unwrap();
    let response = PayloadAdminServiceServer::new(Admin).call(request).await.unwrap();
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_an_invalid_argument_with_a_reason() {
    let no_such_wire_type = "\x0f";
    let cut_short = "\x1a\x09token";
    for garbage in [no_such_wire_type, cut_short] {
        for call in ["Stats", "ListLeases"] {
            let status = answer(call, garbage).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert_eq!(detail(&status).unwrap().known(), Some(Reason::MessageUndecodable));
        }
    }
}

#[tokio::test]
async fn a_message_that_can_be_decoded_passes() {
    for message in ["", "\x1a\x05token"] {
        assert_eq!(answer("ListLeases", message).await.code(), Code::Ok);
    }
}
