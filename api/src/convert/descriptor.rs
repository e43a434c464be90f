//! A payload's descriptor, both ways: the daemon writes it, clients and rebuilds read it.

use payload_manager_types::{
    Checksum, DeviceUuid, EvictionPolicy, PayloadId, PayloadState, Protection, Tier, TierSet, UnixMillis,
};

use super::field::{eviction_policy, known, payload_id, payload_state, protection, required_tier, tiers, time};
use super::invalid::{About as _, Invalid};
use crate::core::v1;
use crate::core::v1::payload_descriptor::Location as Wire;
use crate::reason::Reason;

/// A payload as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Which.
    pub id: PayloadId,
    /// Of the copy that `location` names.
    pub tier: Tier,
    /// How far it has come.
    pub state: PayloadState,
    /// Where to open it; an OBJECT allocation has none yet.
    pub location: Option<Location>,
    /// Grows at every change of placement or state.
    pub version: u64,
    /// When it was allocated.
    pub created: UnixMillis,
    /// When its time is over.
    pub expires: Option<UnixMillis>,
    /// What eviction may do.
    pub policy: EvictionPolicy,
    /// Bytes.
    pub size: u64,
    /// What they hash to, once known.
    pub checksum: Option<Checksum>,
    /// The tiers that hold a copy.
    pub copies: TierSet,
    /// Who could still write after commit.
    pub protection: Protection,
    /// Whether no copy outlives the daemon.
    pub dies_with_daemon: bool,
}

/// Where bytes can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// Device memory.
    Gpu {
        /// Which device, by the daemon's number.
        device: u32,
        /// The same, by its name for good, if it is told.
        uuid: Option<DeviceUuid>,
        /// The slab's number; 0 for an allocation of the payload's own.
        unit: u32,
        /// Size and CUDA IPC handle, 72 bytes; empty if it is opened by a descriptor.
        handle: Vec<u8>,
        /// Bytes from the start of the allocation.
        offset: u64,
        /// Bytes of the allocation.
        segment: u64,
        /// Bytes of the payload.
        length: u64,
    },
    /// POSIX shared memory.
    Ram {
        /// For `shm_open`.
        name: String,
        /// The segment's number; 0 for an object of the payload's own.
        unit: u32,
        /// Bytes from the start of the object.
        offset: u64,
        /// Bytes of the object.
        segment: u64,
        /// Bytes of the payload.
        length: u64,
    },
    /// A file, or with tier OBJECT an object in a bucket.
    File {
        /// Absolute path, or URI.
        path: String,
        /// Bytes from its start.
        offset: u64,
        /// Bytes of the payload.
        length: u64,
    },
}

impl From<Location> for Wire {
    fn from(location: Location) -> Self {
        match location {
            Location::Gpu { device, uuid, unit, handle, offset, segment, length } => Self::Gpu(v1::GpuLocation {
                device_id: device,
                ipc_handle: handle,
                length_bytes: length,
                offset_bytes: offset,
                segment_bytes: segment,
                device_uuid: uuid.map(|uuid| uuid.0.to_vec()).unwrap_or_default(),
                slab_id: unit,
            }),
            Location::Ram { name, unit, offset, segment, length } => Self::Ram(v1::RamLocation {
                shm_name: name,
                slab_id: unit,
                block_index: 0,
                length_bytes: length,
                offset_bytes: offset,
                segment_bytes: segment,
            }),
            Location::File { path, offset, length } => {
                Self::Disk(v1::DiskLocation { path, offset_bytes: offset, length_bytes: length })
            }
        }
    }
}

impl From<Wire> for Location {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Gpu(at) => Self::Gpu {
                device: at.device_id,
                uuid: DeviceUuid::try_from(at.device_uuid.as_slice()).ok(),
                unit: at.slab_id,
                handle: at.ipc_handle,
                offset: at.offset_bytes,
                segment: at.segment_bytes,
                length: at.length_bytes,
            },
            Wire::Ram(at) => Self::Ram {
                name: at.shm_name,
                unit: at.slab_id,
                offset: at.offset_bytes,
                segment: at.segment_bytes,
                length: at.length_bytes,
            },
            Wire::Disk(at) => Self::File { path: at.path, offset: at.offset_bytes, length: at.length_bytes },
        }
    }
}

impl From<Checksum> for v1::PayloadChecksum {
    fn from(Checksum(value): Checksum) -> Self {
        Self { algorithm: v1::ChecksumAlgorithm::Xxh3128 as i32, value: value.to_vec() }
    }
}

impl From<Descriptor> for v1::PayloadDescriptor {
    fn from(d: Descriptor) -> Self {
        Self {
            payload_id: Some(d.id.into()),
            tier: v1::Tier::from(d.tier) as i32,
            state: v1::PayloadState::from(d.state) as i32,
            location: d.location.map(Into::into),
            version: d.version,
            created_at: Some(d.created.into()),
            expires_at: d.expires.map(Into::into),
            eviction_policy: Some(d.policy.into()),
            size_bytes: d.size,
            integrity: d.checksum.map(Into::into),
            copies: d.copies.iter().map(|t| v1::Tier::from(t) as i32).collect(),
            protection: v1::Protection::from(d.protection) as i32,
            dies_with_daemon: d.dies_with_daemon,
        }
    }
}

impl TryFrom<v1::PayloadDescriptor> for Descriptor {
    type Error = Invalid;

    fn try_from(wire: v1::PayloadDescriptor) -> Result<Self, Invalid> {
        let id = payload_id(wire.payload_id.clone(), "payload_id")?;
        read(id, wire).about(id)
    }
}

/// The descriptor of an answer, which must have one.
///
/// # Errors
/// [`Invalid`] where the daemon broke the contract.
pub fn descriptor(wire: Option<v1::PayloadDescriptor>) -> Result<Descriptor, Invalid> {
    wire.unwrap_or_default().try_into()
}

fn read(id: PayloadId, wire: v1::PayloadDescriptor) -> Result<Descriptor, Invalid> {
    Ok(Descriptor {
        id,
        tier: required_tier(wire.tier, "tier")?,
        state: payload_state(wire.state, "state")?,
        location: wire.location.map(Into::into),
        version: wire.version,
        created: time(wire.created_at, "created_at")?.unwrap_or_default(),
        expires: time(wire.expires_at, "expires_at")?,
        policy: eviction_policy(wire.eviction_policy)?,
        size: wire.size_bytes,
        checksum: wire.integrity.map(checksum).transpose()?.flatten(),
        copies: tiers(&wire.copies, "copies")?,
        protection: protection(wire.protection, "protection")?,
        dies_with_daemon: wire.dies_with_daemon,
    })
}

/// An XXH3-128; `None` for one of another kind, which this build cannot check.
fn checksum(wire: v1::PayloadChecksum) -> Result<Option<Checksum>, Invalid> {
    if known::<v1::ChecksumAlgorithm>(wire.algorithm, "integrity.algorithm")? != v1::ChecksumAlgorithm::Xxh3128 {
        return Ok(None);
    }
    let value = wire.value.try_into().map_err(|v: Vec<u8>| {
        let message = format!("an XXH3-128 has 16 bytes, this one has {}", v.len());
        Invalid::new(Reason::ChecksumMismatch, "integrity.value", message)
    })?;
    Ok(Some(Checksum(value)))
}
