//! What lies on cards: who puts it there, how it is opened, and what becomes of it when a card is lost.
//!
//! The memory of a card goes with the daemon, and with the card. What must outlive them is copied to a slower tier as soon
//! as it is committed ([`Engine::copy_eagerly`]); what has a copy elsewhere lives on there, and the rest is lost and says so.

use std::io;
use std::time::Duration;

use payload_manager_catalog::Durability;
use payload_manager_core::Refusal;
use payload_manager_tiers::gpu::{SharedSlab, Wanted};
use payload_manager_types::{DeviceUuid, EvictionPolicy, PayloadId, Place, SpillTarget, Tier};

use super::{Engine, Error, NewPayload};

/// How often the cards are looked at: a lost one that nothing is copied from or to says so by itself to nobody.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is on a lost card is given up so many payloads at a time, for others wait for the ledger.
const SLICE: usize = 256;

/// Who fills a payload on a card, through a session.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    session: u32,
    alignment: u32,
    devices: Vec<DeviceUuid>,
}

impl Seat {
    /// Of a payload that a session is to fill on a card.
    pub(super) fn of(new: &NewPayload) -> Option<Self> {
        let session = new.session.filter(|_| new.tier == Tier::Gpu)?;
        Some(Self { session, alignment: new.alignment, devices: new.devices.clone() })
    }
}

impl Engine {
    /// Takes the memory for a payload that a session fills on a card, and whose bytes are reserved.
    pub(super) fn make_on_card(&self, id: PayloadId, size: u64, seat: &Seat) -> Result<Place, Error> {
        let gpu = self.0.gpu.as_ref().ok_or(Refusal::NotConfigured { tier: Tier::Gpu })?;
        let wanted = Wanted { session: seat.session, alignment: seat.alignment, devices: &seat.devices };
        Ok(gpu.allocate_part(id, size, wanted)?)
    }

    /// What a client of this session needs to open a slab.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn slab(&self, unit: u32, session: u32) -> io::Result<Option<SharedSlab>> {
        self.0.gpu.as_ref().map_or(Ok(None), |gpu| gpu.share(unit, session))
    }

    /// Nothing new is put into a session's slabs.
    pub(super) fn end_slabs(&self, session: u32) {
        self.0.gpu.iter().for_each(|gpu| gpu.end_session(session));
    }

    /// What a session's slabs take of the cards, in bytes.
    pub(super) fn slab_bytes(&self, session: u32) -> u64 {
        self.0.gpu.as_ref().map_or(0, |gpu| gpu.bytes_of(session))
    }

    /// What was committed on a card and must be durable, or is to outlive the daemon by configuration, is copied to where
    /// it does. In the background: the commit does not wait for it.
    pub(super) fn copy_eagerly(&self, id: PayloadId, policy: &EvictionPolicy) {
        let durable = match policy.target() {
            SpillTarget::Tier(tier) if tier.is_durable() => tier,
            SpillTarget::Tier(_) | SpillTarget::Void => Tier::Disk,
        };
        let Some(to) = (if policy.require_durable { Some(durable) } else { self.0.gpu_eager_copy }) else { return };
        let engine = self.clone();
        self.0.tasks.spawn("eager-copy", async move {
            match engine.back_up(id, to).await {
                // Deleted or moved meanwhile.
                Ok(_) | Err(Error::Refused(Refusal::NotFound { .. } | Refusal::SpillToFaster { .. })) => {}
                Err(error) => tracing::warn!(
                    payload = %id, tier = %to, %error,
                    "what lies on a GPU alone could not be copied: it is lost if the daemon ends; make room, then Spill it"
                ),
            }
        });
    }

    /// Looks at the cards until the daemon stops.
    pub(super) async fn watch_cards(&self) {
        let Some(gpu) = self.0.gpu.clone() else { return };
        loop {
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let looked = gpu.clone();
            let look = super::blocking(move || Ok(looked.look())).await;
            if look.is_ok_and(|lost| lost) {
                tracing::error!("a GPU is lost: what has a copy elsewhere is served from there, the rest is lost");
            }
            let lost: Vec<PayloadId> = self.on_lost_cards();
            for some in lost.chunks(SLICE) {
                for id in some {
                    if let Err(error) = self.give_up_on_card(*id).await {
                        tracing::info!(payload = %id, %error, "its copy on a lost GPU is given up later");
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn on_lost_cards(&self) -> Vec<PayloadId> {
        let Some(gpu) = self.0.gpu.as_ref().filter(|gpu| gpu.has_lost()) else { return Vec::new() };
        let there = self.ledger().on_cards();
        there.into_iter().filter(|(id, place)| gpu.is_lost(*id, *place)).map(|(id, _)| id).collect()
    }

    /// The copy is gone: others serve, or the payload is listed as lost.
    async fn give_up_on_card(&self, id: PayloadId) -> Result<(), Error> {
        self.put_row(Durability::Committed, |ledger, now| Ok(ledger.descriptor(id, now).ok().map(|d| d.facts))).await?;
        self.meters().damaged(Tier::Gpu);
        let blocks = self.ledger().lose_copy(id, Tier::Gpu);
        self.free_blocks(blocks);
        Ok(())
    }
}
