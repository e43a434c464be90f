//! A bare client of the session socket: one request, one answer; leases through the shared pages.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use payload_manager_api::core::v1::payload_descriptor::Location;
use payload_manager_api::core::v1::{CallStatus, PayloadId as WireId, Protection, RamLocation, Tier as WireTier};
use payload_manager_api::runtime::v1::AllocatePayloadRequest;
use payload_manager_api::session::v1::{
    Allocate, Allocated, Attach, Commit, Done, Hello, Open, Opened, Place, Request, Response, Segment, Segments,
    Shared, Welcome, allocate_result, open_result, request::Verb, response::Outcome, segment_result,
};
use payload_manager_api::{Reason, reason};
use payload_manager_shm::fdpass::{FrameError, MOST_BYTES, SeqPacket, Wait};
use payload_manager_shm::{Clock, DirectoryReader, LAYOUT, Lease, LeaseTable, ReadMap, Wanted};
use payload_manager_tests::wait::HANGS;
use payload_manager_tests::{Daemon, Rpc, eventually};
use payload_manager_types::{PayloadId, Tier};
use prost::Message as _;
use tonic::Status;

/// A connection that has no session yet.
pub(crate) struct Peer {
    pub(crate) socket: SeqPacket,
    number: Cell<u64>,
}

/// Where a payload that was allocated is written.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) file: File,
    pub(crate) ram: RamLocation,
}

impl Room {
    pub(crate) fn write(&self, bytes: &[u8]) {
        assert_eq!(bytes.len() as u64, self.ram.length_bytes);
        self.file.write_all_at(bytes, self.ram.offset_bytes).unwrap();
    }
}

/// A session.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) welcome: Welcome,
    pub(crate) table: LeaseTable,
    /// The lease page, to be spoilt.
    pub(crate) page: File,
}

impl Peer {
    pub(crate) fn connect(socket: &Path) -> Self {
        let socket = SeqPacket::connect(socket).unwrap();
        socket.set_timeout(Some(HANGS)).unwrap();
        Self { socket, number: Cell::new(0) }
    }

    pub(crate) fn of(daemon: &Daemon) -> Self {
        Self::connect(&session_socket(daemon))
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&self, verb: Verb) -> Result<(Outcome, Vec<OwnedFd>), FrameError> {
        let number = self.number.get() + 1;
        self.number.set(number);
        let request = Request { number, verb: Some(verb), ..Request::default() };
        self.socket.send(&request.encode_to_vec(), &[], Wait::Yes)?;
        let mut room = vec![0; MOST_BYTES];
        let frame = self.socket.receive(&mut room, Wait::Yes)?;
        let response = Response::decode(&room[..frame.length]).unwrap();
        assert_eq!(response.number, number, "the answer to another request");
        Ok((response.outcome.unwrap(), frame.descriptors))
    }

    /// Begins a session.
    pub(crate) fn hello(self) -> Result<Client, Status> {
        self.begin(hello())
    }

    /// Takes a session up.
    pub(crate) fn attach(self, welcome: &Welcome) -> Result<Client, Status> {
        let (session_id, secret) = (welcome.session_id, welcome.secret.clone());
        self.begin(Verb::Attach(Attach { session_id, secret, layouts: vec![LAYOUT], clock_ms: 0 }))
    }

    /// As [`Self::hello`], with the directory's descriptor beside what the client makes of it.
    pub(crate) fn hello_with_directory(self) -> (Client, File) {
        let (outcome, files) = self.ask(hello()).unwrap();
        let directory = File::from(files[0].try_clone().unwrap());
        (self.welcomed(outcome, files).unwrap(), directory)
    }

    /// As [`Self::hello`]; who is refused keeps its connection, if the daemon has not hung up.
    pub(crate) fn try_hello(self) -> Result<Client, Self> {
        match self.ask(hello()) {
            Ok((outcome @ Outcome::Welcome(_), files)) => Ok(self.welcomed(outcome, files).unwrap()),
            Ok((Outcome::Error(error), _)) => {
                let error = Status::from(error);
                assert_eq!(why(&error), Some(Reason::SessionLimit), "{error:?}");
                Err(self)
            }
            Ok(other) => panic!("no answer to a hello: {other:?}"),
            Err(_) => Err(self),
        }
    }

    pub(crate) fn begin(self, verb: Verb) -> Result<Client, Status> {
        let (outcome, files) = self.ask(verb).unwrap();
        self.welcomed(outcome, files)
    }

    fn welcomed(self, outcome: Outcome, files: Vec<OwnedFd>) -> Result<Client, Status> {
        let welcome = match outcome {
            Outcome::Welcome(welcome) => welcome,
            Outcome::Error(error) => return Err(error.into()),
            other => panic!("no welcome: {other:?}"),
        };
        let [directory, page]: [File; 2] = files.into_iter().map(File::from).collect::<Vec<_>>().try_into().unwrap();
        let directory = DirectoryReader::of_file(directory).unwrap();
        let table = LeaseTable::new(directory, page.try_clone().unwrap(), Clock::with_offset(0), ()).unwrap();
        Ok(Client { peer: self, welcome, table, page })
    }

    /// Waits until the daemon has hung up.
    pub(crate) fn wait_for_hang_up(&self) {
        let mut room = vec![0; MOST_BYTES];
        loop {
            match self.socket.receive(&mut room, Wait::Yes) {
                Ok(_) => {}
                Err(FrameError::HungUp) => return,
                Err(other) => panic!("not hung up: {other}"),
            }
        }
    }
}

fn hello() -> Verb {
    Verb::Hello(Hello { layouts: vec![LAYOUT], program: "a test".to_owned(), ..Hello::default() })
}

impl Client {
    pub(crate) fn of(daemon: &Daemon) -> Self {
        Peer::of(daemon).hello().unwrap()
    }

    /// Takes a lease for a minute, without a word.
    pub(crate) fn take(&self, id: &WireId) -> Lease {
        self.take_down_to(id, Tier::Ram)
    }

    pub(crate) fn take_down_to(&self, id: &WireId, min_tier: Tier) -> Lease {
        self.table.take(plain(id), Wanted { duration: Duration::from_secs(60), min_tier }).unwrap()
    }

    /// Opens what one of its own leases is on.
    pub(crate) fn open(&self, id: &WireId) -> Result<(Place, File), Status> {
        let (outcome, mut files) = self.peer.ask(Verb::Open(Open { ids: vec![id.clone()] })).unwrap();
        let Outcome::Opened(Opened { results }) = outcome else { panic!("not opened: {outcome:?}") };
        match results.into_iter().next().unwrap().outcome.unwrap() {
            open_result::Outcome::Place(place) => Ok((place, files.pop().unwrap().into())),
            open_result::Outcome::Error(error) => Err(error.into()),
        }
    }

    /// Maps what one of its own leases is on.
    pub(crate) fn map(&self, id: &WireId) -> ReadMap {
        let (place, file) = self.open(id).unwrap();
        ReadMap::of_file(&file, place.offset_bytes, usize::try_from(place.length_bytes).unwrap()).unwrap()
    }

    /// Allocates in RAM: an id and where to write, each.
    pub(crate) fn allocate(&self, sizes: &[u64]) -> Vec<Result<(WireId, Room), Status>> {
        self.allocate_as(Protection::Default, sizes)
    }

    /// As [`Self::allocate`], under a protection.
    pub(crate) fn allocate_as(&self, protection: Protection, sizes: &[u64]) -> Vec<Result<(WireId, Room), Status>> {
        let (preferred_tier, protection) = (WireTier::Ram as i32, protection as i32);
        let request =
            |size: &u64| AllocatePayloadRequest { size_bytes: *size, preferred_tier, protection, ..Default::default() };
        let (outcome, files) = self
            .peer
            .ask(Verb::Allocate(Allocate { requests: sizes.iter().map(request).collect(), devices: Vec::new() }))
            .unwrap();
        let Outcome::Allocated(Allocated { results }) = outcome else { panic!("not allocated: {outcome:?}") };
        let mut files = files.into_iter().map(File::from);
        let one = |result: payload_manager_api::session::v1::AllocateResult| match result.outcome.unwrap() {
            allocate_result::Outcome::PayloadDescriptor(made) => {
                let Some(Location::Ram(ram)) = made.location else { panic!("not in RAM: {made:?}") };
                let file = if ram.slab_id == 0 { files.next().unwrap() } else { self.segment(ram.slab_id).unwrap().1 };
                Ok((made.payload_id.unwrap(), Room { file, ram }))
            }
            allocate_result::Outcome::Error(error) => Err(error.into()),
        };
        results.into_iter().map(one).collect()
    }

    /// Asks for a segment.
    pub(crate) fn segment(&self, id: u32) -> Result<(Segment, File), Status> {
        let (outcome, mut files) = self.peer.ask(Verb::Segments(Segments { ids: vec![id] })).unwrap();
        let Outcome::Shared(Shared { results }) = outcome else { panic!("not shared: {outcome:?}") };
        match results.into_iter().next().unwrap().outcome.unwrap() {
            segment_result::Outcome::Segment(segment) => Ok((segment, files.pop().unwrap().into())),
            segment_result::Outcome::Error(error) => Err(error.into()),
            segment_result::Outcome::Slab(slab) => panic!("a slab: {slab:?}"),
        }
    }

    /// Makes a payload in RAM.
    pub(crate) fn put(&self, bytes: &[u8]) -> (WireId, Room) {
        let (id, room) = self.allocate(&[bytes.len() as u64]).remove(0).unwrap();
        room.write(bytes);
        self.commit(std::slice::from_ref(&id)).remove(0).unwrap();
        (id, room)
    }

    pub(crate) fn commit(&self, ids: &[WireId]) -> Vec<Result<(), Status>> {
        self.done(Verb::Commit(Commit { ids: ids.to_vec() }))
    }

    pub(crate) fn done(&self, verb: Verb) -> Vec<Result<(), Status>> {
        let (outcome, _) = self.peer.ask(verb).unwrap();
        let Outcome::Done(Done { results }) = outcome else { panic!("not done: {outcome:?}") };
        results.into_iter().map(|item| item.error.map_or(Ok(()), |error: CallStatus| Err(error.into()))).collect()
    }
}

pub(crate) fn session_socket(daemon: &Daemon) -> std::path::PathBuf {
    daemon.setup().runtime_dir().join("session.sock")
}

pub(crate) fn plain(id: &WireId) -> PayloadId {
    id.clone().try_into().unwrap()
}

pub(crate) fn why(error: &Status) -> Option<Reason> {
    reason::detail(error).and_then(|detail| detail.known())
}

/// Waits until nothing waits for a lease.
pub(crate) async fn backlog_is_empty(rpc: &mut Rpc) {
    let (rpc, what) = (&*rpc, "the backlog is empty");
    payload_manager_tests::wait::eventually_async(what, || async {
        rpc.clone().stats().await.unwrap().backlog_blocks == 0
    })
    .await;
}

/// Waits until there are so many sessions, and no pages but theirs.
pub(crate) async fn sessions_are(daemon: &Daemon, rpc: &Rpc, count: u64) {
    payload_manager_tests::wait::eventually_async("as many sessions as there should be", || async {
        rpc.clone().stats().await.unwrap().sessions == count
    })
    .await;
    eventually("no pages but theirs", || {
        daemon.shm().iter().filter(|name| name.contains("-session-")).count() as u64 == count
    });
}
