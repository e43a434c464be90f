//! A daemon that does as it is told: real shared memory, no rules, and the misbehaviour that a test asks for.
//!
//! Only what a lease's and an allocation's life needs; everything else is UNIMPLEMENTED. What a daemon really answers is
//! tested against the daemon.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use payload_manager_api::Reason;
use payload_manager_api::core::v1 as core;
use payload_manager_api::reason;
use payload_manager_api::runtime::v1;
use payload_manager_api::services::v1::payload_catalog_service_server::PayloadCatalogServiceServer;
use payload_manager_api::services::v1::payload_data_service_server::PayloadDataServiceServer;
use payload_manager_client::UnixMillis;
use payload_manager_shm::object;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::transport::Server;
use tonic::{Code, Status};

/// What a test may set, and what it may look at.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Length of every lease, whatever was asked for.
    pub(crate) lease: Duration,
    /// Commits to be carried out without an answer: the daemon dies and comes back instead.
    pub(crate) lose_commits: usize,
    /// Renewals to be refused as if the store were out of reach.
    pub(crate) fail_renewals: usize,
    /// Renewals never to be answered.
    pub(crate) hang_renewals: usize,
    /// Renewals that were answered.
    pub(crate) renewed: usize,
    /// Leases that are held.
    pub(crate) leases: HashMap<Vec<u8>, Vec<u8>>,
    /// Payloads, with the name of their object.
    pub(crate) payloads: HashMap<Vec<u8>, String>,
    /// Those that are committed.
    pub(crate) committed: HashSet<Vec<u8>>,
    /// Whether reads are answered with an object that is not there.
    pub(crate) wrong_name: bool,
    made: u64,
}

enum Order {
    Restart,
    Stop,
}

/// The daemon; gone, with its objects, when dropped.
pub(crate) struct Fake {
    folder: TempDir,
    script: Arc<Mutex<Script>>,
    changed: Arc<Notify>,
    orders: UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// The services, which share what the test sees.
#[derive(Clone)]
pub(crate) struct Service {
    script: Arc<Mutex<Script>>,
    changed: Arc<Notify>,
    orders: UnboundedSender<Order>,
    folder: String,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let script = Arc::new(Mutex::new(Script { lease: Duration::from_secs(20), ..Script::default() }));
        let (orders, inbox) = unbounded_channel();
        let changed = Arc::new(Notify::new());
        let name = folder.path().file_name().unwrap().to_str().unwrap().replace('.', "");
        let service =
            Service { script: script.clone(), changed: changed.clone(), orders: orders.clone(), folder: name };
        let socket = folder.path().join("control.sock");
        let (up, is_up) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || live(&service, &socket, inbox, &up));
        is_up.recv().unwrap();
        Self { folder, script, changed, orders, thread: Some(thread) }
    }

    /// What a session server beside it goes by: payloads, and a name that is nobody else's.
    pub(crate) fn shared(&self) -> (Arc<Mutex<Script>>, String) {
        let name = self.folder.path().file_name().unwrap().to_str().unwrap().replace('.', "");
        (Arc::clone(&self.script), name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// What the test sets and sees, locked for as long as it looks.
    pub(crate) fn script<T>(&self, look: impl FnOnce(&mut Script) -> T) -> T {
        look(&mut self.script.lock())
    }

    /// Dies with every connection, and comes back.
    pub(crate) fn restart(&self) {
        self.orders.send(Order::Restart).ok().unwrap();
    }

    /// Waits, without an end of its own, until what the test waits for is so.
    pub(crate) async fn wait_until(&self, so: impl Fn(&Script) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.script(|script| so(script)) {
                return;
            }
            changed.await;
        }
    }
}

/// One life after the other, each with a runtime of its own, so that its end takes every connection with it.
fn live(service: &Service, socket: &Path, mut orders: UnboundedReceiver<Order>, up: &std::sync::mpsc::Sender<()>) {
    let mut going = true;
    while going {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = std::fs::remove_file(socket);
        let listener = runtime.block_on(async { UnixListener::bind(socket) }).unwrap();
        let server = Server::builder()
            .add_service(PayloadCatalogServiceServer::new(service.clone()))
            .add_service(PayloadDataServiceServer::new(service.clone()))
            .serve_with_incoming(tokio_stream::wrappers::UnixListenerStream::new(listener));
        runtime.spawn(server);
        // Nobody waits for a second life.
        let _ = up.send(());
        going = matches!(runtime.block_on(orders.recv()), Some(Order::Restart));
        runtime.shutdown_background();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for name in self.script.lock().payloads.values() {
            let _ = object::unlink(name);
        }
    }
}

impl Service {
    pub(crate) fn release(&self, lease: &[u8]) {
        self.script.lock().leases.remove(lease);
    }

    pub(crate) fn allocate(&self, size: u64) -> Result<v1::AllocatePayloadResponse, Status> {
        let mut script = self.script.lock();
        script.made += 1;
        let id = (u128::from(script.made) | 1 << 100).to_be_bytes().to_vec();
        let name = format!("/pmfake-{}-{}", self.folder, script.made);
        object::create(&name, size, 0o600).map_err(|e| Status::internal(e.to_string()))?;
        script.payloads.insert(id.clone(), name.clone());
        Ok(v1::AllocatePayloadResponse {
            payload_descriptor: Some(descriptor(&id, &name, false)),
            object_upload_path: String::new(),
        })
    }

    /// `None` when the answer is lost.
    pub(crate) fn commit(&self, id: Vec<u8>) -> Option<Result<v1::CommitPayloadResponse, Status>> {
        let mut script = self.script.lock();
        let Some(name) = script.payloads.get(&id).cloned() else { return Some(Err(not_found())) };
        if !script.committed.insert(id.clone()) {
            return Some(Err(reason::status(Code::FailedPrecondition, Reason::AlreadyCommitted, "twice", [])));
        }
        if script.lose_commits > 0 {
            script.lose_commits -= 1;
            let _ = self.orders.send(Order::Restart);
            return None;
        }
        Some(Ok(v1::CommitPayloadResponse { payload_descriptor: Some(descriptor(&id, &name, true)) }))
    }

    pub(crate) fn delete(&self, id: &[u8], force: bool) -> Result<(), Status> {
        let mut script = self.script.lock();
        if script.leases.values().any(|leased| leased == id) && !force {
            return Err(reason::status(Code::Aborted, Reason::Leased, "leased", []));
        }
        let name = script.payloads.remove(id).ok_or_else(not_found)?;
        script.leases.retain(|_, leased| leased != id);
        object::unlink(&name).map(drop).map_err(|e| Status::internal(e.to_string()))
    }

    pub(crate) fn acquire(&self, id: Vec<u8>) -> Result<v1::AcquireReadLeaseResponse, Status> {
        let mut script = self.script.lock();
        let name = script.payloads.get(&id).cloned().ok_or_else(not_found)?;
        let shown = if script.wrong_name { "/pmfake-nothing" } else { &name };
        let payload_descriptor = Some(descriptor(&id, shown, true)).map(|mut d| {
            d.size_bytes = length(&name);
            if let Some(core::payload_descriptor::Location::Ram(ram)) = &mut d.location {
                ram.length_bytes = d.size_bytes;
            }
            d
        });
        script.made += 1;
        let lease = u128::from(script.made).to_be_bytes().to_vec();
        script.leases.insert(lease.clone(), id);
        Ok(v1::AcquireReadLeaseResponse {
            payload_descriptor,
            lease_id: Some(core::LeaseId { value: lease }),
            lease_expires_at: Some(UnixMillis(now() + millis(script.lease)).into()),
        })
    }

    /// `None` when there is no answer.
    pub(crate) fn renew(&self, lease: &[u8]) -> Option<Result<v1::RenewLeaseResponse, Status>> {
        let mut script = self.script.lock();
        self.changed.notify_waiters();
        if script.hang_renewals > 0 {
            script.hang_renewals -= 1;
            return None;
        }
        Some(Self::renewed(&mut script, lease))
    }

    fn renewed(script: &mut Script, lease: &[u8]) -> Result<v1::RenewLeaseResponse, Status> {
        if script.fail_renewals > 0 {
            script.fail_renewals -= 1;
            return Err(reason::status(Code::Unavailable, Reason::ShuttingDown, "later", []));
        }
        if !script.leases.contains_key(lease) {
            return Err(reason::status(Code::NotFound, Reason::LeaseOver, "over", []));
        }
        script.renewed += 1;
        Ok(v1::RenewLeaseResponse { lease_expires_at: Some(UnixMillis(now() + millis(script.lease)).into()) })
    }

    pub(crate) fn resolve(&self, id: &[u8]) -> Result<v1::ResolveSnapshotResponse, Status> {
        let script = self.script.lock();
        let name = script.payloads.get(id).ok_or_else(not_found)?;
        let committed = script.committed.contains(id);
        Ok(v1::ResolveSnapshotResponse { payload_descriptor: Some(descriptor(id, name, committed)) })
    }
}

fn not_found() -> Status {
    reason::status(Code::NotFound, Reason::PayloadNotFound, "no such payload", [])
}

fn now() -> u64 {
    millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap()
}

pub(crate) fn length(name: &str) -> u64 {
    object::open_read_only(name).and_then(|file| file.metadata()).map(|facts| facts.len()).unwrap_or_default()
}

pub(crate) fn descriptor(id: &[u8], name: &str, committed: bool) -> core::PayloadDescriptor {
    let length_bytes = length(name);
    let state = if committed { core::PayloadState::Active } else { core::PayloadState::Allocated };
    core::PayloadDescriptor {
        payload_id: Some(core::PayloadId { value: id.to_vec() }),
        tier: core::Tier::Ram as i32,
        state: state as i32,
        location: Some(core::payload_descriptor::Location::Ram(core::RamLocation {
            shm_name: name.to_owned(),
            length_bytes,
            segment_bytes: length_bytes,
            ..<_>::default()
        })),
        version: 1,
        size_bytes: length_bytes,
        copies: vec![core::Tier::Ram as i32],
        ..<_>::default()
    }
}
