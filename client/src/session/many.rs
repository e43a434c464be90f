//! Many payloads in one frame: as many as the protocol lets in. `None` is "ask by gRPC", as in `verbs`.

use payload_manager_api::core::v1::CallStatus;
use payload_manager_api::runtime::v1;
use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{Allocate, Commit, ItemResult};
use payload_manager_shm::fdpass::{MOST_BYTES, MOST_DESCRIPTORS};
use prost::Message as _;

use super::verbs::{committed, refused};
use super::wire::Answer;
use super::{Asking, Made};
use crate::descriptor::{Descriptor, PayloadId};
use crate::error::Result;

/// Of a frame, what is left for other things than its requests: the trace, above all.
const ASIDE: usize = 1024;

/// How many requests of this kind fit into a frame.
pub(crate) fn fit(request: &v1::AllocatePayloadRequest) -> usize {
    // Sizes differ by a few bytes, and each has a length in front.
    ((MOST_BYTES - ASIDE) / (request.encoded_len() + 16)).clamp(1, MOST_DESCRIPTORS)
}

impl Asking<'_> {
    /// Allocates in RAM what [`fit`]s into a frame: one result each, in order.
    pub(crate) async fn allocate_many(&self, requests: Vec<v1::AllocatePayloadRequest>) -> Vec<Option<Result<Made>>> {
        let count = requests.len();
        let mut all = self.try_allocate_many(requests).await.unwrap_or_default();
        all.resize_with(count, || None);
        all
    }

    async fn try_allocate_many(&self, requests: Vec<v1::AllocatePayloadRequest>) -> Option<Vec<Option<Result<Made>>>> {
        let (home, count) = (self.home()?, requests.len());
        home.open().await;
        // Before it is asked: what is allocated is this session's, or it is over.
        let core = home.core()?;
        let Answer { outcome, descriptors } =
            self.call(Verb::Allocate(Allocate { requests, devices: Vec::new() })).await?;
        let allocated = match outcome {
            Outcome::Allocated(allocated) => allocated.results,
            Outcome::Error(status) => return Some(refused_all(&status, count).collect()),
            _ => return None,
        };
        let (mut all, mut descriptors) = (Vec::with_capacity(count), descriptors.into_iter());
        for result in allocated.into_iter().take(count) {
            all.push(match result.outcome {
                Some(outcome) => self.made(&core, outcome, &mut descriptors).await,
                None => None,
            });
        }
        Some(all)
    }

    /// Commits up to 64 of what this session allocated: one result each, in order.
    pub(crate) async fn commit_many(&self, ids: &[PayloadId]) -> Vec<Option<Result<Descriptor>>> {
        let commit = Commit { ids: ids.iter().map(|id| (*id).into()).collect() };
        let mut all: Vec<_> = match self.call(Verb::Commit(commit)).await {
            Some(Answer { outcome: Outcome::Done(done), .. }) => results(done.results, ids.len()),
            Some(Answer { outcome: Outcome::Error(status), .. }) => refused_all(&status, ids.len()).collect(),
            _ => Vec::new(),
        };
        all.resize_with(ids.len(), || None);
        all
    }
}

fn results(results: Vec<ItemResult>, count: usize) -> Vec<Option<Result<Descriptor>>> {
    results.into_iter().take(count).map(committed).collect()
}

/// What refuses the frame refuses each of them.
fn refused_all<T>(status: &CallStatus, count: usize) -> impl Iterator<Item = Option<Result<T>>> {
    (0..count).map(move |_| refused(status))
}
