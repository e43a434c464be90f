//! What the daemon says, a client in Rust reads back unchanged; and the file beside an archived payload too.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail it by panicking")]

use payload_manager_api::catalog::v1::*;
use payload_manager_api::convert::{Descriptor, Location, METADATA_VERSION, Summary, descriptor, from_json, to_json};
use payload_manager_api::core::v1 as core;
use payload_manager_api::reason::Reason;
use payload_manager_api::runtime::v1::PayloadSummary;
use payload_manager_types::{
    Checksum, DeviceUuid, EvictionPolicy, PayloadId, PayloadState, Priority, Protection, SpillTarget, Tier, UnixMillis,
};

fn sample() -> Descriptor {
    Descriptor {
        id: PayloadId::from_bytes([7; 16]),
        tier: Tier::Ram,
        state: PayloadState::Durable,
        location: Some(Location::Ram { name: "/pm-x".into(), unit: 2, offset: 4096, segment: 1 << 20, length: 5 }),
        version: 3,
        created: UnixMillis(1_700_000_000_123),
        expires: Some(UnixMillis(1_700_000_001_000)),
        policy: EvictionPolicy {
            priority: Priority::High,
            require_durable: true,
            spill_target: Some(SpillTarget::Tier(Tier::Object)),
            min_residency: None,
        },
        size: 5,
        checksum: Some(Checksum([9; 16])),
        copies: [Tier::Ram, Tier::Disk].into_iter().collect(),
        protection: Protection::Strict,
        dies_with_daemon: false,
    }
}

#[test]
fn a_descriptor_survives_the_wire_wherever_the_payload_is() {
    let gpu = Location::Gpu {
        device: 1,
        uuid: Some(DeviceUuid([7; 16])),
        unit: 9,
        handle: vec![1; 72],
        offset: 2,
        segment: 3,
        length: 5,
    };
    let file = Location::File { path: "/data/x.bin".into(), offset: 0, length: 5 };
    for (tier, location) in [(Tier::Gpu, Some(gpu)), (Tier::Disk, Some(file)), (Tier::Object, None)] {
        let original = Descriptor { tier, location, expires: None, checksum: None, ..sample() };
        assert_eq!(descriptor(Some(original.clone().into())), Ok(original));
    }
    assert_eq!(descriptor(Some(sample().into())), Ok(sample()));
}

#[test]
fn an_answer_that_breaks_the_contract_is_an_error_for_the_client() {
    let wire = core::PayloadDescriptor::from(sample());
    let no_state = core::PayloadDescriptor { state: 0, ..wire.clone() };
    let short = core::PayloadChecksum { algorithm: 2, value: vec![1; 8] };
    assert_eq!(descriptor(None).unwrap_err().reason, Reason::IdLength);
    assert_eq!(descriptor(Some(no_state)).unwrap_err().reason, Reason::UnknownEnum);
    let bad_sum = core::PayloadDescriptor { integrity: Some(short), ..wire.clone() };
    assert_eq!(descriptor(Some(bad_sum)).unwrap_err().reason, Reason::ChecksumMismatch);
    let sha = core::PayloadChecksum { algorithm: 3, value: vec![1; 32] };
    let other_sum = core::PayloadDescriptor { integrity: Some(sha), ..wire };
    assert_eq!(descriptor(Some(other_sum)).unwrap().checksum, None);
}

#[test]
fn a_line_of_a_list_survives_the_wire() {
    for expires in [None, Some(UnixMillis(9))] {
        let original = Summary {
            id: PayloadId::from_bytes([7; 16]),
            tier: Tier::Disk,
            state: PayloadState::Allocated,
            size: 1,
            created: UnixMillis(8),
            expires,
            active_leases: 2,
        };
        assert_eq!(Summary::try_from(PayloadSummary::from(original)), Ok(original));
    }
}

fn archive() -> PayloadArchiveMetadata {
    let id = Some(core::PayloadId { value: vec![7; 16] });
    PayloadArchiveMetadata {
        uuid: id.clone(),
        metadata_version: METADATA_VERSION,
        created_at: Some(UnixMillis(1_700_000_000_123).into()),
        archived_at: Some(UnixMillis(1_700_000_000_000).into()),
        dataset: "d".into(),
        payload_descriptor: Some(sample().into()),
        lineage: vec![LineageEdge { parent: id.clone(), child: id.clone(), ..Default::default() }],
        integrity: Some(Integrity {
            algorithm: HashAlgorithm::HashXxh3128 as i32,
            checksum: vec![9; 16],
            chunk_hashes: vec![ChunkHash { offset: 0, length: 5, checksum: vec![1] }],
        }),
        metadata: Some(PayloadMetadata { id: id.clone(), data: vec![0, 255], schema: "s".into() }),
        metadata_events: vec![PayloadMetadataEvent { id, data: vec![1], ..Default::default() }],
        no_evict: true,
        protection: core::Protection::Strict as i32,
        compression: Some(Compression::default()),
        statistics: Some(PayloadStatistics { min_value: -0.5, sample_count: u64::MAX, ..Default::default() }),
        tags: [("k".to_owned(), "v".to_owned())].into(),
        ..Default::default()
    }
}

#[test]
fn an_archive_survives_its_json_which_is_canonical() {
    let text = to_json(&archive()).unwrap();
    assert_eq!(from_json(text.as_bytes()).unwrap(), archive());
    for part in [
        r#""createdAt": "2023-11-14T22:13:20.123Z""#,
        r#""metadataVersion": 1"#,
        r#""tier": "TIER_RAM""#,
        r#""sizeBytes": "5""#,
        r#""algorithm": "HASH_XXH3_128""#,
        r#""protection": "PROTECTION_STRICT""#,
        r#""sampleCount": "18446744073709551615""#,
        r#""data": "AP8=""#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn an_archive_of_a_newer_daemon_is_read_and_rubbish_is_an_error() {
    let newer = br#"{"dataset": "d", "fieldOfTomorrow": {"a": [1]}, "metadata_version": 2}"#;
    let read = from_json(newer).unwrap();
    assert_eq!((read.dataset.as_str(), read.metadata_version), ("d", 2));
    for rubbish in [&b""[..], b"[]", b"{\"createdAt\": \"soon\"}", b"{\"dataset\": 1}", b"\xff"] {
        assert!(from_json(rubbish).is_err());
    }
}
