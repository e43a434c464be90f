//! The tier over cards that are ordinary memory: who lies where, what is counted, and what a failing card does.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::stage::Way;
use super::*;
use crate::copy::{self, Job};
use crate::store::Buffers;
use crate::{HeapTier, Written};

const MIB: u64 = 1 << 20;

/// A card of this process's own memory.
struct HeapCard {
    uuid: DeviceUuid,
    passes: bool,
    used: Arc<AtomicU64>,
    /// What the next calls fail with; 0: nothing.
    error: Arc<AtomicI32>,
}

struct HeapMemory {
    bytes: Mutex<Vec<u8>>,
    form: Form,
    used: Arc<AtomicU64>,
    error: Arc<AtomicI32>,
}

fn failing(error: &AtomicI32) -> Result<(), DeviceError> {
    let code = error.load(Ordering::Relaxed);
    if code == 0 { Ok(()) } else { Err(DeviceError { call: "cuTest", code, name: "CUDA_ERROR_TEST".to_owned() }) }
}

impl Card for HeapCard {
    fn uuid(&self) -> DeviceUuid {
        self.uuid
    }

    fn ordinal(&self) -> u32 {
        u32::from(self.uuid.0[0])
    }

    fn passes_descriptors(&self) -> bool {
        self.passes
    }

    fn allocate(&self, bytes: u64, form: Form) -> Result<Arc<dyn Memory>, DeviceError> {
        failing(&self.error)?;
        let bytes = bytes.next_multiple_of(BLOCK);
        self.used.fetch_add(bytes, Ordering::Relaxed);
        let (used, error) = (Arc::clone(&self.used), Arc::clone(&self.error));
        Ok(Arc::new(HeapMemory { bytes: Mutex::new(vec![0; usize::try_from(bytes).unwrap()]), form, used, error }))
    }

    fn pin(&self, bytes: usize) -> Result<Box<dyn Buffer>, DeviceError> {
        failing(&self.error)?;
        Ok(Box::new(vec![0; bytes]))
    }

    fn look(&self) -> Result<(), DeviceError> {
        failing(&self.error)
    }
}

impl Memory for HeapMemory {
    fn bytes(&self) -> u64 {
        self.bytes.lock().len() as u64
    }

    fn key(&self) -> Result<Key, DeviceError> {
        Ok(match self.form {
            Form::Handle => Key::Handle(payload_manager_shm::device::IpcHandle([7; 64])),
            Form::Descriptor => Key::Descriptor(tempfile::tempfile().unwrap()),
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        failing(&self.error)?;
        let start = usize::try_from(offset).unwrap();
        self.bytes.lock()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        failing(&self.error)?;
        let start = usize::try_from(offset).unwrap();
        into.copy_from_slice(&self.bytes.lock()[start..start + into.len()]);
        Ok(())
    }
}

impl Drop for HeapMemory {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes.lock().len() as u64, Ordering::Relaxed);
    }
}

impl Buffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// A tier with so many cards, each with this capacity.
struct Rig {
    tier: GpuTier,
    used: Vec<Arc<AtomicU64>>,
    errors: Vec<Arc<AtomicI32>>,
}

impl Rig {
    fn new(cards: u8, capacity: u64, passes: bool) -> Self {
        let used: Vec<Arc<AtomicU64>> = (0..cards).map(|_| Arc::default()).collect();
        let errors: Vec<Arc<AtomicI32>> = (0..cards).map(|_| Arc::default()).collect();
        let card = |number: u8| -> (Arc<dyn Card>, u64) {
            let (used, error) = (Arc::clone(&used[usize::from(number)]), Arc::clone(&errors[usize::from(number)]));
            (Arc::new(HeapCard { uuid: uuid(number), passes, used, error }), capacity)
        };
        let tier = GpuTier::new((0..cards).map(card).collect());
        tier.number_from(1);
        Self { tier, used, errors }
    }

    fn part(&self, id: PayloadId, size: u64, session: u32) -> Result<Place, TierError> {
        self.tier.allocate_part(id, size, Wanted { session, alignment: 1, devices: &[] })
    }

    fn used(&self, card: usize) -> u64 {
        self.used[card].load(Ordering::Relaxed)
    }
}

fn wanted(devices: &[DeviceUuid]) -> Wanted<'_> {
    Wanted { session: 1, alignment: 1, devices }
}

fn uuid(number: u8) -> DeviceUuid {
    DeviceUuid([number; 16])
}

fn id() -> PayloadId {
    PayloadId::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}

#[test]
fn a_session_fills_slabs_of_its_own_and_they_go_with_their_last_payload() {
    let rig = Rig::new(1, 256 * MIB, true);
    let ids = [id(), id(), id()];
    let [a, b, c] = [(ids[0], 1), (ids[1], 1), (ids[2], 2)].map(|(id, session)| rig.part(id, 1000, session).unwrap());
    assert!(a.unit == b.unit && a.offset != b.offset && c.unit != a.unit);
    assert_eq!((rig.used(0), rig.tier.allocated(), rig.tier.bytes_of(1)), (64 * MIB, 64 * MIB, 32 * MIB));
    let slab = rig.tier.share(a.unit, 1).unwrap().unwrap();
    assert!(slab.writable && slab.shared && matches!(slab.key, Key::Descriptor(_)) && slab.bytes == 32 * MIB);
    assert!(!rig.tier.share(a.unit, 2).unwrap().unwrap().writable && rig.tier.share(a.unit + 9, 1).unwrap().is_none());
    rig.tier.end_session(1);
    assert!(!rig.tier.share(a.unit, 1).unwrap().unwrap().writable);
    assert_ne!(rig.part(id(), 1000, 1).unwrap().unit, a.unit, "nothing new comes into it");
    for (id, place) in ids.into_iter().zip([a, b, c]) {
        rig.tier.free(id, place).unwrap();
        rig.tier.free(id, place).unwrap();
    }
    assert_eq!((rig.used(0), rig.tier.allocated()), (32 * MIB, 32 * MIB));
    assert!(rig.tier.share(a.unit, 1).unwrap().is_none());
}

#[test]
fn what_is_large_or_must_be_aligned_has_a_slab_of_its_own() {
    let rig = Rig::new(1, 64 * MIB, true);
    let large = rig.part(id(), 3 * MIB, 1).unwrap();
    let aligned = Wanted { session: 1, alignment: 4096, devices: &[] };
    let aligned = rig.tier.allocate_part(id(), 10, aligned).unwrap();
    assert!(large.unit != aligned.unit && large.offset == 0 && aligned.offset == 0);
    assert_eq!(rig.tier.allocated(), 6 * MIB);
    assert!(!rig.tier.share(large.unit, 1).unwrap().unwrap().shared);
    let shared = rig.part(id(), 10, 1).unwrap();
    assert!(![large.unit, aligned.unit].contains(&shared.unit));
    assert_eq!(rig.tier.allocated(), 14 * MIB, "an eighth of what may be taken");
}

#[test]
fn copies_go_in_and_out_and_a_second_one_is_for_everybody() {
    let rig = Rig::new(1, 256 * MIB, true);
    let heap = HeapTier::new(Tier::Ram, 1 << 30);
    for size in [1, 5000, 9 * MIB + 7] {
        let (id, bytes) = (id(), vec![size.to_le_bytes()[0]; usize::try_from(size).unwrap()]);
        heap.allocate(id, size).unwrap();
        heap.write(id, &bytes);
        let write = |from: &dyn TierStore, place, to: &dyn TierStore| {
            let mut source = from.source(id, place, size).unwrap();
            let mut sink = to.sink(id, size).unwrap();
            let job = Job { id, from: from.tier(), size };
            let sum = copy::copy(job, &mut *source, &mut *sink, &|_| true).unwrap();
            (sum, sink.finish(sum, &|_: Written| Vec::new()).unwrap())
        };
        let (sum, part) = write(&heap, Place::OWN, &rig.tier);
        assert!(part.is_part());
        let (again, own) = write(&rig.tier, part, &rig.tier);
        assert_eq!((again, own), (sum, Place::OWN), "the reader of the first can't open a slab");
        let Location::Device { handle, offset: 0, uuid: at, .. } = rig.tier.location(id, own) else { panic!() };
        assert_eq!((handle.len(), at), (72, uuid(0)));
        let mut found = vec![0; bytes.len()];
        rig.tier.source(id, own, size).unwrap().read_at(0, &mut found).unwrap();
        assert!(found == bytes);
        assert!(matches!(rig.tier.source(id, own, size + 1), Err(TierError::WrongSize { .. })));
        rig.tier.free(id, part).unwrap();
        rig.tier.free(id, own).unwrap();
        assert!(matches!(rig.tier.seal(id, own, size, &|_: Written| Vec::new()), Err(TierError::Missing { .. })));
        drop(rig.tier.sink(id, size).unwrap());
    }
    assert_eq!((rig.used(0), rig.tier.allocated()), (0, 0));
}

#[test]
fn a_full_card_sends_on_to_the_next_and_all_of_them_are_full_with_numbers() {
    let rig = Rig::new(2, 16 * MIB, true);
    let places: Vec<Place> = (0..2).map(|_| rig.part(id(), 10 * MIB, 1).unwrap()).collect();
    assert_eq!((rig.used(0), rig.used(1)), (10 * MIB, 10 * MIB), "the emptier one first: {places:?}");
    let TierError::Full { asked, free, what, .. } = rig.part(id(), 8 * MIB, 1).unwrap_err() else { panic!() };
    assert!(asked == 8 * MIB && free == 6 * MIB && what.contains("gpu-memory"), "{asked} {free} {what}");
    rig.tier.allocate_part(id(), 100, wanted(&[uuid(1)])).unwrap();
    assert!(rig.used(0) == 10 * MIB && rig.used(1) > 10 * MIB);
    let elsewhere = rig.tier.allocate_part(id(), 100, wanted(&[uuid(9)])).unwrap_err();
    assert!(elsewhere.to_string().contains("none of its cards is there"), "{elsewhere}");
}

#[test]
fn a_card_that_others_fill_is_full_and_one_that_is_lost_takes_what_was_there() {
    let rig = Rig::new(2, 64 * MIB, false);
    let (there, other) = (id(), id());
    let place = rig.tier.allocate_part(there, 100, wanted(&[uuid(0)])).unwrap();
    rig.tier.allocate_part(other, 100, wanted(&[uuid(1)])).unwrap();
    rig.errors[0].store(2, Ordering::Relaxed);
    let full = rig.tier.allocate_part(id(), 20 * MIB, wanted(&[uuid(0)])).unwrap_err();
    assert!(matches!(full, TierError::Full { .. }) && full.to_string().contains("other programs"), "{full}");
    rig.errors[0].store(400, Ordering::Relaxed);
    let mut source = rig.tier.source(there, place, 100).unwrap();
    assert!(matches!(source.read_at(0, &mut [0; 100]), Err(TierError::Io { .. })));
    assert!(!rig.tier.look() && !rig.tier.has_lost());

    rig.errors[0].store(719, Ordering::Relaxed);
    assert!(matches!(source.read_at(0, &mut [0; 100]), Err(TierError::Missing { .. })));
    assert!(rig.tier.has_lost() && !rig.tier.look(), "that is known already");
    assert!(rig.tier.is_lost(there, place) && !rig.tier.is_lost(other, Place { unit: place.unit + 1, offset: 0 }));
    assert!(matches!(rig.tier.source(there, place, 100), Err(TierError::Missing { .. })));
    rig.errors[0].store(0, Ordering::Relaxed);
    assert!(rig.tier.allocate_part(id(), 100, wanted(&[uuid(0)])).is_err(), "it does not come back");
    assert_eq!(rig.part(id(), 100, 1).unwrap().unit, place.unit + 1);
}

#[test]
fn buffers_are_few_and_come_back() {
    let rig = Rig::new(1, 64 * MIB, true);
    let way = Way(Arc::clone(&rig.tier.0.cards[0].stage));
    let mut lent: Vec<_> = (0..MOST_BUFFERS).map(|_| way.lend().unwrap()).collect();
    assert!(way.lend().is_none());
    lent[0].bytes_mut()[0] = 7;
    assert_eq!((lent[0].bytes()[0], lent[0].bytes().len() % 4096), (7, 0));
    lent.clear();
    rig.errors[0].store(1, Ordering::Relaxed);
    assert!(way.lend().is_some(), "what was registered is kept");
    let fresh = Rig::new(1, 64 * MIB, true);
    fresh.errors[0].store(1, Ordering::Relaxed);
    let way = Way(Arc::clone(&fresh.tier.0.cards[0].stage));
    assert!(way.lend().is_none() && way.lend().is_none());
    fresh.errors[0].store(0, Ordering::Relaxed);
    assert!(way.lend().is_some());
}
