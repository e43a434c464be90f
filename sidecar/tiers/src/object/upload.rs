//! Bytes on their way up, to one object: in one request, or in parts of which a few are under way at once. The object is
//! there when [`Upload::complete`] returns, whole, and not before.
//!
//! Dropped before that, it takes back what went up. What a killed daemon leaves of an upload in parts no listing shows;
//! a rule of the bucket should remove such uploads after a day.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use payload_manager_types::Tier;

use super::driver::Running;
use super::fail;
use super::held::Part;
use super::parts::{self, MAX_HELD, MAX_PARTS, Parts};
use super::remote::Remote;
use crate::TierError;

/// One object going up.
#[derive(Debug)]
pub(super) struct Upload {
    remote: Arc<Remote>,
    key: Path,
    size: u64,
    plan: Parts,
    /// Bytes taken so far.
    taken: u64,
    filling: Option<Part>,
    /// Begun with the first whole part; taken when it is completed or given up.
    begun: Option<Box<dyn MultipartUpload>>,
    /// Parts under way, oldest first.
    flying: VecDeque<Running<()>>,
}

impl Upload {
    /// Of `size` bytes, to `key`. Nothing goes up yet.
    pub(super) fn new(remote: Arc<Remote>, key: Path, size: u64) -> Result<Self, TierError> {
        let plan = plan(&remote, &key, size)?;
        Ok(Self { remote, key, size, plan, taken: 0, filling: None, begun: None, flying: VecDeque::new() })
    }

    /// Takes the next bytes. Waits while as many parts are under way as may be.
    pub(super) fn take(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), TierError> {
        if offset != self.taken || bytes.len() as u64 > self.size - self.taken {
            let what = format!("{} bytes at {offset}, after {} of {}", bytes.len(), self.taken, self.size);
            return Err(fail::odd(self.doing("writing"), io::ErrorKind::InvalidInput, what));
        }
        while !bytes.is_empty() {
            let part = self.part()?;
            let now = part.take(bytes);
            let full = part.is_full();
            bytes = bytes.get(now..).unwrap_or_default();
            self.taken += now as u64;
            if full {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Takes what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TierError> {
        self.take(self.taken, bytes)
    }

    /// Bytes taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The object is no longer than this.
    pub(super) fn end_here(&mut self) -> Result<(), TierError> {
        self.size = self.taken;
        if self.filling.is_some() { self.send() } else { Ok(()) }
    }

    /// The part being filled. A new one waits until it may be held beside those under way.
    fn part(&mut self) -> Result<&mut Part, TierError> {
        if self.filling.is_none() {
            let (part_bytes, in_flight) = match self.plan {
                Parts::Single => (self.size, 1),
                Parts::Many { part_bytes, in_flight } => (part_bytes, in_flight),
            };
            while self.flying.len() as u64 >= in_flight {
                self.landed()?;
            }
            let room = usize::try_from(part_bytes.min(self.size - self.taken)).unwrap_or(usize::MAX);
            self.filling = Some(Part::new(&self.remote.held, room));
        }
        self.filling.as_mut().ok_or_else(|| fail::odd(self.key.to_string(), io::ErrorKind::Other, "no part"))
    }

    /// Waits for the oldest part under way.
    fn landed(&mut self) -> Result<(), TierError> {
        self.flying.pop_front().map_or(Ok(()), Running::wait)
    }

    /// Sends the part that is full, unless the object goes up in one request, which is made at the end.
    fn send(&mut self) -> Result<(), TierError> {
        if self.plan == Parts::Single {
            return Ok(());
        }
        self.begin()?;
        let doing = self.doing("writing a part of");
        if let (Some(begun), Some(part)) = (&mut self.begun, self.filling.take()) {
            let sending = begun.put_part(PutPayload::from_bytes(part.freeze()));
            let sending = async move { sending.await.map_err(|e| fail::failed(doing, &e)) };
            self.flying.push_back(self.remote.driver.start_work(sending));
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), TierError> {
        if self.begun.is_none() {
            let (store, key, doing) =
                (Arc::clone(&self.remote.store), self.key.clone(), self.doing("beginning to write"));
            let begun = async move { store.put_multipart(&key).await.map_err(|e| fail::failed(doing, &e)) };
            self.begun = Some(self.remote.driver.run(begun)?);
        }
        Ok(())
    }

    /// Waits until every byte is up that goes up in parts.
    pub(super) fn settle(&mut self) -> Result<(), TierError> {
        if self.taken != self.size {
            let what = format!("{} of {} bytes were written", self.taken, self.size);
            return Err(fail::odd(self.doing("finishing"), io::ErrorKind::InvalidInput, what));
        }
        while !self.flying.is_empty() {
            self.landed()?;
        }
        Ok(())
    }

    /// Makes the object be there.
    pub(super) fn complete(&mut self) -> Result<(), TierError> {
        self.settle()?;
        if self.plan == Parts::Single {
            let bytes = self.filling.take().map(Part::freeze).unwrap_or_default();
            return self.remote.put(&self.key, bytes);
        }
        let Some(mut begun) = self.begun.take() else { return Ok(()) };
        let doing = self.doing("finishing");
        let (begun, outcome) = self.remote.driver.run(async move {
            let outcome = begun.complete().await.map(drop).map_err(|e| fail::of_completion(doing, &e));
            Ok((begun, outcome))
        })?;
        if outcome.is_err() {
            self.begun = Some(begun);
        }
        outcome
    }

    fn doing(&self, what: &str) -> String {
        self.remote.doing(what, &self.key)
    }
}

impl Drop for Upload {
    /// Takes back what went up. Where even that fails, there is nobody to tell, and the bucket's rule does it later.
    fn drop(&mut self) {
        self.flying.clear();
        if let Some(mut begun) = self.begun.take() {
            let _ = self.remote.driver.run(async move {
                let _ = begun.abort().await;
                Ok(())
            });
        }
    }
}

/// How an object of `size` bytes goes up, if it can.
pub(super) fn plan(remote: &Remote, key: &Path, size: u64) -> Result<Parts, TierError> {
    parts::plan(size, remote.options.in_flight).ok_or_else(|| TierError::Full {
        tier: Tier::Object,
        asked: size,
        free: MAX_HELD * MAX_PARTS,
        what: format!("{}: an object has {MAX_PARTS} parts at most", remote.layout.uri(key)),
    })
}
