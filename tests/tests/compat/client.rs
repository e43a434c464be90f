//! A client of the first version in plain Rust: messages of its own, and files and mappings for the bytes.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use payload_manager_shm::{ReadMap, WriteMap};
use payload_manager_tests::wire::framed;
use payload_manager_tests::{Wire, v1};
use prost::Message;
use tonic::Code;

use crate::messages::{
    ACTIVE, ALLOCATED, AcquireRequest, AcquireResponse, AllocateRequest, AppendRequest, AppendResponse, DISK, DURABLE,
    Described, Descriptor, Entries, Id, ListResponse, Named, OnStream, PromoteRequest, RAM, SpillRequest,
    SpillResponse, Stats, StreamName,
};

const SIZE: usize = 123_457;

/// The client.
pub(crate) struct V1(Wire);

impl V1 {
    pub(crate) fn new(wire: Wire) -> Self {
        Self(wire)
    }

    async fn call<A: Message + Default>(&self, service: &str, method: &str, ask: &impl Message) -> A {
        let path = format!("/payload.manager.services.v1.Payload{service}Service/{method}");
        let answer = self.0.send(&path, framed(&ask.encode_to_vec()), &[]).await;
        assert_eq!(answer.code(), Code::Ok, "{method}: {}", answer.status.message());
        A::decode(answer.messages[0].clone()).unwrap()
    }

    /// Allocates, opens, sizes, maps, fills, commits.
    pub(crate) async fn put(&self, tier: i32, seed: u64) -> Id {
        let ask = AllocateRequest { size_bytes: SIZE as u64, preferred_tier: tier };
        let made = self.call::<Described>("Catalog", "AllocatePayload", &ask).await.payload_descriptor.unwrap();
        assert_eq!((made.tier, made.state, made.version), (tier, ALLOCATED, 1));
        assert!(made.created_at.is_some());
        let (path, offset) = place(&made);
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        file.set_len(offset + SIZE as u64).unwrap();
        WriteMap::of_file(&file, offset, SIZE).unwrap().copy_from_slice(&v1::pattern(seed, SIZE));
        let named = Named { id: made.payload_id.clone() };
        let now = self.call::<Described>("Catalog", "CommitPayload", &named).await.payload_descriptor.unwrap();
        let committed = if tier == DISK { DURABLE } else { ACTIVE };
        assert_eq!((now.tier, now.state), (tier, committed));
        assert!(now.version > 1);
        made.payload_id.unwrap()
    }

    async fn acquire(&self, id: &Id, min_tier: i32) -> AcquireResponse {
        let ask = AcquireRequest { id: Some(id.clone()), min_tier, min_lease_duration_ms: 30_000, mode: 1 };
        self.call("Data", "AcquireReadLease", &ask).await
    }

    /// Reads a payload under a lease and compares every byte.
    pub(crate) async fn check(&self, id: &Id, seed: u64) {
        let lease = self.acquire(id, 0).await;
        assert!(lease.lease_expires_at.is_some());
        check_bytes(&lease.payload_descriptor.unwrap(), seed);
        self.call::<()>("Data", "ReleaseLease", &Named { id: lease.lease_id }).await;
    }

    /// All that there was to do with a payload in the first version, and what is left in the end: nothing.
    pub(crate) async fn whole_life(&self) {
        let (ram, disk) = (self.put(RAM, 1).await, self.put(DISK, 2).await);
        self.check(&ram, 1).await;
        self.check(&disk, 2).await;
        self.moves(&ram, &disk).await;
        self.tells(&ram, &disk).await;
        for id in [ram, disk] {
            self.call::<()>("Catalog", "Delete", &Named { id: Some(id) }).await;
        }
        assert_eq!(self.call::<Stats>("Admin", "Stats", &()).await, Stats::default());
    }

    async fn moves(&self, ram: &Id, disk: &Id) {
        // Its lease keeps the location that it was answered, whatever happens to the payload.
        let lease = self.acquire(ram, RAM).await;
        let ask = SpillRequest { ids: vec![ram.clone()], fsync: true };
        let spilt = self.call::<SpillResponse>("Catalog", "Spill", &ask).await.results;
        assert!(spilt.len() == 1 && spilt[0].ok && spilt[0].error_message.is_empty(), "{spilt:?}");
        let now = spilt[0].payload_descriptor.clone().unwrap();
        assert_eq!((now.tier, now.state, spilt[0].id.as_ref()), (DISK, DURABLE, Some(ram)));
        check_bytes(&now, 1);
        check_bytes(lease.payload_descriptor.as_ref().unwrap(), 1);
        self.call::<()>("Data", "ReleaseLease", &Named { id: lease.lease_id }).await;

        let ask = PromoteRequest { id: Some(disk.clone()), target_tier: RAM };
        let fast = self.call::<Described>("Catalog", "Promote", &ask).await.payload_descriptor.unwrap();
        assert_eq!((fast.tier, fast.state), (RAM, DURABLE));
        check_bytes(&fast, 2);
        let lease = self.acquire(ram, RAM).await;
        assert_eq!(lease.payload_descriptor.as_ref().unwrap().tier, RAM, "promoted for the lease");
        check_bytes(lease.payload_descriptor.as_ref().unwrap(), 1);
        self.call::<()>("Data", "ReleaseLease", &Named { id: lease.lease_id }).await;
        let now: Described = self.call("Data", "ResolveSnapshot", &Named { id: Some(ram.clone()) }).await;
        assert_eq!(now.payload_descriptor.unwrap().tier, RAM);
    }

    async fn tells(&self, ram: &Id, disk: &Id) {
        let list = self.call::<ListResponse>("Catalog", "ListPayloads", &()).await;
        let ids: Vec<Option<&Id>> = list.payloads.iter().map(|row| row.id.as_ref()).collect();
        assert_eq!((ids, list.total_count), (vec![Some(disk), Some(ram)], 2), "newest first");
        assert!(list.payloads.iter().all(|row| row.size_bytes == SIZE as u64 && row.tier == RAM));
        assert!(list.payloads.iter().all(|row| row.state == DURABLE && row.active_leases == 0));
        assert!(list.next_page_token.is_empty());
        let stats = self.call::<Stats>("Admin", "Stats", &()).await;
        assert_eq!((stats.payloads_ram, stats.bytes_ram), (2, 2 * SIZE as u64));
        assert_eq!((stats.payloads_disk, stats.bytes_disk), (0, 0));

        let stream = Some(StreamName { name: "frames".to_owned() });
        let on = OnStream { stream: stream.clone() };
        self.call::<()>("Stream", "CreateStream", &on).await;
        let items = vec![Named { id: Some(ram.clone()) }, Named { id: Some(disk.clone()) }];
        let appended: AppendResponse = self.call("Stream", "Append", &AppendRequest { stream, items }).await;
        assert_eq!((appended.first_offset, appended.last_offset), (0, 1));
        let read: Entries = self.call("Stream", "Read", &on).await;
        let path = "/payload.manager.services.v1.PayloadStreamService/Subscribe";
        let mut pushed = self.0.open(path, framed(&on.encode_to_vec()), &[]).await;
        for (offset, id) in [(0, ram), (1, disk)] {
            let entry = Entries::decode(pushed.next().await.unwrap()).unwrap().entries.remove(0);
            assert_eq!((entry.offset, entry.payload_id.as_ref()), (offset, Some(id)));
            assert!(entry.append_time.is_some());
            assert_eq!(read.entries[usize::try_from(offset).unwrap()], entry);
        }
        self.call::<()>("Stream", "DeleteStream", &on).await;
    }
}

/// Where the first version looks for the bytes: it ignores slab and block, and maps an object from its start.
fn place(descriptor: &Descriptor) -> (PathBuf, u64) {
    match (&descriptor.ram, &descriptor.disk) {
        (Some(ram), None) => {
            assert!(ram.shm_name.starts_with('/') && ram.length_bytes == SIZE as u64, "{ram:?}");
            let path = PathBuf::from("/dev/shm").join(&ram.shm_name[1..]);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE as u64, "an object of its own");
            (path, 0)
        }
        (None, Some(disk)) => {
            assert!(disk.offset_bytes.is_multiple_of(4096) && disk.length_bytes == SIZE as u64, "{disk:?}");
            (PathBuf::from(&disk.path), disk.offset_bytes)
        }
        _ => panic!("not exactly one location: {descriptor:?}"),
    }
}

fn check_bytes(descriptor: &Descriptor, seed: u64) {
    let (path, offset) = place(descriptor);
    let map = ReadMap::of_file(&File::open(path).unwrap(), offset, SIZE).unwrap();
    assert!(map[..] == v1::pattern(seed, SIZE)[..], "not the bytes that were written");
}
