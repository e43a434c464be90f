//! The promises of `ARCHITECTURE.md`: each is upheld where the table says, and tested where it says. And one that only a
//! look at the whole contract can test: payload bytes have no place in any message.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use payload_manager_api::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the table of promises: id, files that uphold it, files that test it.
fn table() -> Vec<(String, Vec<String>, Vec<String>)> {
    let text = std::fs::read_to_string(root().join("sidecar/ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let section = text.split("## Promises").nth(1).expect("a section on promises");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            assert_eq!(cells.len(), 3, "{line}");
            (quoted(cells[0])[0].clone(), quoted(cells[1]), quoted(cells[2]))
        })
        .collect()
}

#[test]
fn every_promise_is_named_where_it_is_upheld_and_where_it_is_tested() {
    let table = table();
    assert_eq!(table.len(), 11, "{table:?}");
    for (promise, upheld, tested) in table {
        assert!(!upheld.is_empty() && !tested.is_empty(), "{promise} has no enforcer or no test");
        for file in upheld.iter().chain(&tested) {
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{promise}: {file}: {e}"));
            assert!(text.contains(&promise), "{file} does not name the promise {promise}");
        }
    }
}

/// Promise no-bytes-on-the-wire: every field of type `bytes` in the whole contract is an id, a checksum, a handle, a secret or
/// something small that a client says *about* a payload.
#[test]
fn no_message_has_a_place_for_payload_bytes() {
    const KNOWN: [&str; 19] = [
        "PayloadID.value",
        "LeaseID.value",
        "PayloadChecksum.value",
        "ChunkHash.checksum",
        "Integrity.checksum",
        "Allocate.devices",
        "AcquireReadLeaseRequest.devices",
        "PrefetchRequest.devices",
        "PromoteRequest.devices",
        "DeviceSlab.device_uuid",
        "DeviceSlab.ipc_handle",
        "GpuLocation.device_uuid",
        "GpuLocation.ipc_handle",
        "PayloadMetadata.data",
        "PayloadMetadataEvent.data",
        "LineageEdge.parameters",
        "PayloadArchiveMetadata.reserved_extension",
        "Attach.secret",
        "Welcome.secret",
    ];
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("our own descriptors");
    let mut found = BTreeSet::new();
    for message in set.file.iter().filter(|f| f.package().starts_with("payload.")).flat_map(|f| &f.message_type) {
        collect(message, &mut found);
    }
    let unknown: Vec<_> = found.iter().filter(|field| !KNOWN.contains(&field.as_str())).collect();
    assert!(unknown.is_empty(), "do these carry payload bytes? {unknown:?}");
    assert!(found.contains("PayloadID.value"));
}

fn collect(message: &DescriptorProto, found: &mut BTreeSet<String>) {
    for field in message.field.iter().filter(|f| f.r#type() == Type::Bytes) {
        found.insert(format!("{}.{}", message.name(), field.name()));
    }
    message.nested_type.iter().for_each(|nested| collect(nested, found));
}
