//! The messages of the first version, written down from the contract's table and not generated: names and numbers here
//! do not follow if ours should ever change.

use prost::Message;

/// `Tier` of the first version.
pub(crate) const RAM: i32 = 2;
pub(crate) const DISK: i32 = 3;

/// `PayloadState` of the first version.
pub(crate) const ALLOCATED: i32 = 1;
pub(crate) const ACTIVE: i32 = 2;
pub(crate) const DURABLE: i32 = 4;

/// `PayloadID` and `LeaseID`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(crate) struct Id {
    #[prost(bytes, tag = "1")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RamLocation {
    #[prost(string, tag = "1")]
    pub(crate) shm_name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) slab_id: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) block_index: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) length_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DiskLocation {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(uint64, tag = "2")]
    pub(crate) offset_bytes: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) length_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Descriptor {
    #[prost(message, optional, tag = "1")]
    pub(crate) payload_id: Option<Id>,
    #[prost(int32, tag = "2")]
    pub(crate) tier: i32,
    #[prost(int32, tag = "3")]
    pub(crate) state: i32,
    #[prost(message, optional, tag = "5")]
    pub(crate) ram: Option<RamLocation>,
    #[prost(message, optional, tag = "6")]
    pub(crate) disk: Option<DiskLocation>,
    #[prost(uint64, tag = "7")]
    pub(crate) version: u64,
    #[prost(message, optional, tag = "8")]
    pub(crate) created_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AllocateRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) size_bytes: u64,
    #[prost(int32, tag = "2")]
    pub(crate) preferred_tier: i32,
}

/// What answers with a descriptor in field 1: allocate, commit, promote, resolve.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Described {
    #[prost(message, optional, tag = "1")]
    pub(crate) payload_descriptor: Option<Descriptor>,
}

/// What asks with an id in field 1 and no more: commit, resolve, release, unforced delete.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Named {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AcquireRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(int32, tag = "2")]
    pub(crate) min_tier: i32,
    #[prost(uint64, tag = "4")]
    pub(crate) min_lease_duration_ms: u64,
    #[prost(int32, tag = "5")]
    pub(crate) mode: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AcquireResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) payload_descriptor: Option<Descriptor>,
    #[prost(message, optional, tag = "2")]
    pub(crate) lease_id: Option<Id>,
    #[prost(message, optional, tag = "3")]
    pub(crate) lease_expires_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PromoteRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(int32, tag = "2")]
    pub(crate) target_tier: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpillRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ids: Vec<Id>,
    #[prost(bool, tag = "4")]
    pub(crate) fsync: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpillResult {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(bool, tag = "2")]
    pub(crate) ok: bool,
    #[prost(string, tag = "3")]
    pub(crate) error_message: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) payload_descriptor: Option<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpillResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) results: Vec<SpillResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(int32, tag = "2")]
    pub(crate) tier: i32,
    #[prost(int32, tag = "3")]
    pub(crate) state: i32,
    #[prost(uint64, tag = "4")]
    pub(crate) size_bytes: u64,
    #[prost(uint32, tag = "7")]
    pub(crate) active_leases: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) payloads: Vec<Summary>,
    #[prost(string, tag = "2")]
    pub(crate) next_page_token: String,
    #[prost(int32, tag = "3")]
    pub(crate) total_count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stats {
    #[prost(uint64, tag = "2")]
    pub(crate) payloads_ram: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) payloads_disk: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) bytes_ram: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) bytes_disk: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamName {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

/// What asks with a stream in field 1: create, delete, read from the start, subscribe from the beginning.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OnStream {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream: Option<StreamName>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) stream: Option<StreamName>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) items: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendResponse {
    #[prost(uint64, tag = "1")]
    pub(crate) first_offset: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) last_offset: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    #[prost(uint64, tag = "2")]
    pub(crate) offset: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) payload_id: Option<Id>,
    #[prost(message, optional, tag = "5")]
    pub(crate) append_time: Option<Timestamp>,
}

/// What answers with an entry, or with many, in field 1: subscribe, read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<Entry>,
}
