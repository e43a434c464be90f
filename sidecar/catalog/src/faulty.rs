//! A store that fails when it is told to: a wrapper, for tests of whatever stands on a store.
//!
//! It fails before it asks the store behind it, so that nothing was applied, as the port promises.

use std::fmt;
use std::sync::Arc;

use payload_manager_core::facts::Facts;
use payload_manager_types::{InstanceId, PayloadId, StreamEntry, StreamName};

use crate::change::{Change, DoomedFile, Outcome};
use crate::lineage::{Lineage, LineageQuery};
use crate::metadata::{MetadataEvent, MetadataRecord};
use crate::page::{Limit, Page};
use crate::store::{ConsumerGroup, Reader, Span, StaleArchive, StaleLog, Store, StoreError, StreamInfo};

/// What a store was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// To apply a batch.
    Apply {
        /// The batch.
        changes: &'a [Change],
        /// Whether it must survive power loss.
        sync: bool,
    },
    /// To make a reader.
    Reader,
    /// To read.
    Read,
    /// To rest.
    Rest,
}

/// A store, or a reader, whose calls `faults` may fail.
pub struct Faulty<T> {
    inner: T,
    faults: Arc<Faults>,
}

type Faults = dyn Fn(&Call<'_>) -> Option<StoreError> + Send + Sync;

impl<T> Faulty<T> {
    /// Wraps `inner`, and the readers it makes. `faults` says which calls fail, and how; it may also watch, or block to
    /// be slow.
    pub fn new(inner: T, faults: impl Fn(&Call<'_>) -> Option<StoreError> + Send + Sync + 'static) -> Self {
        Self { inner, faults: Arc::new(faults) }
    }

    fn ask(&self, call: &Call<'_>) -> Result<(), StoreError> {
        (self.faults)(call).map_or(Ok(()), Err)
    }

    fn wrap(&self, reader: Box<dyn Reader>) -> Box<dyn Reader> {
        Box::new(Faulty { inner: reader, faults: Arc::clone(&self.faults) })
    }
}

impl<T> fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

impl Store for Faulty<Box<dyn Store>> {
    fn instance(&self) -> InstanceId {
        self.inner.instance()
    }

    fn apply(&mut self, changes: &[Change], sync: bool) -> Result<Vec<Outcome>, StoreError> {
        self.ask(&Call::Apply { changes, sync })?;
        self.inner.apply(changes, sync)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.ask(&Call::Reader)?;
        Ok(self.wrap(self.inner.reader()?))
    }

    fn rest(&mut self) -> Result<bool, StoreError> {
        self.ask(&Call::Rest)?;
        self.inner.rest()
    }
}

impl Reader for Faulty<Box<dyn Reader>> {
    fn another(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.ask(&Call::Reader)?;
        Ok(self.wrap(self.inner.another()?))
    }

    fn payloads(&mut self, each: &mut dyn FnMut(Facts)) -> Result<(), StoreError> {
        self.ask(&Call::Read)?;
        self.inner.payloads(each)
    }

    fn doomed(&mut self) -> Result<Vec<DoomedFile>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.doomed()
    }

    fn streams(&mut self) -> Result<Vec<StreamInfo>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.streams()
    }

    fn streams_after(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StreamInfo>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.streams_after(after, limit)
    }

    fn stream(&mut self, name: &StreamName) -> Result<Option<StreamInfo>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.stream(name)
    }

    fn entries(&mut self, stream: &StreamName, span: Span, limit: Limit) -> Result<Page<StreamEntry>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.entries(stream, span, limit)
    }

    fn committed(&mut self, stream: &StreamName, group: &str) -> Result<Option<u64>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.committed(stream, group)
    }

    fn groups(
        &mut self,
        stream: &StreamName,
        after: Option<&str>,
        limit: Limit,
    ) -> Result<Page<ConsumerGroup>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.groups(stream, after, limit)
    }

    fn metadata(&mut self, id: PayloadId) -> Result<Option<MetadataRecord>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.metadata(id)
    }

    fn metadata_events(
        &mut self,
        id: PayloadId,
        after: Option<u64>,
        limit: Limit,
    ) -> Result<Page<MetadataEvent>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.metadata_events(id, after, limit)
    }

    fn stale_archives(&mut self, after: Option<PayloadId>, limit: Limit) -> Result<Page<StaleArchive>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.stale_archives(after, limit)
    }

    fn stale_logs(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StaleLog>, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.stale_logs(after, limit)
    }

    fn lineage(&mut self, query: &LineageQuery) -> Result<Lineage, StoreError> {
        self.ask(&Call::Read)?;
        self.inner.lineage(query)
    }
}
