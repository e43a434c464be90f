//! The two ends of a move: a copy on a card that is read, and one that is written.

use std::sync::Arc;

use payload_manager_shm::device::DeviceError;
use payload_manager_types::{Checksum, PayloadId, Place, Tier};

use super::GpuTier;
use super::card::Memory;
use super::stage::Way;
use crate::store::Buffers;
use crate::{Archive, Sink, Source, TierError, TierStore, fail};

/// A copy that is read or written.
pub(super) struct Side {
    tier: GpuTier,
    id: PayloadId,
    memory: Arc<dyn Memory>,
    card: usize,
    start: u64,
    size: u64,
}

impl Side {
    pub(super) fn new(tier: &GpuTier, id: PayloadId, place: Place, size: u64) -> Result<Self, TierError> {
        let (memory, card, start) = tier.memory(id, place, size)?;
        Ok(Self { tier: tier.clone(), id, memory, card, start, size })
    }

    fn failed(&self, doing: &str, error: DeviceError) -> TierError {
        if let Some(mounted) = self.tier.0.cards.get(self.card) {
            mounted.learn(&error);
        }
        if error.is_loss() {
            return TierError::Missing { id: self.id, tier: Tier::Gpu, what: format!("its card is lost: {error}") };
        }
        fail::io(Tier::Gpu, format!("{doing} payload {}", self.id), std::io::Error::other(error))
    }

    fn way(&self) -> Option<Box<dyn Buffers>> {
        let mounted = self.tier.0.cards.get(self.card)?;
        Some(Box::new(Way(Arc::clone(&mounted.stage))))
    }
}

impl Source for Side {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let into = buf.get_mut(..length).unwrap_or_default();
        self.memory.read(self.start + offset, into).map_err(|error| self.failed("reading", error))?;
        Ok(length)
    }

    fn buffers(&self) -> Option<Box<dyn Buffers>> {
        self.way()
    }
}

/// Writes a new copy.
pub(super) struct GpuSink {
    side: Side,
    unfinished: Unfinished,
}

impl GpuSink {
    /// Over memory that was taken for it; what goes wrong gives that back.
    pub(super) fn new(tier: &GpuTier, id: PayloadId, place: Place, size: u64) -> Result<Self, TierError> {
        let unfinished = Unfinished { tier: tier.clone(), id, place: Some(place) };
        Ok(Self { side: Side::new(tier, id, place, size)?, unfinished })
    }
}

/// A copy that goes again unless it is finished.
struct Unfinished {
    tier: GpuTier,
    id: PayloadId,
    place: Option<Place>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // It only forgets.
            let _ = self.tier.free(self.id, place);
        }
    }
}

impl Sink for GpuSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TierError> {
        self.side.memory.write(self.side.start + offset, bytes).map_err(|error| self.side.failed("writing", error))
    }

    fn buffers(&self) -> Option<Box<dyn Buffers>> {
        self.side.way()
    }

    fn finish(mut self: Box<Self>, _: Checksum, _: &Archive<'_>) -> Result<Place, TierError> {
        Ok(self.unfinished.place.take().unwrap_or(Place::OWN))
    }
}
