//! Every request: what the contract refuses, with its reason, and what it lets through.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail it by panicking")]

use payload_manager_api::convert::{Allocate, Invalid};
use payload_manager_api::reason::Reason;

mod validation {
    mod catalog;
    mod ids;
    mod lease;
    mod lifecycle;
    mod stream;
    mod tiering;
}

use payload_manager_api::core::v1 as core;
use payload_manager_api::runtime::v1 as runtime;

/// A payload id of so many bytes.
fn id(bytes: usize) -> Option<core::PayloadId> {
    Some(core::PayloadId { value: vec![7; bytes] })
}

/// The reason and field of a refusal.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Invalid>) -> (Reason, &'static str) {
    let invalid = outcome.unwrap_err();
    assert!(invalid.to_string().contains(invalid.field), "{invalid}");
    (invalid.reason, invalid.field)
}

#[test]
fn a_refusal_names_its_subject_for_people_and_for_programs() {
    let import = runtime::ImportPayloadRequest { id: id(16), size_bytes: 0 };
    let invalid = payload_manager_api::convert::Import::try_from(import).unwrap_err();
    let uuid = "07070707-0707-0707-0707-070707070707";
    assert_eq!(
        invalid.to_string(),
        format!("payload {uuid}: size_bytes: a payload has at least 1 byte; say how many you are going to write")
    );
    assert_eq!(invalid.facts(), [("field", "size_bytes".to_owned()), ("payload_id", uuid.to_owned())]);
    let nothing = Allocate::try_from(runtime::AllocatePayloadRequest::default()).unwrap_err();
    assert_eq!(nothing.facts(), [("field", "size_bytes".to_owned())]);
}
