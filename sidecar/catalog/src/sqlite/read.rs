//! Reading: a connection of its own that can't write. Each call sees one state of the catalog.

use std::path::PathBuf;

use payload_manager_core::facts::Facts;
use payload_manager_types::{PayloadId, StreamEntry, StreamName};
use rusqlite::{Connection, OpenFlags};

use super::error::store_error;
use super::open::connect;
use super::{doomed, entries, lineage, metadata, payloads, stale, stale_logs, streams};
use crate::change::DoomedFile;
use crate::lineage::{Lineage, LineageQuery};
use crate::metadata::{MetadataEvent, MetadataRecord};
use crate::page::{Limit, Page};
use crate::store::{ConsumerGroup, Reader, Span, StaleArchive, StaleLog, StoreError, StreamInfo};

/// Reads one catalog file.
pub(super) struct SqliteReader {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl SqliteReader {
    /// Opens `path`, a catalog that a [`super::Sqlite`] has open.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        match connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
            Ok(connection) => Ok(Self { connection, path }),
            Err(error) => Err(store_error(&path, &error)),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        read(&self.connection).map_err(|error| store_error(&self.path, &error))
    }
}

impl Reader for SqliteReader {
    fn another(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(Self::open(self.path.clone())?))
    }

    fn payloads(&mut self, each: &mut dyn FnMut(Facts)) -> Result<(), StoreError> {
        self.read(|connection| payloads::each(connection, each))
    }

    fn doomed(&mut self) -> Result<Vec<DoomedFile>, StoreError> {
        self.read(doomed::all)
    }

    fn streams(&mut self) -> Result<Vec<StreamInfo>, StoreError> {
        self.read(streams::all)
    }

    fn streams_after(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StreamInfo>, StoreError> {
        self.read(|connection| streams::after(connection, after, limit))
    }

    fn stream(&mut self, name: &StreamName) -> Result<Option<StreamInfo>, StoreError> {
        self.read(|connection| streams::one(connection, name))
    }

    fn entries(&mut self, stream: &StreamName, span: Span, limit: Limit) -> Result<Page<StreamEntry>, StoreError> {
        self.read(|connection| entries::span(connection, stream, span, limit))
    }

    fn committed(&mut self, stream: &StreamName, group: &str) -> Result<Option<u64>, StoreError> {
        self.read(|connection| streams::committed(connection, stream, group))
    }

    fn groups(
        &mut self,
        stream: &StreamName,
        after: Option<&str>,
        limit: Limit,
    ) -> Result<Page<ConsumerGroup>, StoreError> {
        self.read(|connection| streams::groups(connection, stream, after, limit))
    }

    fn metadata(&mut self, id: PayloadId) -> Result<Option<MetadataRecord>, StoreError> {
        self.read(|connection| metadata::get(connection, id))
    }

    fn metadata_events(
        &mut self,
        id: PayloadId,
        after: Option<u64>,
        limit: Limit,
    ) -> Result<Page<MetadataEvent>, StoreError> {
        self.read(|connection| metadata::events(connection, id, after, limit))
    }

    fn stale_archives(&mut self, after: Option<PayloadId>, limit: Limit) -> Result<Page<StaleArchive>, StoreError> {
        self.read(|connection| stale::after(connection, after, limit))
    }

    fn stale_logs(&mut self, after: Option<&StreamName>, limit: Limit) -> Result<Page<StaleLog>, StoreError> {
        self.read(|connection| stale_logs::after(connection, after, limit))
    }

    fn lineage(&mut self, query: &LineageQuery) -> Result<Lineage, StoreError> {
        self.read(|connection| lineage::walk(connection, query))
    }
}
