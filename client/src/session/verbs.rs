//! What is asked on the session socket. `None` everywhere is "ask by gRPC".

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use payload_manager_api::core::v1 as core;
use payload_manager_api::runtime::v1;
use payload_manager_api::session::v1 as v1s;
use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{
    Abort, Allocate, AllocateResult, Commit, ItemResult, Open, Place, allocate_result, open_result,
};
use payload_manager_shm::fdpass::MOST_DESCRIPTORS;
use payload_manager_shm::{ProcessMark, ReadMap, SegmentWriter};

use super::Asking;
use super::life::Core;
use super::segments::{Got, got};
use super::slabs::Slab;
use super::take::{Bytes, Fast, Taken, Unmapped};
use super::views::{Block, Opened};
use super::wire::{Answer, Wire};
use crate::descriptor::{Descriptor, PayloadId, descriptor};
use crate::device::{self, DevicePart, DeviceUuid};
use crate::error::{Code, Error, Result};

/// What was allocated, and what to write it to.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) descriptor: core::PayloadDescriptor,
    pub(crate) memory: Memory,
    /// Of the process whose session allocated it.
    pub(crate) mark: Arc<ProcessMark>,
}

/// What its producer writes to.
#[derive(Debug)]
pub(crate) enum Memory {
    /// An object of its own.
    Object(File),
    /// A part of one of the session's segments.
    Part(SegmentWriter),
    /// On a GPU, a part of one of the session's slabs.
    Device(DevicePart),
}

impl Asking<'_> {
    pub(super) async fn call(&self, verb: Verb) -> Option<Answer> {
        let wire: Arc<Wire> = self.home()?.wire()?;
        wire.call(verb, self.trace).await
    }

    /// Opens and maps what is leased: a view each, in their order.
    pub(crate) async fn open(&self, leases: Vec<Unmapped>) -> Vec<Option<Fast>> {
        let _open = self.map_segments(&leases).await;
        let (mut views, mut own) = (Vec::with_capacity(leases.len()), Vec::new());
        for (at, unmapped) in leases.into_iter().enumerate() {
            views.push(match unmapped.segment() {
                _ if unmapped.slab().is_some() => match unmapped.look_on_device() {
                    Taken::View(view) => Some(view),
                    Taken::Unmapped(_) | Taken::Ask => None,
                },
                Some(segment) => self.in_segment(segment, unmapped),
                None => {
                    own.push((at, unmapped));
                    None
                }
            });
        }
        let (places, own): (Vec<usize>, Vec<Unmapped>) = own.into_iter().unzip();
        for (at, view) in places.into_iter().zip(self.open_own(own).await) {
            if let Some(place) = views.get_mut(at) {
                *place = view;
            }
        }
        views
    }

    /// Maps the segments of these leases that are not mapped yet, and opens the slabs: those stay open while the answer
    /// lives.
    async fn map_segments(&self, leases: &[Unmapped]) -> Vec<Slab> {
        let Some(core) = leases.first().map(|unmapped| Arc::clone(unmapped.lease.kept())) else { return Vec::new() };
        let mut missing: Vec<u32> = leases.iter().filter_map(Unmapped::segment).collect();
        missing.retain(|id| core.segments.get(*id).is_none());
        let mut slabs: Vec<u32> = leases.iter().filter_map(Unmapped::slab).collect();
        slabs.retain(|id| core.slabs.get(*id, core.clock.now_ms()).is_none());
        missing.extend(slabs);
        missing.sort_unstable();
        missing.dedup();
        if core.segments.are_many()
            && let Some(home) = self.home()
        {
            home.unseat_segments();
        }
        let mut slabs = Vec::new();
        for some in missing.chunks(MOST_DESCRIPTORS) {
            slabs.extend(self.ask_for_segments(&core, some).await);
        }
        slabs
    }

    async fn ask_for_segments(&self, core: &Core, ids: &[u32]) -> Vec<Slab> {
        let daemon = core.slabs.daemon();
        let Some(Answer { outcome: Outcome::Shared(shared), descriptors }) =
            self.call(Verb::Segments(v1s::Segments { ids: ids.to_vec() })).await
        else {
            return Vec::new();
        };
        // Another daemon may have answered, whose numbers are those of other segments.
        if core.is_over() {
            return Vec::new();
        }
        let mut slabs = Vec::new();
        for (id, got) in ids.iter().zip(got(shared.results, descriptors, daemon)) {
            match got {
                Got::Segment(mapped) => drop(core.segments.keep(*id, mapped)),
                Got::Slab(slab) => slabs.push(core.slabs.keep(*id, slab, core.clock.now_ms())),
                Got::Nothing => {}
            }
        }
        slabs
    }

    fn in_segment(&self, segment: u32, unmapped: Unmapped) -> Option<Fast> {
        let core = Arc::clone(unmapped.lease.kept());
        let mapping = self.home()?.seat_segment(&core, segment, &core.segments.get(segment)?);
        match unmapped.look_in(Some(&mapping)) {
            Taken::View(view) => Some(view),
            Taken::Unmapped(_) | Taken::Ask => None,
        }
    }

    /// The part of a slab that was allocated to this session, for writing.
    async fn part_on_device(&self, core: &Core, gpu: &core::GpuLocation) -> Option<DevicePart> {
        let opened = self.ask_for_segments_unless_open(core, gpu.slab_id).await;
        opened?.write(gpu.offset_bytes, gpu.length_bytes).filter(|_| !core.is_over())
    }

    async fn ask_for_segments_unless_open(&self, core: &Core, slab: u32) -> Option<Slab> {
        match core.slabs.get(slab, core.clock.now_ms()) {
            Some(open) => Some(open),
            // Given back at once, as one that is for one payload is kept by nobody else.
            None => self.ask_for_segments(core, &[slab]).await.pop(),
        }
    }

    /// The part of a segment that was allocated to this session, for writing. `None` also if the session went meanwhile:
    /// whose segment that is can't be told then.
    async fn part(&self, core: &Core, made: &core::PayloadDescriptor) -> Option<SegmentWriter> {
        let Some(core::payload_descriptor::Location::Ram(ram)) = &made.location else { return None };
        if core.segments.get(ram.slab_id).is_none() {
            self.ask_for_segments(core, &[ram.slab_id]).await;
        }
        let mapped = core.segments.get(ram.slab_id).filter(|_| !core.is_over())?;
        mapped.write(ram.offset_bytes, ram.length_bytes)
    }

    /// The same of what lies in objects and files of its own.
    async fn open_own(&self, leases: Vec<Unmapped>) -> Vec<Option<Fast>> {
        let mut views = Vec::with_capacity(leases.len());
        let mut leases = leases.into_iter();
        while leases.len() > 0 {
            let some: Vec<_> = leases.by_ref().take(MOST_DESCRIPTORS).collect();
            let ids = some.iter().map(|unmapped| unmapped.lease.face().id.into()).collect();
            let daemon = some.first().map_or(0, |unmapped| unmapped.lease.kept().slabs.daemon());
            let places = match self.call(Verb::Open(Open { ids })).await {
                Some(Answer { outcome: Outcome::Opened(opened), descriptors }) => places(opened.results, descriptors),
                _ => Vec::new(),
            };
            let places = places.into_iter().chain(std::iter::repeat_with(|| None));
            views.extend(some.into_iter().zip(places).map(|(unmapped, place)| unmapped.map(place?, daemon)));
        }
        views
    }

    /// Allocates in RAM, or on one of these devices. The answer's errors are errors; that the daemon can't do it this way is not.
    pub(crate) async fn allocate(
        &self,
        request: v1::AllocatePayloadRequest,
        devices: &[DeviceUuid],
    ) -> Option<Result<Made>> {
        let home = self.home()?;
        home.open().await;
        // Before it is asked: what is allocated is this session's, or it is over.
        let core = home.core()?;
        let devices = devices.iter().map(|device| device.0.to_vec()).collect();
        let asked = Allocate { requests: vec![request], devices };
        let Answer { outcome, descriptors } = self.call(Verb::Allocate(asked)).await?;
        let result = match outcome {
            Outcome::Allocated(allocated) => allocated.results.into_iter().next()?.outcome?,
            Outcome::Error(status) => allocate_result::Outcome::Error(status),
            _ => return None,
        };
        self.made(&core, result, &mut descriptors.into_iter()).await
    }

    /// What became of one request for space. Of the descriptors it takes its own.
    pub(super) async fn made(
        &self,
        core: &Core,
        result: allocate_result::Outcome,
        descriptors: &mut std::vec::IntoIter<OwnedFd>,
    ) -> Option<Result<Made>> {
        let descriptor = match result {
            allocate_result::Outcome::PayloadDescriptor(descriptor) => descriptor,
            allocate_result::Outcome::Error(status) => return refused(&status),
        };
        let memory = match &descriptor.location {
            Some(core::payload_descriptor::Location::Gpu(gpu)) => {
                self.part_on_device(core, gpu).await.map(Memory::Device)
            }
            _ if in_segment(&descriptor) => self.part(core, &descriptor).await.map(Memory::Part),
            _ => descriptors.next().map(|file| Memory::Object(file.into())),
        };
        let Some(memory) = memory else {
            // Of no use without: it is made by a call.
            let id = descriptor.payload_id.and_then(|id| id.try_into().ok());
            id.into_iter().for_each(|id| self.abort_unheard(id));
            return None;
        };
        Some(Ok(Made { descriptor, memory, mark: Arc::clone(self.home()?.mark()) }))
    }

    /// Commits what this session allocated.
    pub(crate) async fn commit(&self, id: PayloadId) -> Option<Result<Descriptor>> {
        let answer = self.call(Verb::Commit(Commit { ids: vec![id.into()] })).await?;
        committed(done(answer)?)
    }

    /// Gives up what this session allocated, without waiting for an answer: for a child, in which nobody does chores.
    pub(crate) fn abort_unheard(&self, id: PayloadId) {
        if let Some(wire) = self.home().and_then(|home| home.wire()) {
            wire.tell(Verb::Abort(Abort { ids: vec![id.into()] }));
        }
    }

    /// Gives up what this session allocated. What the daemon does not know as that may have been allocated of the one
    /// before it, and the call decides.
    pub(crate) async fn abort(&self, id: PayloadId) -> Option<Result<()>> {
        let answer = self.call(Verb::Abort(Abort { ids: vec![id.into()] })).await?;
        match done(answer)?.error {
            Some(status) if status.code == Code::NotFound as i32 => None,
            Some(status) => refused(&status),
            None => Some(Ok(())),
        }
    }
}

/// The one result of an answer about one payload.
fn done(answer: Answer) -> Option<ItemResult> {
    match answer.outcome {
        Outcome::Done(done) => done.results.into_iter().next(),
        Outcome::Error(error) => Some(ItemResult { error: Some(error), payload_descriptor: None }),
        _ => None,
    }
}

/// What became of one commit.
pub(super) fn committed(result: ItemResult) -> Option<Result<Descriptor>> {
    match result {
        ItemResult { error: Some(status), .. } => refused(&status),
        ItemResult { payload_descriptor: committed @ Some(_), .. } => Some(descriptor(committed)),
        ItemResult { .. } => None,
    }
}

/// Whether it lies in a segment, which is mapped by its number.
fn in_segment(made: &core::PayloadDescriptor) -> bool {
    matches!(&made.location, Some(core::payload_descriptor::Location::Ram(ram)) if ram.slab_id != 0)
}

pub(super) fn refused<T>(status: &core::CallStatus) -> Option<Result<T>> {
    let error = Error::of_item(status);
    (error.code() != Some(Code::Unimplemented)).then_some(Err(error))
}

/// What was allocated, if it was.
pub(super) fn allocated_id(result: AllocateResult) -> Option<core::PayloadId> {
    match result.outcome? {
        allocate_result::Outcome::PayloadDescriptor(descriptor) => descriptor.payload_id,
        allocate_result::Outcome::Error(_) => None,
    }
}

/// What was opened, each with its descriptor; what is on a GPU has none.
fn places(
    results: Vec<payload_manager_api::session::v1::OpenResult>,
    descriptors: Vec<OwnedFd>,
) -> Vec<Option<(Place, Option<File>)>> {
    let mut files = descriptors.into_iter().map(File::from);
    let of = |result: payload_manager_api::session::v1::OpenResult| match result.outcome? {
        open_result::Outcome::Place(place) if place.on_device => Some((place, None)),
        open_result::Outcome::Place(place) => Some((place, Some(files.next()?))),
        open_result::Outcome::Error(_) => None,
    };
    results.into_iter().map(of).collect()
}

impl Unmapped {
    /// Maps what the daemon opened, if that is what is leased.
    /// `daemon` is the count of daemons before it was asked.
    fn map(self, (place, file): (Place, Option<File>), daemon: u32) -> Option<Fast> {
        let daemon = file.is_none().then_some(daemon);
        let (name, face) = (self.lease.block(), self.lease.face());
        let told = descriptor(place.payload_descriptor).ok()?;
        let same = place.generation == u32::from(name.generation) && place.length_bytes == face.length;
        if !same || told.id != face.id || told.tier != face.tier {
            return None;
        }
        let map = match file {
            Some(file) => {
                let length = usize::try_from(face.length).ok()?;
                Opened::Mapped(ReadMap::of_file(&file, place.offset_bytes, length).ok()?)
            }
            None => Opened::Device(device::open(&told).ok()?),
        };
        let core = self.lease.kept();
        let block = core.views.share(Block { map, daemon, descriptor: told, name, core: Arc::downgrade(core) });
        Some(self.over(Bytes::Block(block)))
    }
}
