//! The plain program that keeps objects: the crate object_store on a folder, synced as the daemon has it, with as many requests at
//! once. It makes no checksum, keeps nothing beside an object and tells no catalog.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use crate::Result;

/// Copies at once, as the daemon makes them.
const COPIES: usize = 4;
/// Bytes of a part, and parts of one object at once, as the daemon sends them.
const PART: usize = 8 << 20;
const PARTS: usize = 4;

/// A folder of objects.
pub(crate) struct Plain(Arc<LocalFileSystem>);

impl Plain {
    /// In a folder that it makes.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))))
    }

    /// Puts so many objects of these bytes.
    pub(crate) async fn put(&self, count: usize, bytes: &[u8]) -> Result<Duration> {
        let begun = Instant::now();
        let puts = (0..count).map(|n| self.put_one(key(n), bytes));
        stream::iter(puts).buffer_unordered(COPIES).try_for_each(|()| async { Ok(()) }).await?;
        Ok(begun.elapsed())
    }

    async fn put_one(&self, key: Key, bytes: &[u8]) -> Result<()> {
        if bytes.len() <= PART {
            self.0.put(&key, PutPayload::from(bytes.to_vec())).await?;
            return Ok(());
        }
        let mut upload = self.0.put_multipart(&key).await?;
        let mut flying = stream::FuturesUnordered::new();
        for piece in bytes.chunks(PART) {
            if flying.len() == PARTS {
                flying.next().await.transpose()?;
            }
            flying.push(tokio::spawn(upload.put_part(PutPayload::from(piece.to_vec()))));
        }
        while let Some(landed) = flying.next().await {
            landed??;
        }
        upload.complete().await?;
        Ok(())
    }

    /// Reads so many into memory.
    pub(crate) async fn get(&self, count: usize) -> Result<Duration> {
        let begun = Instant::now();
        let gets = (0..count)
            .map(|n| async move { Ok::<_, object_store::Error>(self.0.get(&key(n)).await?.bytes().await?.len()) });
        let read: Vec<usize> = stream::iter(gets).buffer_unordered(COPIES).try_collect().await?;
        std::hint::black_box(read);
        Ok(begun.elapsed())
    }

    /// Lists everything and reads what ends with `end`, `at_once` at a time.
    pub(crate) async fn read_all(&self, end: &str, at_once: usize) -> Result<Duration> {
        let begun = Instant::now();
        let listed = self.0.list(None).map_ok(|meta| meta.location);
        let wanted = listed.try_filter(|key| std::future::ready(key.as_ref().ends_with(end)));
        let read = wanted.map_ok(|key| async move { self.0.get(&key).await?.bytes().await.map(|bytes| bytes.len()) });
        let read: Vec<usize> = read.try_buffer_unordered(at_once).try_collect().await?;
        std::hint::black_box(read);
        Ok(begun.elapsed())
    }
}

fn key(n: usize) -> Key {
    Key::from(format!("plain-{n}"))
}
