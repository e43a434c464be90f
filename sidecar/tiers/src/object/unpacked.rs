//! Reads a packed copy as the bytes that were packed: the block that is being read is in memory, and its frame.

use std::io;

use payload_manager_types::{PayloadId, Tier};

use super::packed::{BLOCK, Table, unpack};
use super::source::ObjectSource;
use crate::{Source, TierError};

/// One packed copy being read.
#[derive(Debug)]
pub(super) struct UnpackedSource {
    inner: ObjectSource,
    id: PayloadId,
    size: u64,
    table: Table,
    /// The block that is being read, by number.
    block: Option<(u64, Vec<u8>)>,
    frame: Vec<u8>,
}

impl UnpackedSource {
    /// Of a payload of `size` bytes; `inner` reads what is stored.
    pub(super) fn new(inner: ObjectSource, id: PayloadId, size: u64, table: Table) -> Self {
        Self { inner, id, size, table, block: None, frame: Vec::new() }
    }

    fn block(&mut self, number: u64) -> Result<&[u8], TierError> {
        if self.block.as_ref().is_none_or(|(have, _)| *have != number) {
            let mut block = self.block.take().map(|(_, memory)| memory).unwrap_or_default();
            let length = (self.size - number * BLOCK as u64).min(BLOCK as u64);
            block.resize(usize::try_from(length).unwrap_or(BLOCK), 0);
            self.unpack(number, &mut block)?;
            self.block = Some((number, block));
        }
        Ok(self.block.as_ref().map(|(_, block)| block.as_slice()).unwrap_or_default())
    }

    fn unpack(&mut self, number: u64, block: &mut [u8]) -> Result<(), TierError> {
        let at = self.table.frame(number).ok_or_else(|| self.damaged(number, "it is not in the table"))?;
        self.frame.resize(usize::try_from(at.end - at.start).unwrap_or(usize::MAX), 0);
        let read = self.inner.read_at(at.start, &mut self.frame)?;
        let frame = self.frame.get(..read).unwrap_or_default();
        unpack(frame, block).map_err(|error: io::Error| self.damaged(number, &error.to_string()))
    }

    fn damaged(&self, number: u64, what: &str) -> TierError {
        let what = format!("block {number} can't be unpacked: {what}");
        TierError::Damaged { id: self.id, tier: Tier::Object, what }
    }
}

impl Source for UnpackedSource {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, TierError> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            if at >= self.size {
                break;
            }
            let within = usize::try_from(at % BLOCK as u64).unwrap_or(usize::MAX);
            let bytes = self.block(at / BLOCK as u64)?.get(within..).unwrap_or_default();
            let now = bytes.len().min(rest.len());
            let (Some(to), Some(from)) = (rest.get_mut(..now), bytes.get(..now)) else { break };
            to.copy_from_slice(from);
            done += now;
        }
        Ok(done)
    }
}
