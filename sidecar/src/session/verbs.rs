//! What each request of a session does. What needs no waiting is done here; the rest goes to the runtime, and its answer
//! comes back through the mailbox.

use std::fs::File;
use std::future::Future;

use futures_util::future::join_all;
use payload_manager_api::convert;
use payload_manager_api::core::v1::PayloadId as WireId;
use payload_manager_api::session::v1::{
    Abort, Allocate, AllocateResult, Allocated, Commit, Delete, DeviceSlab, ItemResult, Open, OpenResult, Opened,
    Place as WirePlace, Request, Segment, SegmentResult, Segments, Shared, allocate_result, open_result, request::Verb,
    response::Outcome, segment_result,
};
use payload_manager_core::Refusal;
use payload_manager_core::payload::Descriptor;
use payload_manager_shm::fdpass::MOST_DESCRIPTORS;
use payload_manager_tiers::Location;
use payload_manager_tiers::gpu::{Key, SharedSlab};
use payload_manager_tiers::ram::segments::Mapped;
use payload_manager_types::{DeviceUuid, PayloadId, Tier};
use tonic::Status;

use super::answer::{Answer, item, not_allocated, not_opened};
use super::connection::Over;
use super::descriptors;
use super::server::Server;
use super::watched::{Asked, Carried};
use crate::engine::sessions::Leased;
use crate::engine::{Engine, Error, NewPayload};
use crate::grpc::{catalog, status, wire};
use crate::observe::spans::{self, Span};

/// Items of one request whose answers carry descriptors, of the payloads or in the kernel's sense.
const MOST_SHOWN: usize = MOST_DESCRIPTORS;

/// Items of one other request.
const MOST_NAMED: usize = 1000;

/// Items of one request that are worked at together.
const TOGETHER: usize = 64;

impl Server {
    /// Carries a request out, or sees to it that somebody does.
    pub(super) fn request(&mut self, at: u64, request: Request) -> Result<(), Over> {
        let number = request.number;
        let session = self.connections.get(&at).and_then(|connection| connection.session);
        let trace = Carried { parent: request.traceparent, state: request.tracestate };
        let verb = request.verb.ok_or(Over::Broke("a request for nothing that is known"))?;
        let asked = Asked::new(self.methods.of(&verb), session, &trace);
        let span = asked.span.clone();
        self.asked = Some(asked);
        let done = span.in_scope(|| self.verb(at, number, verb, session));
        // One that ends its connection has no answer.
        self.asked = None;
        done
    }

    fn verb(&mut self, at: u64, number: u64, verb: Verb, session: Option<u32>) -> Result<(), Over> {
        match (verb, session) {
            (Verb::Hello(hello), None) => self.hello(at, number, hello),
            (Verb::Attach(attach), None) => self.attach(at, number, &attach),
            (Verb::Bye(_), _) => Err(Over::HungUp),
            (Verb::Hello(_) | Verb::Attach(_), Some(_)) => Err(Over::Broke("a second session")),
            (_, None) => Err(Over::Broke("a request without a session")),
            (Verb::Allocate(asked), Some(session)) => self.allocate(at, number, session, asked),
            (Verb::Commit(asked), Some(_)) => self.commit(at, number, asked),
            (Verb::Abort(asked), Some(_)) => self.abort(at, number, asked),
            (Verb::Open(asked), Some(session)) => self.open(at, number, session, asked),
            (Verb::Delete(asked), Some(_)) => self.delete(at, number, asked),
            (Verb::Segments(asked), Some(session)) => self.segments(at, number, session, &asked),
        }
    }

    /// Lets the runtime answer.
    fn later(&mut self, at: u64, work: impl Future<Output = Answer> + Send + 'static) -> Result<(), Over> {
        if let Some(connection) = self.connections.get_mut(&at) {
            connection.begin();
        }
        let mailbox = std::sync::Arc::clone(&self.mailbox);
        let asked = self.asked.take();
        let (span, meters) = (Span::current(), self.engine.meters().clone());
        let work = async move {
            let answer = work.await;
            asked.iter().for_each(|asked| asked.answered(&meters, &answer));
            mailbox.put(at, answer);
        };
        self.engine.tasks().spawn("session-verb", span.around(work));
        Ok(())
    }

    fn allocate(&mut self, at: u64, number: u64, session: u32, asked: Allocate) -> Result<(), Over> {
        at_most(asked.requests.len(), MOST_SHOWN)?;
        let engine = self.engine.clone();
        let devices = devices(asked.devices)?;
        let new = |asked| new_payload(asked, session).map(|new| NewPayload { devices: devices.clone(), ..new });
        let asked: Vec<Result<NewPayload, Status>> = asked.requests.into_iter().map(new).collect();
        let done: Vec<Option<Result<Descriptor, Status>>> = asked
            .iter()
            .map(|new| match new {
                Ok(new) => engine.allocate_at_once(new).map(|made| made.map_err(status::failed)),
                Err(status) => Some(Err(status.clone())),
            })
            .collect();
        if done.iter().all(Option::is_some) {
            return self.answer(at, allocated(&engine, number, done.into_iter().flatten()));
        }
        self.later(at, async move {
            let made = done.into_iter().zip(asked).map(|(done, asked)| async {
                match (done, asked) {
                    (Some(done), _) => done,
                    (None, Ok(new)) => engine.allocate(new).await.map_err(status::failed),
                    (None, Err(status)) => Err(status),
                }
            });
            let made = join_all(made).await;
            allocated(&engine, number, made.into_iter())
        })
    }

    fn commit(&mut self, at: u64, number: u64, asked: Commit) -> Result<(), Over> {
        at_most(asked.ids.len(), MOST_SHOWN)?;
        let engine = self.engine.clone();
        let ids: Vec<Result<PayloadId, Status>> = asked.ids.into_iter().map(id_of).collect();
        let done: Vec<Option<Result<Descriptor, Status>>> = ids
            .iter()
            .map(|id| match id {
                Ok(id) => engine.commit_at_once(*id).map(|done| done.map_err(status::failed)),
                Err(status) => Some(Err(status.clone())),
            })
            .collect();
        if done.iter().all(Option::is_some) {
            return self.answer(at, committed(&engine, number, done.into_iter().flatten()));
        }
        self.later(at, async move {
            let done = done.into_iter().zip(ids).map(|(done, id)| async {
                match (done, id) {
                    (Some(done), _) => done,
                    (None, Ok(id)) => engine.commit(id).await.map_err(status::failed),
                    (None, Err(status)) => Err(status),
                }
            });
            let done = join_all(done).await;
            committed(&engine, number, done.into_iter())
        })
    }

    /// Only of what this session allocated.
    fn abort(&mut self, at: u64, number: u64, asked: Abort) -> Result<(), Over> {
        at_most(asked.ids.len(), MOST_NAMED)?;
        let Some(connection) = self.connections.get(&at) else { return Ok(()) };
        let own = |id: PayloadId| {
            if connection.made.contains(&id) { Ok(id) } else { Err(status::failed(Refusal::NotFound { id }.into())) }
        };
        let ids: Vec<Result<PayloadId, Status>> = asked.ids.into_iter().map(|id| id_of(id).and_then(own)).collect();
        let settled = ids.iter().flatten().copied().collect();
        let engine = self.engine.clone();
        self.later(at, async move {
            let results = each(ids, |id| engine.abort(id)).await;
            Answer { settled, ..Answer::done(number, results) }
        })
    }

    fn delete(&mut self, at: u64, number: u64, asked: Delete) -> Result<(), Over> {
        at_most(asked.ids.len(), MOST_NAMED)?;
        let ids = asked.ids.into_iter().map(id_of).collect();
        let engine = self.engine.clone();
        self.later(at, async move { Answer::done(number, each(ids, |id| engine.delete(id, asked.force)).await) })
    }

    fn segments(&mut self, at: u64, number: u64, session: u32, asked: &Segments) -> Result<(), Over> {
        at_most(asked.ids.len(), MOST_SHOWN)?;
        let answer = shared(&self.engine, number, session, &asked.ids);
        self.answer(at, answer)
    }

    fn open(&mut self, at: u64, number: u64, session: u32, asked: Open) -> Result<(), Over> {
        at_most(asked.ids.len(), MOST_SHOWN)?;
        let ids: Vec<Result<PayloadId, Status>> = asked.ids.into_iter().map(id_of).collect();
        let valid: Vec<PayloadId> = ids.iter().flatten().copied().collect();
        let mut found = self.engine.leased_by(session, &valid).into_iter();
        let leased = ids.into_iter().map(|id| {
            id.and_then(|id| found.next().unwrap_or(Err(Refusal::NotFound { id }.into())).map_err(status::failed))
        });
        let leased: Vec<Result<Leased, Status>> = leased.collect();
        let engine = self.engine.clone();
        if leased.iter().flatten().all(|leased| !matches!(leased.location, Location::File { .. })) {
            return self.answer(at, opened(&engine, number, leased));
        }
        // A file system may take its time.
        self.later(at, async move {
            let work = tokio::task::spawn_blocking(move || opened(&engine, number, leased));
            let stopping = |_| Answer::failed(number, &status::failed(Error::ShuttingDown));
            work.await.unwrap_or_else(stopping)
        })
    }
}

fn at_most(items: usize, most: usize) -> Result<(), Over> {
    if items > most { Err(Over::Broke("a request for too many at once")) } else { Ok(()) }
}

fn id_of(id: WireId) -> Result<PayloadId, Status> {
    let id = PayloadId::try_from(payload_manager_api::runtime::v1::CommitPayloadRequest { id: Some(id) });
    let id = id.map_err(status::invalid)?;
    spans::about(id);
    Ok(id)
}

fn new_payload(
    asked: payload_manager_api::runtime::v1::AllocatePayloadRequest,
    session: u32,
) -> Result<NewPayload, Status> {
    let asked = convert::Allocate::try_from(asked).map_err(status::invalid)?;
    let new = NewPayload { session: Some(session), ..catalog::new_payload(asked) };
    if matches!(new.tier, Tier::Ram | Tier::Gpu) { Ok(new) } else { Err(status::memory_alone()) }
}

/// The cards that a client can reach.
fn devices(named: Vec<Vec<u8>>) -> Result<Vec<DeviceUuid>, Over> {
    at_most(named.len(), MOST_SHOWN)?;
    let uuids = named.iter().map(|uuid| DeviceUuid::try_from(uuid.as_slice()));
    uuids.collect::<Result<_, _>>().map_err(|_| Over::Broke("a device that is not named by a UUID"))
}

/// What was allocated, with its descriptors; what can't be opened is given up with the session.
fn allocated(engine: &Engine, number: u64, made: impl Iterator<Item = Result<Descriptor, Status>>) -> Answer {
    let mut answer = Answer::default();
    let mut results = Vec::new();
    for made in made {
        let opened = made.and_then(|made| {
            spans::about(made.facts.id);
            answer.made.push(made.facts.id);
            let file = descriptors::for_writing(engine, &made).map_err(status::failed)?;
            answer.files.extend(file);
            Ok(made)
        });
        results.push(match opened {
            Ok(made) => {
                let shown = wire::descriptor(engine, &made);
                AllocateResult { outcome: Some(allocate_result::Outcome::PayloadDescriptor(shown)) }
            }
            Err(status) => not_allocated(&status),
        });
    }
    Answer { made: answer.made, files: answer.files, ..Answer::new(number, Outcome::Allocated(Allocated { results })) }
}

fn committed(engine: &Engine, number: u64, done: impl Iterator<Item = Result<Descriptor, Status>>) -> Answer {
    let mut settled = Vec::new();
    let results = done.map(|done| match done {
        Ok(done) => {
            settled.push(done.facts.id);
            ItemResult { error: None, payload_descriptor: Some(wire::descriptor(engine, &done)) }
        }
        Err(status) => item(Err(status)),
    });
    let results = results.collect();
    Answer { settled, ..Answer::done(number, results) }
}

fn opened(engine: &Engine, number: u64, leased: Vec<Result<Leased, Status>>) -> Answer {
    let mut files: Vec<File> = Vec::new();
    let results = leased.into_iter().map(|leased| {
        let leased = leased?;
        files.extend(descriptors::for_reading(engine, &leased).map_err(status::failed)?);
        let offset = match leased.location {
            Location::SharedMemory { offset, .. } | Location::File { offset, .. } | Location::Device { offset, .. } => {
                offset
            }
            Location::Passed | Location::Object { .. } => 0,
        };
        let place = WirePlace {
            generation: leased.block.generation.into(),
            offset_bytes: offset,
            length_bytes: leased.length,
            payload_descriptor: Some(wire::descriptor(engine, &leased.descriptor)),
            on_device: matches!(leased.location, Location::Device { .. }),
        };
        Ok(OpenResult { outcome: Some(open_result::Outcome::Place(place)) })
    });
    let results = results.map(|result: Result<_, Status>| result.unwrap_or_else(|status| not_opened(&status)));
    let results = results.collect();
    Answer { files, ..Answer::new(number, Outcome::Opened(Opened { results })) }
}

fn shared(engine: &Engine, number: u64, session: u32, ids: &[u32]) -> Answer {
    let mut files = Vec::new();
    let mut share = |id: &u32| {
        if let Some(slab) = descriptors::of_slab(engine, *id, session).map_err(status::failed)? {
            let SharedSlab { uuid, bytes, writable, shared, key } = slab;
            let ipc_handle = match key {
                Key::Handle(handle) => handle.0.to_vec(),
                Key::Descriptor(file) => {
                    files.push(file);
                    Vec::new()
                }
            };
            let device_uuid = uuid.0.to_vec();
            let slab = DeviceSlab { device_uuid, length_bytes: bytes, writable, ipc_handle, shared };
            return Ok(segment_result::Outcome::Slab(slab));
        }
        let mapped = descriptors::of_segment(engine, *id, session).map_err(status::failed)?;
        let Mapped { name, bytes, file, writable } = mapped.ok_or_else(|| status::segment_not_found(*id))?;
        files.push(file);
        Ok(segment_result::Outcome::Segment(Segment { shm_name: name, length_bytes: bytes, writable }))
    };
    let results = ids.iter().map(|id| SegmentResult {
        outcome: Some(match share(id) {
            Ok(shared) => shared,
            Err::<_, Status>(status) => segment_result::Outcome::Error((&status).into()),
        }),
    });
    let results = results.collect();
    Answer { files, ..Answer::new(number, Outcome::Shared(Shared { results })) }
}

/// Does something to each, some together.
async fn each<F: Future<Output = Result<(), Error>>>(
    ids: Vec<Result<PayloadId, Status>>,
    work: impl Fn(PayloadId) -> F,
) -> Vec<ItemResult> {
    let mut results = Vec::with_capacity(ids.len());
    for some in ids.chunks(TOGETHER) {
        let some = some.iter().map(|id| async {
            match id {
                Ok(id) => work(*id).await.map_err(status::failed),
                Err(status) => Err(status.clone()),
            }
        });
        results.extend(join_all(some).await.into_iter().map(item));
    }
    results
}
