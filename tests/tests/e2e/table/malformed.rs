//! Rows that the contract itself tells: for every field of every request of this version, what its kind can be wrong in.
//!
//! A field is spoilt by adding it once more to a good message: of a field that comes twice, the last one counts, and
//! messages are merged. So nothing here knows the requests but by their descriptors.

use payload_manager_api::core::v1::Tier;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AllocatePayloadRequest, AppendItem, AppendRequest, CommitPayloadRequest, CommitRequest,
    CreateStreamRequest, DeleteRequest, DeleteStreamRequest, GetCommittedRequest, GetPayloadRequest, GetRangeRequest,
    GetStreamRequest, PromoteRequest, ReadRequest, ReleaseLeaseRequest, RenewLeaseRequest, ResolveSnapshotRequest,
    SpillRequest, SubscribeRequest,
};
use payload_manager_api::{FILE_DESCRIPTOR_SET, Reason};
use payload_manager_tests::rpc::stream;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use tonic::Code;

use super::REACHES;
use super::row::{Expect, Row};
use super::world::{Given, STREAM, World};
use super::{lineage, metadata, pin};

pub(super) fn rows() -> Vec<Row> {
    let contract = Contract::load();
    let mut rows = Vec::new();
    for (call, _) in REACHES {
        // What is wrong with one lease of a batch is that lease's own.
        let spoilt = contract.spoilt(&contract.request(call)).into_iter().filter(|_| call != "AcquireReadLeases");
        for spoilt in spoilt {
            rows.push(spoil(call, spoilt));
        }
        let garbage: [(&str, &[u8]); 3] =
            [("no fields at all", &[0xff; 3]), ("cut short", &[0x0a, 5, 1]), ("a field without a kind", &[0x0f])];
        rows.extend(garbage.map(|(case, bytes)| {
            let reason = Reason::MessageUndecodable;
            spoil(call, Spoilt { case: case.to_owned(), bytes: bytes.to_vec(), reason, at_once: true })
        }));
    }
    rows
}

fn spoil(call: &'static str, spoilt: Spoilt) -> Row {
    let (given, good) = good_one(call);
    let Spoilt { case, bytes, reason, .. } = spoilt;
    Row {
        call,
        case,
        given,
        ask: Box::new(move |world| [good(world), bytes.clone()].concat()),
        timeout: None,
        expect: Expect::Refused(Code::InvalidArgument, reason, Vec::new()),
        has_effects: false,
    }
}

/// Makes a good request.
pub(super) type Good = fn(&World) -> Vec<u8>;

/// A request that would go well.
fn good_one(call: &str) -> (Given, Good) {
    match call {
        "AllocatePayload" => (Given::Nothing, |_| {
            let preferred_tier = Tier::Ram as i32;
            AllocatePayloadRequest { size_bytes: 1, preferred_tier, ..Default::default() }.encode_to_vec()
        }),
        "CommitPayload" => {
            (Given::Allocated(Tier::Ram), |w| CommitPayloadRequest { id: Some(w.subject.clone()) }.encode_to_vec())
        }
        "Delete" => (Given::Active, |w| DeleteRequest { id: Some(w.subject.clone()), force: false }.encode_to_vec()),
        "GetPayload" => (Given::Active, |w| GetPayloadRequest { id: Some(w.subject.clone()) }.encode_to_vec()),
        "ResolveSnapshot" => {
            (Given::Active, |w| ResolveSnapshotRequest { id: Some(w.subject.clone()) }.encode_to_vec())
        }
        "Promote" => (Given::Durable, |w| {
            let target_tier = Tier::Ram as i32;
            PromoteRequest { id: Some(w.subject.clone()), target_tier, ..Default::default() }.encode_to_vec()
        }),
        "Spill" => {
            (Given::Active, |w| SpillRequest { ids: vec![w.subject.clone()], ..Default::default() }.encode_to_vec())
        }
        "AcquireReadLease" => (Given::Active, |w| {
            AcquireReadLeaseRequest { id: Some(w.subject.clone()), ..Default::default() }.encode_to_vec()
        }),
        "ReleaseLease" => (Given::Leased, |w| ReleaseLeaseRequest { lease_id: Some(w.lease.clone()) }.encode_to_vec()),
        "RenewLease" => (Given::Leased, |w| {
            RenewLeaseRequest { lease_id: Some(w.lease.clone()), min_lease_duration_ms: 0 }.encode_to_vec()
        }),
        "CreateStream" => (Given::Nothing, |_| {
            CreateStreamRequest { stream: Some(stream(STREAM)), ..Default::default() }.encode_to_vec()
        }),
        "DeleteStream" => (Given::Stream, |_| DeleteStreamRequest { stream: Some(stream(STREAM)) }.encode_to_vec()),
        "Append" => (Given::Stream, |w| {
            let item = AppendItem { payload_id: Some(w.subject.clone()), ..Default::default() };
            AppendRequest { stream: Some(stream(STREAM)), items: vec![item] }.encode_to_vec()
        }),
        "Read" => {
            (Given::Stream, |_| ReadRequest { stream: Some(stream(STREAM)), ..Default::default() }.encode_to_vec())
        }
        "Commit" => (Given::Stream, |_| {
            let (stream, consumer_group) = (Some(stream(STREAM)), "g".to_owned());
            CommitRequest { stream, consumer_group, offset: 0 }.encode_to_vec()
        }),
        "GetCommitted" => (Given::Stream, |_| {
            GetCommittedRequest { stream: Some(stream(STREAM)), consumer_group: "g".to_owned() }.encode_to_vec()
        }),
        "GetRange" => (Given::Stream, |_| {
            GetRangeRequest { stream: Some(stream(STREAM)), start_offset: 0, end_offset: 1 }.encode_to_vec()
        }),
        "GetStream" => (Given::Stream, |_| GetStreamRequest { stream: Some(stream(STREAM)) }.encode_to_vec()),
        "Subscribe" => {
            (Given::Stream, |_| SubscribeRequest { stream: Some(stream(STREAM)), ..Default::default() }.encode_to_vec())
        }
        "Prefetch" | "Pin" | "Unpin" | "ImportPayload" => pin::good_one(call),
        "AddLineage" | "GetLineage" => lineage::good_one(call),
        "UpdatePayloadMetadata" | "AppendPayloadMetadataEvent" | "GetPayloadMetadata" | "ListPayloadMetadataEvents" => {
            metadata::good_one(call)
        }
        // Without a field that must be there.
        _ => (Given::Active, |_| Vec::new()),
    }
}

/// Bytes that spoil a message when they are added to it.
struct Spoilt {
    case: String,
    bytes: Vec<u8>,
    reason: Reason,
    /// Whether the call fails, rather than one item of it.
    at_once: bool,
}

struct Contract(FileDescriptorSet);

impl Contract {
    fn load() -> Self {
        Self(FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap())
    }

    /// The request of a call.
    fn request(&self, call: &str) -> DescriptorProto {
        let methods = self.0.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
        let method = methods.into_iter().find(|method| method.name() == call).unwrap();
        self.message(method.input_type())
    }

    /// A message by its full name, which begins with a dot.
    fn message(&self, name: &str) -> DescriptorProto {
        for file in &self.0.file {
            let Some(rest) = name.strip_prefix(&format!(".{}.", file.package())) else { continue };
            let mut path = rest.split('.');
            let outer = path.next().unwrap();
            let Some(found) = file.message_type.iter().find(|message| message.name() == outer) else { continue };
            return path.fold(found.clone(), |message, inner| {
                message.nested_type.into_iter().find(|nested| nested.name() == inner).unwrap()
            });
        }
        panic!("the contract has no {name}");
    }

    /// All that can be wrong with the fields of a message and of those within it.
    fn spoilt(&self, message: &DescriptorProto) -> Vec<Spoilt> {
        message.field.iter().flat_map(|field| self.spoilt_field(field)).filter(|spoilt| spoilt.at_once).collect()
    }

    fn spoilt_field(&self, field: &FieldDescriptorProto) -> Vec<Spoilt> {
        let repeated = field.label() == Label::Repeated;
        let spoil = |case: String, bytes: Vec<u8>, reason: Reason| {
            let case = format!("{}: {case}", field.name());
            Spoilt { case, bytes, reason, at_once: true }
        };
        match (field.r#type(), field.type_name()) {
            (Type::Enum, _) => [99, i32::MAX, -1]
                .map(|number| spoil(format!("enum number {number}"), number_field(field, number), Reason::UnknownEnum))
                .into(),
            (Type::String, _) => {
                vec![spoil("not UTF-8".into(), bytes_field(field, &[0xff]), Reason::MessageUndecodable)]
            }
            (Type::Message, name) if name.ends_with(".PayloadID") || name.ends_with(".LeaseID") => {
                let id = |length: usize| {
                    // Field 1 of an id is its bytes.
                    let bytes = [&[0x0a][..], &varint(length as u64), &vec![7; length]].concat();
                    let case = format!("{length} bytes of id");
                    Spoilt { at_once: !repeated, ..spoil(case, bytes_field(field, &bytes), Reason::IdLength) }
                };
                [0, 15, 17, 70_000].map(id).into()
            }
            (Type::Message, name) => {
                let within = self.spoilt(&self.message(name)).into_iter();
                within.map(|inner| spoil(inner.case, bytes_field(field, &inner.bytes), inner.reason)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn varint(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint(number, &mut bytes);
    bytes
}

fn number_field(field: &FieldDescriptorProto, number: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(field.number().cast_unsigned(), WireType::Varint, &mut bytes);
    encode_varint(i64::from(number).cast_unsigned(), &mut bytes);
    bytes
}

fn bytes_field(field: &FieldDescriptorProto, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(field.number().cast_unsigned(), WireType::LengthDelimited, &mut bytes);
    encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}
