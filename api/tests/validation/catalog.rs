//! Metadata and lineage.

use payload_manager_api::catalog::v1::*;
use payload_manager_api::convert::{
    AddLineage, AppendMetadataEvent, GetLineage, ITEM_LIMIT, METADATA_LIMIT, SCHEMA_LIMIT, UpdateMetadata,
};
use payload_manager_api::core::v1::PayloadId;
use payload_manager_api::reason::Reason;

use crate::{id, refusal};

fn update(metadata: PayloadMetadata, mode: i32) -> UpdatePayloadMetadataRequest {
    UpdatePayloadMetadataRequest { id: id(16), mode, metadata: Some(metadata), ..Default::default() }
}

#[test]
fn metadata_of_its_full_size_passes_and_a_byte_more_does_not() {
    let full = PayloadMetadata { id: id(16), data: vec![0; METADATA_LIMIT], schema: "s".repeat(SCHEMA_LIMIT) };
    let kept = UpdateMetadata::try_from(update(full.clone(), 2)).unwrap();
    assert_eq!((kept.replace, kept.metadata.data.len()), (true, METADATA_LIMIT));
    let data = PayloadMetadata { data: vec![0; METADATA_LIMIT + 1], ..full.clone() };
    let schema = PayloadMetadata { schema: "s".repeat(SCHEMA_LIMIT + 1), ..full };
    for (metadata, field) in [(data, "metadata.data"), (schema, "metadata.schema")] {
        let event =
            AppendPayloadMetadataEventRequest { id: id(16), metadata: Some(metadata.clone()), ..Default::default() };
        assert_eq!(refusal(UpdateMetadata::try_from(update(metadata, 0))), (Reason::MetadataTooLarge, field));
        assert_eq!(refusal(AppendMetadataEvent::try_from(event)), (Reason::MetadataTooLarge, field));
    }
}

#[test]
fn an_update_merges_unless_it_says_replace() {
    for (mode, replace) in [(0, false), (1, false), (2, true)] {
        let update = UpdateMetadata::try_from(update(PayloadMetadata::default(), mode)).unwrap();
        assert_eq!(update.replace, replace);
    }
    assert_eq!(refusal(UpdateMetadata::try_from(update(Default::default(), 3))), (Reason::UnknownEnum, "mode"));
}

#[test]
fn metadata_that_names_another_payload_is_refused() {
    let other = Some(PayloadId { value: vec![8; 16] });
    let named = |id| update(PayloadMetadata { id, ..Default::default() }, 0);
    assert_eq!(refusal(UpdateMetadata::try_from(named(other))), (Reason::IdMismatch, "metadata.id"));
    assert_eq!(refusal(UpdateMetadata::try_from(named(id(15)))), (Reason::IdLength, "metadata.id"));
}

#[test]
fn one_bad_edge_spoils_all() {
    let parent = Some(PayloadId { value: vec![8; 16] });
    let good = LineageEdge { parent: parent.clone(), ..Default::default() };
    let add = |edge: LineageEdge| {
        AddLineage::try_from(AddLineageRequest { child: id(16), parents: vec![good.clone(), edge] })
    };
    assert_eq!(add(LineageEdge { child: id(16), ..good.clone() }).unwrap().parents.len(), 2);
    let cases = [
        (LineageEdge { parent: id(16), ..good.clone() }, Reason::SelfParent),
        (LineageEdge { parent: None, ..good.clone() }, Reason::IdLength),
        (LineageEdge { child: parent.clone(), ..good.clone() }, Reason::IdMismatch),
        (LineageEdge { role: "r".repeat(SCHEMA_LIMIT + 1), ..good.clone() }, Reason::MetadataTooLarge),
        (LineageEdge { parameters: vec![0; ITEM_LIMIT + 1], ..good.clone() }, Reason::MetadataTooLarge),
    ];
    for (edge, reason) in cases {
        assert_eq!(refusal(add(edge)).0, reason);
    }
}

#[test]
fn a_depth_of_0_is_no_limit() {
    let depth = |max_depth| GetLineage::try_from(GetLineageRequest { id: id(16), upstream: true, max_depth });
    assert_eq!((depth(0).unwrap().max_depth, depth(2).unwrap().max_depth), (None, Some(2)));
}
