//! The store, spoken to by callers who block: one call here is one request there, retried by the client where that is
//! right. Not the order of requests that makes a copy whole: that is the sink's and the tier's.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use parking_lot::Mutex;
use payload_manager_types::{PayloadId, Tier};

use super::driver::Driver;
use super::held::Held;
use super::layout::Layout;
use super::packed::{Table, table_bytes};
use super::{ObjectOptions, fail};
use crate::TierError;

/// A prefix in a store, and what speaks to it.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) layout: Layout,
    pub(super) options: ObjectOptions,
    pub(super) driver: Driver,
    pub(super) held: Arc<Held>,
    /// Held while something is moved aside, so that two moves do not choose one name.
    pub(super) moving: Mutex<()>,
}

impl Remote {
    /// Doing what, to which object: for errors.
    pub(super) fn doing(&self, what: &str, key: &Path) -> String {
        format!("{what} {}", self.layout.uri(key))
    }

    /// Runs `work` with the store, a key and what it is about.
    fn ask<T, F>(
        &self,
        what: &str,
        key: &Path,
        work: impl FnOnce(Arc<dyn ObjectStore>, Path) -> F,
    ) -> Result<T, TierError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let doing = self.doing(what, key);
        let work = work(Arc::clone(&self.store), key.clone());
        self.driver.run(async move { work.await.map_err(|e| fail::failed(doing, &e)) })
    }

    /// How long the object is, and more; `None` if it is not there.
    pub(super) fn head(&self, key: &Path) -> Result<Option<ObjectMeta>, TierError> {
        self.ask("looking at", key, |store, key| async move { unless_missing(store.head(&key).await) })
    }

    /// A small object, whole; `None` if it is not there.
    pub(super) fn get(&self, key: &Path) -> Result<Option<Bytes>, TierError> {
        self.ask("reading", key, |store, key| async move {
            match unless_missing(store.get(&key).await)? {
                Some(found) => found.bytes().await.map(Some),
                None => Ok(None),
            }
        })
    }

    /// Puts an object in one request, whole or not at all.
    pub(super) fn put(&self, key: &Path, bytes: Bytes) -> Result<(), TierError> {
        let payload = PutPayload::from_bytes(bytes);
        self.ask("writing", key, |store, key| async move { store.put(&key, payload).await.map(drop) })
    }

    /// Puts an object unless there is one, and says whether it did.
    pub(super) fn put_new(&self, key: &Path, bytes: Bytes) -> Result<bool, TierError> {
        let payload = PutPayload::from_bytes(bytes);
        self.ask("writing", key, |store, key| async move {
            match store.put_opts(&key, payload, PutMode::Create.into()).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(e) => Err(e),
            }
        })
    }

    /// Removes an object; not being there is what was wanted.
    pub(super) fn delete(&self, key: &Path) -> Result<(), TierError> {
        let gone = |store: Arc<dyn ObjectStore>, key: Path| async move { unless_missing(store.delete(&key).await) };
        match self.ask("removing", key, gone) {
            // Of a removal whose answer did not come the client makes no second try, though it does no harm.
            Err(TierError::Unavailable { .. }) => self.ask("removing", key, gone).map(drop),
            other => other.map(drop),
        }
    }

    /// Removes every object below the prefix.
    pub(super) fn empty(&self) -> Result<(), TierError> {
        let (store, prefix) = (Arc::clone(&self.store), self.layout.prefix().cloned());
        let doing = format!("emptying {}", self.layout.shown());
        self.driver.run(async move {
            let there = store.list(prefix.as_ref()).map_ok(|meta| meta.location).boxed();
            let gone = store.delete_stream(there).try_for_each(|_| std::future::ready(Ok(())));
            gone.await.map_err(|e| fail::failed(doing, &e))
        })
    }

    /// The keys of all objects in a folder below the prefix.
    pub(super) fn list_below(&self, folder: &str) -> Result<Vec<Path>, TierError> {
        self.ask("listing", &self.layout.key(folder), |store, folder| async move {
            store.list(Some(&folder)).map_ok(|meta| meta.location).try_collect().await
        })
    }

    /// As [`Self::delete`], after something else failed that is told already.
    pub(super) fn delete_quietly(&self, key: &Path) {
        let _ = self.delete(key);
    }

    /// Copies an object on the store's side.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> Result<(), TierError> {
        let to = to.clone();
        self.ask("copying", from, |store, from| async move { store.copy(&from, &to).await })
    }

    /// How many bytes are stored of `id`.
    pub(super) fn stored(&self, id: PayloadId) -> Result<u64, TierError> {
        let key = self.layout.bin(id);
        let what = || format!("{} is not there", self.layout.uri(&key));
        let found = self.head(&key)?.ok_or_else(|| TierError::Missing { id, tier: Tier::Object, what: what() })?;
        Ok(found.size)
    }

    /// The table of a packed copy. What has another length than its payload and is not packed has been resized.
    pub(super) fn table(&self, id: PayloadId, stored: u64, size: u64) -> Result<Table, TierError> {
        let resized = || TierError::WrongSize { id, tier: Tier::Object, expected: size, found: stored };
        let start = stored.checked_sub(table_bytes(size)).ok_or_else(resized)?;
        let text = self.ask("reading", &self.layout.bin(id), |store, key| async move {
            unless_missing(store.get_range(&key, start..stored).await)
        })?;
        text.and_then(|text| Table::read(&text, stored, size)).ok_or_else(resized)
    }

    /// The length of the bytes of `id`, if that is what it must be.
    pub(super) fn check_size(&self, id: PayloadId, expected: u64) -> Result<(), TierError> {
        match self.stored(id)? {
            found if found == expected => Ok(()),
            found => Err(TierError::WrongSize { id, tier: Tier::Object, expected, found }),
        }
    }
}

fn unless_missing<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(e) if fail::is_missing(&e) => Ok(None),
        Err(e) => Err(e),
    }
}
