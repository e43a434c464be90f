//! Payloads that no worker may delete: what was committed is there, whoever was killed meanwhile, until the run itself
//! has found it right (promise: survives-kill). They are known by their length.

use payload_manager_api::core::v1::PayloadId as WireId;
use payload_manager_client::PayloadId;
use payload_manager_tests::Rpc;
use tonic::Code;

use crate::bytes::check;
use crate::tally::{Kind, Tally};

const LONGEST: u64 = 64 << 10;

pub(crate) fn is_kept(length: u64) -> bool {
    length % 8 == 3
}

/// The nearest length of one that is kept.
pub(crate) fn length(near: u64) -> u64 {
    near.min(LONGEST) / 8 * 8 + 3
}

/// The nearest length of one that is not.
pub(crate) fn other_length(near: u64) -> u64 {
    if is_kept(near) { near + 1 } else { near }
}

/// What a worker says of one that is committed.
pub(crate) const KEPT: &str = "kept: ";

/// Tells the run of one. From here on it must not get lost.
pub(crate) fn tell(id: PayloadId, length: u64) {
    println!("{KEPT}{id} {length} .");
}

/// Those that the run knows.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<(PayloadId, u64)>);

impl Kept {
    pub(crate) fn note(&mut self, told: &str) {
        let mut words = told.split(' ');
        let (Some(id), Some(length), Some(".")) = (words.next(), words.next(), words.next()) else { return };
        self.0.push((id.parse().unwrap(), length.parse().unwrap()));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Finds each of the oldest as it was made, and then deletes it. One that is being read is left for another time, and
    /// so is one on DISK while RAM is full of what others read: it can't come up now, which is no loss.
    pub(crate) async fn harvest(&mut self, rpc: &mut Rpc, tally: &mut Tally, most: usize) {
        let rest = self.0.split_off(most.min(self.0.len()));
        let mut left = Vec::new();
        for (id, length) in std::mem::replace(&mut self.0, rest) {
            let named = WireId { value: id.as_bytes().to_vec() };
            let bytes = match rpc.get(named.clone()).await {
                Ok(bytes) => bytes,
                Err(status) if status.code() == Code::ResourceExhausted => {
                    left.push((id, length));
                    continue;
                }
                Err(status) => panic!("payload {id} of {length} bytes was committed, and is lost: {status:?}"),
            };
            check(&bytes, id, length).unwrap_or_else(|wrong| panic!("payload {id}, which nobody deletes: {wrong}"));
            tally.count(Kind::Kept);
            match rpc.delete(named, false).await {
                Ok(()) => {}
                Err(status) if status.code() == Code::Aborted => left.push((id, length)),
                Err(status) => panic!("payload {id} can't be deleted: {status:?}"),
            }
        }
        self.0.append(&mut left);
    }
}
