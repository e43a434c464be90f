//! Answers: a message that fits a frame, and the descriptors that go with it.

use std::fs::File;

use payload_manager_api::core::v1::CallStatus;
use payload_manager_api::session::v1::{
    AllocateResult, Done, ItemResult, OpenResult, Response, allocate_result, open_result, response::Outcome,
    segment_result,
};
use payload_manager_shm::fdpass::MOST_BYTES;
use payload_manager_types::PayloadId;
use prost::Message as _;
use tonic::Status;

/// What a connection is told, and what it changes for its session.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) files: Vec<File>,
    /// Allocated for the session: given up again when it ends.
    pub(super) made: Vec<PayloadId>,
    /// Committed or given up: the session's no more.
    pub(super) settled: Vec<PayloadId>,
}

impl Answer {
    pub(super) fn new(number: u64, outcome: Outcome) -> Self {
        Self { response: Response { number, outcome: Some(outcome) }, ..Self::default() }
    }

    /// The request as a whole failed.
    pub(super) fn failed(number: u64, status: &Status) -> Self {
        Self::new(number, Outcome::Error(status.into()))
    }

    /// One result an item.
    pub(super) fn done(number: u64, results: Vec<ItemResult>) -> Self {
        Self::new(number, Outcome::Done(Done { results }))
    }

    /// The bytes of the frame. An answer that is too long says less about what failed: first without facts, then without
    /// words; as many items as a request may have always fit then.
    pub(super) fn encode(&mut self) -> Vec<u8> {
        for cut in [|error: &mut CallStatus| error.detail = None, |error: &mut CallStatus| error.message.clear()] {
            if self.response.encoded_len() <= MOST_BYTES {
                break;
            }
            errors(&mut self.response).for_each(cut);
        }
        self.response.encode_to_vec()
    }
}

fn errors(response: &mut Response) -> Box<dyn Iterator<Item = &mut CallStatus> + '_> {
    match &mut response.outcome {
        Some(Outcome::Done(done)) => Box::new(done.results.iter_mut().filter_map(|r| r.error.as_mut())),
        Some(Outcome::Allocated(all)) => Box::new(all.results.iter_mut().filter_map(|r| match &mut r.outcome {
            Some(allocate_result::Outcome::Error(error)) => Some(error),
            _ => None,
        })),
        Some(Outcome::Opened(all)) => Box::new(all.results.iter_mut().filter_map(|r| match &mut r.outcome {
            Some(open_result::Outcome::Error(error)) => Some(error),
            _ => None,
        })),
        Some(Outcome::Shared(all)) => Box::new(all.results.iter_mut().filter_map(|r| match &mut r.outcome {
            Some(segment_result::Outcome::Error(error)) => Some(error),
            _ => None,
        })),
        _ => Box::new(std::iter::empty()),
    }
}

pub(super) fn item(result: Result<(), Status>) -> ItemResult {
    ItemResult { error: result.err().map(|status| (&status).into()), payload_descriptor: None }
}

pub(super) fn not_allocated(status: &Status) -> AllocateResult {
    AllocateResult { outcome: Some(allocate_result::Outcome::Error(status.into())) }
}

pub(super) fn not_opened(status: &Status) -> OpenResult {
    OpenResult { outcome: Some(open_result::Outcome::Error(status.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_a_thousand_long_errors_fits_a_frame_and_keeps_every_code() {
        let status = Status::not_found("x".repeat(1000));
        let mut answer = Answer::done(7, (0..1000).map(|_| item(Err(status.clone()))).collect());
        let bytes = answer.encode();
        assert!(bytes.len() <= MOST_BYTES, "{}", bytes.len());
        let Some(Outcome::Done(done)) = Response::decode(&bytes[..]).unwrap().outcome else { panic!("no answer") };
        assert_eq!(done.results.len(), 1000);
        assert!(done.results.iter().all(|r| r.error.as_ref().unwrap().code == tonic::Code::NotFound as i32));
    }

    #[test]
    fn an_answer_that_fits_is_left_whole() {
        let mut answer = Answer::done(7, vec![item(Err(Status::not_found("gone"))), item(Ok(()))]);
        let Some(Outcome::Done(done)) = Response::decode(&answer.encode()[..]).unwrap().outcome else {
            panic!("no answer")
        };
        assert_eq!(done.results[0].error.as_ref().unwrap().message, "gone");
        assert_eq!(done.results[1].error, None);
    }
}
