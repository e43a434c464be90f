//! What the rows of the table are given: one small daemon, made to hold what a row asks for and emptied after it.

use payload_manager_api::core::v1::{EvictionPolicy, LeaseId, PayloadDescriptor, PayloadId, Tier};
use payload_manager_api::runtime::v1::acquire_read_lease_result::Outcome;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseResponse, AcquireReadLeasesResponse, AllocatePayloadRequest, AppendItem, AppendRequest,
    CreateStreamRequest, DeleteStreamRequest, GetPayloadRequest, GetStreamRequest, ReadRequest, ReleaseLeaseRequest,
};
use payload_manager_tests::rpc::{id_of, stream};
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::wire::framed;
use payload_manager_tests::{Answer, Daemon, Rpc, Setup, Wire, named, v1};
use prost::Message as _;
use tonic::Code;

use super::row::{Expect, Row, judge};

/// What there is before a row's call. Where it is a payload, it is the world's `subject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// Nothing; the subject is an id that nobody has.
    Nothing,
    /// An allocation, its bytes written.
    Allocated(Tier),
    /// An allocation that its producer has made shorter.
    Truncated(Tier),
    /// Committed, in RAM.
    Active,
    /// Committed, in DISK.
    Durable,
    /// Committed, in both.
    Both,
    /// Active, with a lease on it.
    Leased,
    /// In DISK, with a lease on the copy that was in RAM.
    LeasedBehind,
    /// Active, and must not go below RAM.
    StaysInRam,
    /// Active, and no copy goes before there is a durable one.
    MustBeDurable,
    /// Its time is over.
    Expired,
    /// Deleted.
    Deleted,
    /// In DISK, and a byte of it is not what it was.
    Flipped,
    /// Its bytes are known to be bad.
    Lost,
    /// Durable, and no room in RAM.
    RamFull,
    /// Active, and no room in DISK.
    DiskFull,
    /// Active, and no room for another payload.
    NoMorePayloads,
    /// Active, and no room for another lease.
    NoMoreLeases,
    /// Active, and pinned.
    Pinned,
    /// Active, with metadata and three events.
    Told,
    /// Active, and made from the world's `other`.
    Descended,
    /// Active, and made from much that takes many words.
    TooMuchLineage,
    /// Active, three times in the stream.
    Stream,
    /// Active, three times in the stream, which keeps one.
    CutStream,
    /// Active, in a stream whose entries are more than fit an answer.
    LargeStream,
}

/// The size of the subject.
pub(super) const SIZE: u64 = 5000;

/// The stream that some rows are given, and the one that they may make.
pub(super) const STREAM: &str = "frames";

/// A daemon and what it holds for the row at hand.
pub(super) struct World {
    pub(super) wire: Wire,
    pub(super) rpc: Rpc,
    pub(super) daemon: Daemon,
    /// The payload that the row is about.
    pub(super) subject: PayloadId,
    /// What it was before the call.
    pub(super) before: PayloadDescriptor,
    /// A payload that is not committed, where there is a stream or an origin.
    pub(super) other: PayloadId,
    /// A lease on it, if there is one.
    pub(super) lease: LeaseId,
    leases: Vec<AcquireReadLeaseResponse>,
    /// What there is, if it is what rows are given and nothing has changed it.
    holds: Option<Given>,
}

impl World {
    pub(super) async fn start() -> Self {
        let setup = Setup::new().flag("ram", "4MiB").flag("disk", "8MiB").flag("max-payloads", "24");
        let daemon = setup.flag("max-leases", "16").start();
        Self {
            wire: daemon.wire().await,
            rpc: daemon.rpc().await,
            daemon,
            subject: PayloadId::default(),
            before: PayloadDescriptor::default(),
            other: PayloadId::default(),
            lease: LeaseId::default(),
            leases: Vec::new(),
            holds: None,
        }
    }

    /// Carries out a row; says what is wrong.
    pub(super) async fn check(&mut self, row: &Row) -> Result<(), String> {
        if self.holds != Some(row.given) {
            self.clear().await;
            self.make(row.given).await;
        }
        let before = self.everything().await;
        let answer = self.call(row).await;
        let verdict = judge(row, self, &answer);
        self.keep_lease(row, &answer);
        self.holds = None;
        match row.expect {
            Expect::Refused(..) | Expect::ItemRefused(..) if !row.has_effects => {
                let after = self.everything().await;
                if before != after {
                    return Err(format!("refused, but changed\n  {before}\n  to\n  {after}"));
                }
                self.holds = Some(row.given);
            }
            Expect::Good(_) | Expect::Refused(..) | Expect::ItemRefused(..) => {}
        }
        verdict
    }

    async fn call(&self, row: &Row) -> Answer {
        let headers: Vec<(&str, &str)> = row.timeout.iter().map(|timeout| ("grpc-timeout", *timeout)).collect();
        let mut open = self.wire.open(&named::path(row.call), framed(&(row.ask)(self)), &headers).await;
        let Some(first) = open.next().await else {
            return Answer { status: open.status().await, messages: Vec::new() };
        };
        // A stream has no end of its own; what comes after its first message is tested elsewhere.
        let streams = named::methods().iter().any(|method| method.name == row.call && method.streams);
        let status = if streams { tonic::Status::new(Code::Ok, "") } else { open.status().await };
        Answer { status, messages: vec![first] }
    }

    async fn make(&mut self, given: Given) {
        self.lease = LeaseId { value: vec![9; 16] };
        self.subject = PayloadId { value: vec![9; 16] };
        self.before = PayloadDescriptor::default();
        let made = match given {
            Given::Nothing => return,
            Given::Allocated(tier) | Given::Truncated(tier) => {
                let made = self.rpc.allocate(tier, SIZE).await.unwrap();
                v1::write(&made, &v1::pattern(1, 5000)).unwrap();
                made
            }
            Given::StaysInRam => {
                let policy = EvictionPolicy { min_residency_tier: Tier::Ram as i32, ..EvictionPolicy::default() };
                self.put(Tier::Ram, policy, 0).await
            }
            Given::MustBeDurable => {
                let policy = EvictionPolicy { require_durable: true, ..EvictionPolicy::default() };
                self.put(Tier::Ram, policy, 0).await
            }
            Given::Expired => self.put(Tier::Ram, EvictionPolicy::default(), 150).await,
            Given::Durable | Given::Flipped | Given::Lost | Given::RamFull => {
                self.put(Tier::Disk, EvictionPolicy::default(), 0).await
            }
            _ => self.put(Tier::Ram, EvictionPolicy::default(), 0).await,
        };
        self.subject = id_of(&made);
        self.before = made;
        self.go_on(given).await;
        if given != Given::LeasedBehind {
            self.settle().await;
        }
        if let Ok(now) = self.rpc.descriptor(self.subject.clone()).await {
            self.before = now;
        }
    }

    async fn put(&mut self, tier: Tier, policy: EvictionPolicy, ttl_ms: u64) -> PayloadDescriptor {
        let (preferred_tier, eviction_policy) = (tier as i32, Some(policy));
        let request = AllocatePayloadRequest { preferred_tier, eviction_policy, ttl_ms, ..Default::default() };
        self.rpc.put_with(request, &v1::pattern(1, 5000)).await.unwrap()
    }

    /// What happens to the subject after it was made.
    async fn go_on(&mut self, given: Given) {
        let id = self.subject.clone();
        match given {
            Given::Truncated(_) => {
                let file = std::fs::OpenOptions::new().write(true).open(v1::place(&self.before).0).unwrap();
                file.set_len(SIZE - 1).unwrap();
            }
            Given::Both => {
                self.rpc.spill(id.clone()).await.unwrap();
                self.rpc.promote(id, Tier::Ram).await.unwrap();
            }
            Given::Leased => self.take_lease().await,
            Given::LeasedBehind => {
                self.take_lease().await;
                self.rpc.spill(id).await.unwrap();
            }
            Given::Expired => {
                let rpc = self.rpc.clone();
                let gone = || async { rpc.clone().descriptor(id.clone()).await.is_err() };
                eventually_async("its time is over", gone).await;
            }
            Given::Deleted => self.rpc.delete(id, false).await.unwrap(),
            Given::Flipped => self.flip(),
            Given::Lost => {
                self.flip();
                assert_eq!(self.rpc.promote(id, Tier::Ram).await.unwrap_err().code(), Code::DataLoss);
            }
            Given::RamFull => self.fill(Tier::Ram).await,
            Given::DiskFull => self.fill(Tier::Disk).await,
            Given::NoMorePayloads => while self.rpc.allocate(Tier::Ram, 1).await.is_ok() {},
            Given::NoMoreLeases => {
                while let Ok(lease) = self.rpc.lease(id.clone()).await {
                    self.leases.push(lease);
                }
            }
            Given::Pinned => self.pin().await,
            Given::Told => self.tell().await,
            Given::Descended => self.descend().await,
            Given::TooMuchLineage => self.descend_from_much().await,
            Given::Stream => self.fill_stream(0).await,
            Given::CutStream => self.fill_stream(1).await,
            Given::LargeStream => self.overfill_stream().await,
            _ => {}
        }
    }

    async fn take_lease(&mut self) {
        let lease = self.rpc.lease(self.subject.clone()).await.unwrap();
        self.lease = lease.lease_id.clone().unwrap();
        self.leases.push(lease);
    }

    fn flip(&self) {
        use std::os::unix::fs::FileExt;
        use std::os::unix::fs::PermissionsExt;
        let (path, offset, _) = v1::place(&self.before);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset + 77).unwrap();
        file.write_all_at(&[!byte[0]], offset + 77).unwrap();
    }

    async fn fill(&mut self, tier: Tier) {
        let free = self.free(tier).await;
        self.rpc.allocate(tier, free).await.unwrap();
    }

    async fn free(&mut self, tier: Tier) -> u64 {
        let stats = self.rpc.stats().await.unwrap();
        stats.tiers.iter().find(|usage| usage.tier() == tier).unwrap().free_bytes
    }

    async fn fill_stream(&mut self, retention_max_entries: u64) {
        let request = CreateStreamRequest { stream: Some(stream(STREAM)), retention_max_entries, ..Default::default() };
        self.rpc.stream.create_stream(request).await.unwrap();
        self.other = id_of(&self.rpc.allocate(Tier::Ram, 1).await.unwrap());
        for _ in 0..3 {
            self.rpc.append(STREAM, std::slice::from_ref(&self.subject)).await.unwrap();
        }
    }

    async fn overfill_stream(&mut self) {
        self.rpc.create_stream(STREAM).await.unwrap();
        let tags = [("k".to_owned(), "x".repeat((1 << 20) - 1))].into();
        let item = AppendItem { payload_id: Some(self.subject.clone()), tags, ..Default::default() };
        for _ in 0..4 {
            let request = AppendRequest { stream: Some(stream(STREAM)), items: vec![item.clone()] };
            self.rpc.stream.append(request).await.unwrap();
        }
    }

    /// All that a call could have changed, as text.
    async fn everything(&mut self) -> String {
        let subject = GetPayloadRequest { id: Some(self.subject.clone()) };
        let subject = self.rpc.catalog.get_payload(subject).await.map(|answer| answer.into_inner());
        let read = ReadRequest { stream: Some(stream(STREAM)), ..Default::default() };
        let read = self.rpc.stream.read(read).await.map(|answer| answer.into_inner());
        let asked = GetStreamRequest { stream: Some(stream(STREAM)) };
        let known = self.rpc.stream.get_stream(asked).await.map(|answer| answer.into_inner()).map_err(|e| e.code());
        let said = self.said().await;
        let (listed, stats) = (self.rpc.list().await.unwrap(), self.rpc.stats().await.unwrap());
        let (subject, read) = (subject.map_err(|e| e.code()), read.map_err(|e| e.code()));
        format!("{subject:?} {said} {read:?} {known:?} {listed:?} {stats:?} {:?}", self.daemon.disk_files())
    }

    fn keep_lease(&mut self, row: &Row, answer: &Answer) {
        let Some(message) = answer.messages.first() else { return };
        match row.call {
            "AcquireReadLease" => self.leases.push(AcquireReadLeaseResponse::decode(message.clone()).unwrap()),
            "AcquireReadLeases" => {
                let results = AcquireReadLeasesResponse::decode(message.clone()).unwrap().results.into_iter();
                self.leases.extend(results.filter_map(|result| match result.outcome {
                    Some(Outcome::Response(lease)) => Some(lease),
                    Some(Outcome::Error(_)) | None => None,
                }));
            }
            _ => {}
        }
    }

    /// Waits until nothing is on its way out.
    async fn settle(&mut self) {
        let rpc = self.rpc.clone();
        let settled = || async { rpc.clone().stats().await.unwrap().backlog_blocks == 0 };
        eventually_async("nothing is on its way out", settled).await;
    }

    /// Leaves nothing for the next row.
    async fn clear(&mut self) {
        for lease in self.leases.drain(..) {
            self.rpc.data.release_lease(ReleaseLeaseRequest { lease_id: lease.lease_id }).await.unwrap();
        }
        for payload in self.rpc.list().await.unwrap() {
            // What has just expired is gone already.
            drop(self.rpc.delete(payload.id.unwrap(), true).await);
        }
        self.rpc.stream.delete_stream(DeleteStreamRequest { stream: Some(stream(STREAM)) }).await.unwrap();
        let rpc = self.rpc.clone();
        let empty = || async {
            let stats = rpc.clone().stats().await.unwrap();
            let free = stats.tiers.iter().all(|usage| usage.free_bytes == usage.capacity_bytes);
            free && stats.live_leases == 0 && stats.backlog_blocks == 0
        };
        eventually_async("the daemon is empty again", empty).await;
    }
}
