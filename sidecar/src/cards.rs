//! The machine's GPUs, if there are any and the configuration wants them. One build serves machines with and without: what
//! is missing is said, and nothing else changes.

use std::sync::Arc;

use payload_manager_shm::device::Driver;
use payload_manager_tiers::GpuTier;
use payload_manager_tiers::gpu::Card;
use payload_manager_types::DeviceUuid;

use crate::config::units::size_for_people;
use crate::config::{Cards, Config};

/// Takes the cards into use, or says why there is no GPU tier.
pub(crate) fn open(config: &Config) -> Option<GpuTier> {
    match wanted(config) {
        Ok(cards) => {
            for (card, bytes) in &cards {
                let passes = if card.passes_descriptors() { "" } else { ", by IPC handles alone" };
                tracing::info!("GPU: {}, {}{passes}", card.uuid(), size_for_people(*bytes));
            }
            Some(GpuTier::new(cards))
        }
        Err(reason) if config.gpu == Cards::Off => {
            tracing::info!("GPU tier not configured: {reason}");
            None
        }
        Err(reason) => {
            tracing::warn!("GPU tier not configured: {reason}");
            None
        }
    }
}

type Found = Vec<(Arc<dyn Card>, u64)>;

fn wanted(config: &Config) -> Result<Found, String> {
    if config.gpu == Cards::Off {
        return Err("gpu-memory is off".into());
    }
    let driver = Driver::load(&config.cuda_driver).map_err(|error| error.to_string())?;
    let wanted: Vec<(DeviceUuid, u64)> = match &config.gpu {
        Cards::Off => Vec::new(),
        Cards::Each(bytes) => driver.uuids().into_iter().map(|uuid| (uuid, *bytes)).collect(),
        Cards::Named(named) => named.clone(),
    };
    let mut found: Found = Vec::new();
    let mut reason = "the driver knows no GPU".to_owned();
    for (uuid, bytes) in wanted {
        let device = match driver.device(uuid) {
            Ok(Some(device)) => device,
            Ok(None) => {
                reason = format!("there is no {uuid}, or the daemon may not see it");
                tracing::warn!("gpu-memory: {reason}");
                continue;
            }
            Err(error) => {
                reason = format!("{uuid}: {error}");
                tracing::warn!("gpu-memory: {reason}");
                continue;
            }
        };
        if bytes > device.bytes() {
            let has = size_for_people(device.bytes());
            tracing::warn!("gpu-memory: {uuid} has {has}, and others may use it too: no more can be taken");
        }
        let bytes = bytes.min(device.bytes());
        found.push((Arc::new(device), bytes));
    }
    if found.is_empty() { Err(reason) } else { Ok(found) }
}
