//! Readers to borrow: as many as read at once, a few of them kept for the next.

use std::fmt;

use parking_lot::Mutex;

use crate::store::{Reader, StoreError};

/// Readers kept while nobody reads.
const KEPT: usize = 8;

/// Lends readers of one catalog to whoever reads.
pub(crate) struct Readers {
    /// Never lent: others are made after it.
    model: Mutex<Box<dyn Reader>>,
    idle: Mutex<Vec<Box<dyn Reader>>>,
}

impl Readers {
    /// Lends readers like `model`.
    pub(crate) fn like(model: Box<dyn Reader>) -> Self {
        Self { model: Mutex::new(model), idle: Mutex::default() }
    }

    /// Calls `read` with a reader that nobody else uses meanwhile. One that failed is not kept.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = self.idle.lock().pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => self.model.lock().another()?,
        };
        let answer = read(&mut *reader)?;
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push(reader);
        }
        Ok(answer)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("idle", &self.idle.lock().len()).finish_non_exhaustive()
    }
}
