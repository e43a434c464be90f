//! Making and committing many payloads at once: 64 a round trip where there is a session, else by calls under way together.

use std::collections::VecDeque;
use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::stream;
use payload_manager_api::core::v1 as core;

use crate::client::Client;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::session::fit;
use crate::write::{CreateOptions, PayloadMut};

/// Calls that are under way at once.
const TOGETHER: usize = 32;
/// Commits in one frame.
const COMMITS: usize = 64;

impl Client {
    /// Allocates many payloads in RAM, of so many bytes each: one result each, in order, and one that fails does not stop
    /// the others.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let mut payloads = client.create_many(&[5, 5]).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    /// payloads[0].copy_from_slice(b"hello");
    /// payloads[1].copy_from_slice(b"world");
    /// for committed in client.commit_many(payloads).await {
    ///     println!("made {}", committed?.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_many(&self, lens: &[u64]) -> Vec<Result<PayloadMut>> {
        self.create_many_with(lens, CreateOptions::default()).await
    }

    /// Allocates many payloads, all as `options` say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// use payload_manager_client::{CreateOptions, Reason};
    ///
    /// let options = CreateOptions { no_evict: true, ..CreateOptions::default() };
    /// let payloads = client.create_many_with(&[4096, 0], options).await;
    /// assert_eq!(payloads[0].as_ref().map(|payload| payload.len()).ok(), Some(4096));
    /// assert_eq!(payloads[1].as_ref().unwrap_err().reason(), Some(Reason::SizeZero));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_many_with(&self, lens: &[u64], options: CreateOptions) -> Vec<Result<PayloadMut>> {
        let request = |len: u64| options.clone().request(len);
        let longest = request(u64::MAX);
        let by_session = longest.preferred_tier == core::Tier::Ram as i32;
        let mut made = Vec::with_capacity(lens.len());
        for some in lens.chunks(fit(&longest)) {
            let allocated = match by_session {
                true => {
                    let requests = some.iter().map(|len| request(*len)).collect();
                    self.all_in_time(self.own_sessions().allocate_many(requests), some.len()).await
                }
                false => some.iter().map(|_| None).collect(),
            };
            let of_session = |one: Option<Result<_>>| one.map(|made| PayloadMut::of_session(self.clone(), made?));
            let calls = allocated.into_iter().zip(some).map(|(one, len)| {
                let (at_hand, request) = (of_session(one), request(*len));
                async move {
                    match at_hand {
                        Some(made) => made,
                        None => PayloadMut::by_call(self.clone(), request).await,
                    }
                }
            });
            made.extend(stream::iter(calls).buffered(TOGETHER).collect::<Vec<_>>().await);
        }
        made
    }

    /// Commits many payloads: one result each, in order. What could not be committed is deleted, as
    /// [`PayloadMut::commit`] says.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// let payloads = vec![client.create(1).await?, client.create(2).await?];
    /// let ids: Vec<_> = payloads.iter().map(|payload| payload.id()).collect();
    /// for (committed, id) in client.commit_many(payloads).await.into_iter().zip(ids) {
    ///     assert_eq!(committed?.id, id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn commit_many(&self, payloads: Vec<PayloadMut>) -> Vec<Result<Descriptor>> {
        let mut committed = Vec::with_capacity(payloads.len());
        let mut payloads = VecDeque::from(payloads);
        while !payloads.is_empty() {
            let some: Vec<_> = payloads.drain(..COMMITS.min(payloads.len())).collect();
            committed.extend(self.commit_some(some).await);
        }
        committed
    }

    async fn commit_some(&self, mut payloads: Vec<PayloadMut>) -> Vec<Result<Descriptor>> {
        payloads.iter_mut().for_each(PayloadMut::unmap);
        let ids: Vec<_> = payloads.iter().filter(|payload| payload.is_of(self)).map(PayloadMut::id).collect();
        let answers = match ids.len() {
            0 => Vec::new(),
            count => self.all_in_time(self.own_sessions().commit_many(&ids), count).await,
        };
        let mut answers = answers.into_iter();
        let calls = payloads.into_iter().map(|mut payload| {
            let asked = payload.is_of(self);
            let answer = if asked { answers.next().flatten() } else { None };
            if let Some(Ok(_)) = &answer {
                payload.is_committed();
            }
            async move {
                match answer {
                    Some(answer) => answer,
                    None if asked => payload.commit_by_call().await,
                    None => payload.commit().await,
                }
            }
        });
        stream::iter(calls).buffered(TOGETHER).collect().await
    }

    /// Waits for a session's answer about `count` payloads, no longer than the client's deadline.
    async fn all_in_time<T>(
        &self,
        work: impl Future<Output = Vec<Option<Result<T>>>>,
        count: usize,
    ) -> Vec<Option<Result<T>>> {
        let late = || (0..count).map(|_| Some(Err(Error::deadline()))).collect();
        self.rpc().in_own_time(async { Ok(work.await) }).await.unwrap_or_else(|_| late())
    }
}
