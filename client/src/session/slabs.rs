//! Slabs of GPUs that a session has opened, by number.
//!
//! Memory on a GPU is free again only when everybody has closed it. So a slab of one payload is open for as long as somebody
//! uses that; one that many share stays open a while longer, for the next of them.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use payload_manager_api::session::v1;
use payload_manager_shm::device::{DeviceMemory, IpcHandle};
use payload_manager_types::DeviceUuid;

use crate::device::{DevicePart, device};
use crate::error::{Error, Result};

/// How long a slab that nobody uses stays open, in milliseconds.
const IDLE_MS: u64 = 5_000;

/// A slab, open.
#[derive(Debug, Clone)]
pub(super) struct Slab {
    memory: Arc<DeviceMemory>,
    writable: bool,
    shared: bool,
    /// Which daemon's memory it is, by the count of them.
    pub(super) daemon: u32,
}

impl Slab {
    /// Opens what the daemon of this count shares.
    pub(super) fn open(told: &v1::DeviceSlab, file: Option<&OwnedFd>, daemon: u32) -> Result<Self> {
        let uuid = DeviceUuid::try_from(told.device_uuid.as_slice()).map_err(|e| Error::bad(e.to_string()))?;
        let device = device(uuid)?;
        let opened = match file {
            Some(file) => device.import(file.as_fd(), told.length_bytes, told.writable),
            None => {
                let handle = told.ipc_handle.as_slice().try_into().map(IpcHandle);
                device.open(&handle.map_err(|_| Error::bad("no CUDA IPC handle"))?, told.length_bytes)
            }
        };
        let memory = opened.map_err(|e| Error::device(format!("opening a slab of {uuid}"), e))?;
        Ok(Self { memory: Arc::new(memory), writable: told.writable, shared: told.shared, daemon })
    }

    /// A payload in it.
    pub(super) fn part(&self, offset: u64, length: u64) -> Option<DevicePart> {
        DevicePart::of(&self.memory, offset, length)
    }

    /// The same, to be filled by this process.
    pub(super) fn write(&self, offset: u64, length: u64) -> Option<DevicePart> {
        self.part(offset, length).filter(|_| self.writable)
    }
}

/// What one session has open.
#[derive(Debug, Default)]
pub(super) struct Slabs {
    open: Mutex<HashMap<u32, Open>>,
    /// Counts the daemons: the memory of one goes with it. Changed under the lock, so that nothing is kept of another.
    daemon: AtomicU32,
}

#[derive(Debug)]
struct Open {
    memory: Weak<DeviceMemory>,
    writable: bool,
    /// Of one that is kept: the memory, and when it was wanted last.
    kept: Option<(Arc<DeviceMemory>, u64)>,
}

impl Slabs {
    /// The slab of this number, if it is open.
    #[inline]
    pub(super) fn get(&self, id: u32, now_ms: u64) -> Option<Slab> {
        let mut open = self.open.lock();
        let there = open.get_mut(&id)?;
        let memory = there.memory.upgrade()?;
        let shared = there.kept.is_some();
        if let Some((_, wanted)) = &mut there.kept {
            *wanted = now_ms;
        }
        Some(Slab { memory, writable: there.writable, shared, daemon: self.daemon() })
    }

    /// Keeps it, as long as is good for it. Where somebody was quicker, theirs is taken.
    pub(super) fn keep(&self, id: u32, slab: Slab, now_ms: u64) -> Slab {
        if let Some(there) = self.get(id, now_ms) {
            return there;
        }
        let memory = Arc::downgrade(&slab.memory);
        let kept = slab.shared.then(|| (Arc::clone(&slab.memory), now_ms));
        let mut open = self.open.lock();
        if slab.daemon == self.daemon() {
            open.retain(|_, open| open.memory.strong_count() > 0);
            open.insert(id, Open { memory, writable: slab.writable, kept });
        }
        slab
    }

    /// Closes what nobody used for a while.
    pub(super) fn let_go(&self, now_ms: u64) {
        let idle = |open: &Open| match &open.kept {
            Some((memory, wanted)) => Arc::strong_count(memory) == 1 && wanted + IDLE_MS <= now_ms,
            None => open.memory.strong_count() == 0,
        };
        let mut closed = Vec::new();
        let mut open = self.open.lock();
        open.retain(|_, open| {
            let go = idle(open);
            closed.extend(open.kept.take_if(|_| go));
            !go
        });
        // Closed when nobody waits for the lock.
        drop(open);
        drop(closed);
    }

    /// When to look again for what nobody uses; `None`: nothing is kept.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let open = self.open.lock();
        open.values().filter_map(|open| open.kept.as_ref()).map(|(_, wanted)| wanted + IDLE_MS).min()
    }

    /// Another daemon is there: memory of the one before is not to be had any more.
    pub(super) fn clear(&self) {
        let gone = {
            let mut open = self.open.lock();
            self.daemon.fetch_add(1, Ordering::Relaxed);
            std::mem::take(&mut *open)
        };
        drop(gone);
    }

    /// Which daemon's memory this is.
    #[inline]
    pub(super) fn daemon(&self) -> u32 {
        self.daemon.load(Ordering::Relaxed)
    }
}
