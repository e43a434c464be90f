//! The session side of a daemon that does as it is told: real pages, real descriptors, no rules.
//!
//! Its payloads are those of the [`Fake`] beside it, so that calls and the session show the same.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::{Condvar, Mutex};
use payload_manager_api::core::v1 as core;
use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{
    Abort, Allocate, AllocateResult, Allocated, Bye, Commit, Done, ItemResult, Open, OpenResult, Opened, Place,
    Request, Response, SegmentResult, Segments, Welcome, allocate_result, open_result, segment_result,
};
use payload_manager_client::{PayloadId, PayloadState, Tier};
use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::fdpass::{Listener, MOST_BYTES, SeqPacket, Wait};
use payload_manager_shm::{
    Details, Directory, EntryState, Face, Identity, LAYOUT, SLOT_STEP, Segment, SessionPages, object,
};
use payload_manager_types::{InstanceId, LeaseDeadline, Place as At};
use prost::Message as _;

use super::fake::{Fake, Script, descriptor, length};

const ENTRIES: u32 = 256;

/// What a test may set, and what it may look at.
pub(crate) struct State {
    script: Arc<Mutex<Script>>,
    base: String,
    identity: Identity,
    pub(crate) directory: Directory,
    pub(crate) pages: SessionPages,
    /// Attach is refused from now on: the daemon has forgotten its sessions.
    pub(crate) forgetful: bool,
    /// A directory is sent that is none.
    pub(crate) torn_directory: bool,
    /// Allocations are carried out, and answered when the test says so.
    pub(crate) mute: bool,
    unanswered: Vec<(Arc<SeqPacket>, Vec<u8>, Vec<OwnedFd>)>,
    pub(crate) lease_ms: u64,
    /// How often what was asked for.
    pub(crate) asked: HashMap<&'static str, usize>,
    connections: Vec<(u64, Arc<SeqPacket>)>,
    made: u64,
    generation: u8,
    /// By number.
    segments: HashMap<u32, Segment>,
    /// Segments are said to be a byte longer than they are.
    pub(crate) exaggerates: bool,
    /// The segment that allocations go into, all of them to its start, and that this client may write to.
    pub(crate) produces_in: Option<u32>,
}

/// The server; gone, with its pages, when dropped.
pub(crate) struct FakeSession {
    shared: Arc<(Mutex<State>, Condvar)>,
    listener: Arc<Listener>,
    thread: Option<JoinHandle<()>>,
}

impl FakeSession {
    pub(crate) fn start(fake: &Fake) -> Self {
        let (script, name) = fake.shared();
        let base = format!("/pmfake-{name}-pages");
        let identity = Identity::of(InstanceId::from_bytes([7; 16])).unwrap();
        let directory = Directory::create(&format!("{base}-dir"), &identity, ENTRIES).unwrap();
        let pages = pages(&base, &identity, &directory);
        let state = State {
            script,
            base,
            identity,
            directory,
            pages,
            forgetful: false,
            torn_directory: false,
            mute: false,
            unanswered: Vec::new(),
            lease_ms: 20_000,
            asked: HashMap::new(),
            connections: Vec::new(),
            made: 0,
            generation: 0,
            segments: HashMap::new(),
            exaggerates: false,
            produces_in: None,
        };
        let socket = fake.socket().with_file_name("session.sock");
        let listener = Arc::new(Listener::bind(&socket, 0o600).unwrap());
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let (ours, theirs) = (Arc::clone(&shared), Arc::clone(&listener));
        let thread = std::thread::spawn(move || serve(&theirs, &ours));
        Self { shared, listener, thread: Some(thread) }
    }

    pub(crate) fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.shared.0.lock())
    }

    pub(crate) fn asked(&self, what: &str) -> usize {
        self.state(|state| state.asked.get(what).copied().unwrap_or(0))
    }

    /// Waits, without an end of its own, until so many were asked for.
    pub(crate) fn wait_for(&self, what: &str, times: usize) {
        let mut state = self.shared.0.lock();
        while state.asked.get(what).copied().unwrap_or(0) < times {
            self.shared.1.wait(&mut state);
        }
    }

    /// Dies with every connection, and is back: with its pages as they are.
    pub(crate) fn restart(&self) {
        self.state(|state| {
            state.pages = pages(&state.base, &state.identity, &state.directory);
            state.hang_up();
        });
    }

    /// Leases that claim their blocks, by all sessions.
    pub(crate) fn live(&self) -> u32 {
        self.state(|state| state.held().0)
    }

    /// Slots that are in use.
    pub(crate) fn pinning(&self) -> u32 {
        self.state(|state| state.held().1)
    }

    /// Answers what was not answered yet.
    pub(crate) fn answer_late(&self) {
        for (socket, bytes, files) in self.state(|state| std::mem::take(&mut state.unanswered)) {
            let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
            socket.send(&bytes, &descriptors, Wait::Yes).unwrap();
        }
    }

    /// As a forced delete.
    pub(crate) fn delete_by_force(&self, id: PayloadId) -> u32 {
        self.state(|state| {
            let (index, ..) = state.directory.lookup(id).unwrap();
            state.directory.close(index);
            let revoked = state.pages.revoke(index);
            state.directory.remove(index);
            revoked
        })
    }

    /// A copy of the payload in another object, as after a spill and a promotion; what was there is gone, but for those
    /// who have it mapped.
    pub(crate) fn move_away(&self, id: PayloadId) {
        self.state(|state| {
            let (index, face, _) = state.directory.lookup(id).unwrap();
            let before = state.script.lock().payloads[id.as_bytes().as_slice()].clone();
            state.made += 1;
            let name = format!("{before}-{}", state.made);
            let bytes = std::fs::read(object::path_of(&before).unwrap()).unwrap();
            object::create(&name, face.length, 0o600).unwrap();
            std::fs::write(object::path_of(&name).unwrap(), bytes).unwrap();
            state.script.lock().payloads.insert(id.as_bytes().to_vec(), name);
            let generation = face.last_generation + 1;
            let next = Face { version: face.version + 1, ..shown(id, face.length, generation) };
            state.directory.publish(index, &next);
            object::unlink(&before).unwrap();
        });
    }
}

impl FakeSession {
    /// A copy of the payload in a segment; its object stays, for those who read by call.
    pub(crate) fn move_into(&self, id: PayloadId, unit: u32, offset: u64, details: &Details) {
        self.state(|state| {
            let (index, face, _) = state.directory.lookup(id).unwrap();
            let name = state.script.lock().payloads[id.as_bytes().as_slice()].clone();
            let bytes = std::fs::read(object::path_of(&name).unwrap()).unwrap();
            let segment = state.segment(unit);
            // Beyond its end there is nothing to be written to.
            if offset + face.length <= segment.capacity() {
                segment.file().write_all_at(&bytes, offset).unwrap();
            }
            let generation = face.last_generation + 1;
            let next = shown(id, face.length, generation);
            state.directory.describe(index, id, details);
            let next = Face { version: face.version + 1, place: At { unit, offset }, ..next };
            state.directory.publish(index, &next);
        });
    }
}

impl FakeSession {
    /// Removes a segment's name, as when nothing is in it any more.
    pub(crate) fn unlink_segment(&self, unit: u32) {
        self.state(|state| state.segments.remove(&unit).unwrap().unlink().unwrap());
    }

    /// What is in a segment.
    pub(crate) fn bytes_at(&self, unit: u32, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.state(|state| state.segment(unit).file().read_exact_at(&mut bytes, offset).unwrap());
        bytes
    }
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        // Who waits for a connection gets an error.
        let _ = shutdown(self.listener.as_fd().as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let base = self.state(|state| {
            state.hang_up();
            state.base.clone()
        });
        for left in object::list(&base).unwrap_or_default() {
            let _ = object::unlink(&left.name);
        }
    }
}

fn pages(base: &str, identity: &Identity, directory: &Directory) -> SessionPages {
    let now = monotonic_ms();
    let latest = LeaseDeadline(now + 60_000);
    SessionPages::open(base, identity, directory.epoch_ms(), ENTRIES, now, latest).unwrap().0
}

fn shown(id: PayloadId, length: u64, generation: u8) -> Face {
    Face {
        id,
        version: 1,
        tier: Tier::Ram,
        place: At { unit: 0, offset: 0 },
        length,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [0, generation, 0, 0],
        last_generation: generation,
    }
}

type Shared = Arc<(Mutex<State>, Condvar)>;

fn serve(listener: &Listener, shared: &Shared) {
    let mut threads = Vec::new();
    while let Ok(socket) = listener.accept() {
        let (socket, shared) = (Arc::new(socket), Arc::clone(shared));
        threads.push(std::thread::spawn(move || attend(&socket, &shared)));
    }
    shared.0.lock().hang_up();
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

/// One connection, to its end.
fn attend(socket: &Arc<SeqPacket>, shared: &Shared) {
    let mut room = vec![0; MOST_BYTES];
    while let Ok(frame) = socket.receive(&mut room, Wait::Yes) {
        let Request { number, verb, .. } = Request::decode(&room[..frame.length]).unwrap();
        let answer = shared.0.lock().answer(verb.unwrap(), socket);
        shared.1.notify_all();
        let Some((outcome, files)) = answer else { continue };
        let late = matches!(outcome, Outcome::Allocated(_));
        let bytes = Response { number, outcome: Some(outcome) }.encode_to_vec();
        let mut state = shared.0.lock();
        if late && state.mute {
            state.unanswered.push((Arc::clone(socket), bytes, files));
            continue;
        }
        drop(state);
        let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        if socket.send(&bytes, &descriptors, Wait::Yes).is_err() {
            break;
        }
    }
    shared.0.lock().ended(socket);
    shared.1.notify_all();
}

type Answer = (Outcome, Vec<OwnedFd>);

fn refused(code: tonic::Code) -> core::CallStatus {
    core::CallStatus { code: code as i32, message: "no".to_owned(), detail: None }
}

impl State {
    fn count(&mut self, what: &'static str) {
        *self.asked.entry(what).or_default() += 1;
    }

    fn hang_up(&mut self) {
        for (_, socket) in self.connections.drain(..) {
            let _ = shutdown(socket.as_fd().as_raw_fd(), Shutdown::Both);
        }
    }

    fn ended(&mut self, socket: &Arc<SeqPacket>) {
        self.count("hang-up");
        self.connections.retain(|(_, other)| !Arc::ptr_eq(other, socket));
    }

    fn held(&self) -> (u32, u32) {
        let now = monotonic_ms();
        let all: Vec<_> = self.pages.all(now).collect();
        let live = all
            .iter()
            .filter(|held| held.held.state == payload_manager_shm::slot::SlotState::Live && held.held.deadline.0 > now);
        (live.count().try_into().unwrap(), all.len().try_into().unwrap())
    }

    fn answer(&mut self, verb: Verb, socket: &Arc<SeqPacket>) -> Option<Answer> {
        Some(match verb {
            Verb::Hello(hello) => {
                self.count("hello");
                assert!(hello.layouts.contains(&LAYOUT));
                let number = self.pages.create(SLOT_STEP).unwrap().number();
                self.welcome(number.into(), socket)
            }
            Verb::Attach(attach) => {
                self.count("attach");
                let known = attach.secret == secret(attach.session_id);
                let there = u32::try_from(attach.session_id).is_ok_and(|number| self.pages.get(number).is_some());
                if self.forgetful || !known || !there {
                    let error = refused(tonic::Code::PermissionDenied);
                    return Some((Outcome::Error(error), Vec::new()));
                }
                self.welcome(attach.session_id, socket)
            }
            Verb::Allocate(allocate) => {
                self.count("allocate");
                self.allocate(allocate)
            }
            Verb::Commit(Commit { ids }) => {
                self.count("commit");
                (Outcome::Done(Done { results: ids.into_iter().map(|id| self.commit(&id.value)).collect() }), vec![])
            }
            Verb::Abort(Abort { ids }) => {
                self.count("abort");
                let results = ids.into_iter().map(|id| self.abort(&id.value)).collect();
                (Outcome::Done(Done { results }), vec![])
            }
            Verb::Open(Open { ids }) => {
                self.count("open");
                self.open(ids)
            }
            Verb::Segments(Segments { ids }) => {
                self.count("segments");
                self.share(&ids)
            }
            Verb::Delete(_) => return None,
            Verb::Bye(Bye {}) => {
                self.count("bye");
                let _ = shutdown(socket.as_fd().as_raw_fd(), Shutdown::Both);
                return None;
            }
        })
    }

    fn segment(&mut self, unit: u32) -> &mut Segment {
        let name = format!("{}-segment-{unit}", self.base);
        self.segments.entry(unit).or_insert_with(|| Segment::create(&name, 1 << 20).unwrap())
    }

    fn share(&self, ids: &[u32]) -> Answer {
        let (mut results, mut files) = (Vec::new(), Vec::new());
        for (segment, id) in ids.iter().map(|id| (&self.segments[id], *id)) {
            let writable = self.produces_in == Some(id);
            files.push(match writable {
                true => segment.writable().as_fd().try_clone_to_owned().unwrap(),
                false => segment.read_only().as_fd().try_clone_to_owned().unwrap(),
            });
            let told = payload_manager_api::session::v1::Segment {
                shm_name: segment.name().to_owned(),
                length_bytes: segment.capacity() + u64::from(self.exaggerates),
                writable,
            };
            results.push(SegmentResult { outcome: Some(segment_result::Outcome::Segment(told)) });
        }
        let shared = payload_manager_api::session::v1::Shared { results };
        (Outcome::Shared(shared), files)
    }

    fn welcome(&mut self, session_id: u64, socket: &Arc<SeqPacket>) -> Answer {
        self.connections.push((session_id, Arc::clone(socket)));
        let page = self.pages.get(session_id.try_into().unwrap()).unwrap();
        let page = page.descriptor().as_fd().try_clone_to_owned().unwrap();
        let name = format!("{}-dir", self.base);
        let directory =
            if self.torn_directory { File::open("/dev/null").unwrap() } else { object::open_read_only(&name).unwrap() };
        let welcome = Welcome {
            session_id,
            secret: secret(session_id),
            layout: LAYOUT,
            clock_ms: monotonic_ms(),
            lease_default_ms: self.lease_ms,
            lease_max_ms: 60_000,
        };
        (Outcome::Welcome(welcome), vec![directory.into(), page])
    }

    fn allocate(&mut self, Allocate { requests, .. }: Allocate) -> Answer {
        let (mut results, mut files) = (Vec::new(), Vec::new());
        for request in requests {
            if request.size_bytes > 1 << 20 {
                let error = refused(tonic::Code::ResourceExhausted);
                results.push(AllocateResult { outcome: Some(allocate_result::Outcome::Error(error)) });
                continue;
            }
            self.made += 1;
            let id = (u128::from(self.made) | 1 << 99).to_be_bytes().to_vec();
            let name = format!("{}-{}", self.base.replace("-pages", "-s"), self.made);
            let file = object::create(&name, request.size_bytes, 0o600).unwrap();
            let mut made = descriptor(&id, &name, false);
            match (self.produces_in, &mut made.location) {
                (Some(unit), Some(core::payload_descriptor::Location::Ram(ram))) => {
                    ram.slab_id = unit;
                    ram.shm_name = self.segment(unit).name().to_owned();
                }
                _ => files.push(file.into()),
            }
            self.script.lock().payloads.insert(id, name);
            results.push(AllocateResult { outcome: Some(allocate_result::Outcome::PayloadDescriptor(made)) });
        }
        (Outcome::Allocated(Allocated { results }), files)
    }

    fn commit(&mut self, id: &[u8]) -> ItemResult {
        let name = self.script.lock().payloads[id].clone();
        self.script.lock().committed.insert(id.to_vec());
        self.generation = self.generation.wrapping_add(1);
        let payload = PayloadId::from_bytes(id.try_into().unwrap());
        self.directory.insert(&shown(payload, length(&name), self.generation)).unwrap();
        ItemResult { error: None, payload_descriptor: Some(descriptor(id, &name, true)) }
    }

    fn abort(&mut self, id: &[u8]) -> ItemResult {
        if let Some(name) = self.script.lock().payloads.remove(id) {
            object::unlink(&name).unwrap();
        }
        ItemResult::default()
    }

    fn open(&self, ids: Vec<core::PayloadId>) -> Answer {
        let mut files = Vec::new();
        let results = ids.into_iter().map(|id| OpenResult { outcome: Some(self.open_one(&id.value, &mut files)) });
        let results = results.collect();
        (Outcome::Opened(Opened { results }), files)
    }

    fn open_one(&self, id: &[u8], files: &mut Vec<OwnedFd>) -> open_result::Outcome {
        let script = self.script.lock();
        let payload = PayloadId::from_bytes(id.try_into().unwrap());
        match (script.payloads.get(id), self.directory.lookup(payload)) {
            (Some(name), Some((_, face, _))) => {
                files.push(object::open_read_only(name).unwrap().into());
                let mut payload_descriptor = descriptor(id, name, true);
                payload_descriptor.version = face.version;
                open_result::Outcome::Place(Place {
                    generation: face.generation().into(),
                    offset_bytes: 0,
                    length_bytes: face.length,
                    payload_descriptor: Some(payload_descriptor),
                    on_device: false,
                })
            }
            _ => open_result::Outcome::Error(refused(tonic::Code::NotFound)),
        }
    }
}

fn secret(session: u64) -> Vec<u8> {
    (u128::from(session) | 7 << 64).to_be_bytes().to_vec()
}
