//! What URIs are read as, and which are refused.

use super::*;

fn address(uri: &str) -> Address {
    Address::parse(uri).unwrap()
}

fn refused(uri: &str) -> AddressError {
    Address::parse(uri).unwrap_err()
}

fn id() -> PayloadId {
    PayloadId::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}

#[test]
fn each_scheme_is_read_and_written_again() {
    let id = id();
    for uri in
        ["s3://bucket/a/b", "gs://bucket/a", "az://container/a", "file:///var/lib/pm", "s3://bucket/?scheme=https"]
    {
        let at = uri.find('?').unwrap_or(uri.len());
        let (place, query) = uri.split_at(at);
        assert_eq!(address(uri).bin(id), format!("{}/{id}.bin{query}", place.trim_end_matches('/')));
    }
}

#[test]
fn a_bucket_without_a_prefix_holds_payloads_at_its_top() {
    let id = id();
    assert_eq!(address("s3://bucket").bin(id), format!("s3://bucket/{id}.bin"));
    assert_eq!(address("s3://bucket//"), address("s3://bucket/"));
}

#[test]
fn a_custom_endpoint_is_understood_and_handed_on_as_it_was_written() {
    let uri = "s3://bucket/p?endpoint_override=127.0.0.1%3A9000&scheme=http";
    let read = address(uri);
    assert_eq!((read.endpoint(), read.is_plain_http()), (Some("127.0.0.1:9000"), true));
    assert!(read.bin(id()).ends_with(".bin?endpoint_override=127.0.0.1%3A9000&scheme=http"));
    assert!(!address("s3://bucket/p").is_plain_http());
}

#[test]
fn credentials_in_a_uri_are_refused_and_not_repeated() {
    for uri in ["s3://key:hunter2@bucket/p", "s3://key:hun/ter2@bucket/p"] {
        assert_eq!(refused(uri), AddressError::Credentials);
    }
    assert!(!AddressError::Credentials.to_string().contains("hun"));
    assert!(!refused("s3://bucket/p?secret_key=hunter2").to_string().contains("hunter2"));
}

#[test]
fn what_names_no_place_is_refused() {
    assert!(matches!(refused("bucket/p"), AddressError::Scheme(_)));
    assert!(matches!(refused("ftp://bucket/p"), AddressError::Scheme(_)));
    for uri in ["s3://", "s3:///p", "file://", "file:///", "file://host/p"] {
        assert!(matches!(refused(uri), AddressError::Place(..)), "{uri}");
    }
}

#[test]
fn steps_on_which_stores_do_not_agree_are_refused() {
    for uri in ["s3://b/a/../c", "s3://b/a//c", "s3://b/./c", "s3://b/a b", "s3://b/a%2Fb", "s3://b/a#c", "s3://b/ä"] {
        assert!(matches!(refused(uri), AddressError::Step(_)), "{uri}");
    }
}

#[test]
fn options_are_known_and_given_once() {
    for query in [
        "x=1",
        "scheme=ftp",
        "scheme=http&scheme=https",
        "scheme",
        "endpoint_override=",
        "endpoint_override=a%2",
        "endpoint_override=a%zz",
        "endpoint_override=a/b",
        "endpoint_override=a&endpoint_override=b",
    ] {
        let error = refused(&format!("s3://b/p?{query}"));
        assert!(matches!(error, AddressError::Option(_)), "{query}");
    }
    assert!(matches!(refused("file:///p?endpoint_override=a"), AddressError::Option(_)));
}
