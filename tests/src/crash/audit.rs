//! After a restart: is everything that was answered still true, and is every doubt settled one way or the other?

use std::collections::HashSet;
use std::time::Instant;

use payload_manager_api::core::v1::{PayloadDescriptor, PayloadId, PayloadState};
use payload_manager_api::runtime::v1::{GetPayloadRequest, GetPayloadResponse, ReadRequest, RenewLeaseRequest};
use tonic::Code;

use super::belief::{Claim, Doubt, Known, Stage, name_of};
use super::machine;
use super::witness::{LEASE, Witness};
use crate::rpc::stream;
use crate::{Daemon, Rpc, v1};

/// Checks all that the witnesses know, and the machine. What an unanswered allocation has left is deleted.
///
/// # Panics
/// If something is lost, changed, gone back or left over.
pub async fn audit(daemon: &Daemon, witnesses: &mut [&mut Witness]) {
    let mut rpc = daemon.rpc().await;
    for witness in witnesses.iter_mut() {
        for known in &mut witness.payloads {
            check_payload(&mut rpc, known).await;
            check_claims(&mut rpc, known).await;
        }
        check_stream(&mut rpc, witness).await;
    }
    check_strangers(&mut rpc, witnesses).await;
    let known: Vec<&Known> = witnesses.iter().flat_map(|w| &w.payloads).collect();
    machine::check(daemon, &mut rpc, &known).await;
    witnesses.iter_mut().for_each(|w| forget(w));
}

async fn find(rpc: &mut Rpc, id: &PayloadId) -> Option<(PayloadDescriptor, GetPayloadResponse)> {
    match rpc.catalog.get_payload(GetPayloadRequest { id: Some(id.clone()) }).await {
        Ok(answer) => {
            let mut answer = answer.into_inner();
            Some((answer.payload_descriptor.take().unwrap(), answer))
        }
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{}: {status:?}", name_of(id));
            None
        }
    }
}

async fn check_payload(rpc: &mut Rpc, known: &mut Known) {
    // Whether it is back is seen in the listing.
    if known.stage == Stage::Gone {
        return;
    }
    let name = known.name();
    let doubt = known.doubt.take();
    let Some((descriptor, found)) = find(rpc, &known.id).await else {
        let may_be_gone = matches!(doubt, Some(Doubt::Delete { .. })) || known.fleeting;
        assert!(may_be_gone, "{name} is lost: it was {:?} at version {}", known.state, known.version);
        if matches!(doubt, Some(Doubt::Delete { force: true })) {
            known.claims.iter_mut().for_each(|claim| claim.revoked = true);
        }
        known.stage = Stage::Gone;
        return;
    };
    known.shown(&descriptor);
    if known.labelled {
        assert_eq!((found.dataset.as_str(), found.tags.len()), ("kept", 1), "{name} has lost its labels");
    }
    if descriptor.state() == PayloadState::Allocated {
        assert_eq!(v1::read(&descriptor).unwrap(), known.bytes(), "{name}: what its producer wrote has changed");
        return;
    }
    assert!(matches!(descriptor.state(), PayloadState::Active | PayloadState::Durable), "{name}: {descriptor:?}");
    assert!(known.stage == Stage::Committed || doubt == Some(Doubt::Commit), "{name} was never committed");
    known.stage = Stage::Committed;
    assert_eq!(rpc.get(known.id.clone()).await.unwrap(), known.bytes(), "{name}: other bytes than were committed");
    // Killed between revoking and burying: its leases are over, and it lives.
    if matches!(doubt, Some(Doubt::Delete { force: true })) {
        settle_claims(rpc, known).await;
    }
}

/// Which of its leases a forced delete that never came to its end has revoked.
async fn settle_claims(rpc: &mut Rpc, known: &mut Known) {
    for claim in &mut known.claims {
        claim.revoked = renew(rpc, claim).await.is_none();
    }
}

async fn renew(rpc: &mut Rpc, claim: &Claim) -> Option<Instant> {
    let ms = u64::try_from(LEASE.as_millis()).unwrap();
    let request = RenewLeaseRequest { lease_id: Some(claim.lease.clone()), min_lease_duration_ms: ms };
    let until = Instant::now() + LEASE;
    match rpc.data.renew_lease(request).await {
        Ok(_) => Some(until),
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            None
        }
    }
}

/// Every live lease is still there and its bytes are where they were (promises: survives-kill, stable-lease).
async fn check_claims(rpc: &mut Rpc, known: &mut Known) {
    let (name, bytes) = (known.name(), known.bytes());
    let mut kept = Vec::new();
    for mut claim in std::mem::take(&mut known.claims) {
        assert!(*claim.map == *bytes, "{name}: the bytes under a lease have changed");
        let opened = std::fs::read(&claim.path);
        if claim.is_live() {
            assert_eq!(opened.unwrap(), bytes, "{name}: what a leased name opens has changed");
        }
        match renew(rpc, &claim).await {
            Some(until) => {
                assert!(!claim.revoked, "{name}: a lease that a forced delete has ended is back");
                claim.until = until;
            }
            None => assert!(!claim.is_live(), "{name}: a live lease is lost"),
        }
        kept.push(claim);
    }
    // One that ran out ran out at the daemon, too, or does so within its length.
    let (live, over): (Vec<_>, Vec<_>) = kept.into_iter().partition(|c| c.is_live() || c.revoked);
    if !over.is_empty() {
        known.haunt(Instant::now() + LEASE);
    }
    known.claims = live;
}

/// A stream has what was appended, in order, and of an append in doubt all or nothing.
async fn check_stream(rpc: &mut Rpc, witness: &mut Witness) {
    let request = ReadRequest { stream: Some(stream(&witness.stream)), ..Default::default() };
    let entries = match rpc.stream.read(request).await {
        Ok(answer) => answer.into_inner().entries,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            assert!(witness.appended.is_none(), "stream {} is lost", witness.stream);
            return;
        }
    };
    assert!(witness.appended.is_some() || witness.stream_doubt, "nobody made stream {}", witness.stream);
    let log = witness.appended.get_or_insert_default();
    if entries.len() > log.len() {
        log.append(&mut witness.append_doubt);
    }
    (witness.append_doubt, witness.stream_doubt) = (Vec::new(), false);
    assert_eq!(entries.len(), log.len(), "stream {} is another", witness.stream);
    for (offset, (entry, at)) in entries.iter().zip(log).enumerate() {
        assert_eq!(entry.offset, offset as u64);
        assert_eq!(entry.payload_id.as_ref(), Some(&witness.payloads[*at].id), "stream {}", witness.stream);
    }
}

/// Payloads that nobody knows come from allocations that were not answered.
async fn check_strangers(rpc: &mut Rpc, witnesses: &mut [&mut Witness]) {
    let alive = |known: &&Known| known.stage != Stage::Gone;
    let known: HashSet<PayloadId> =
        witnesses.iter().flat_map(|w| &w.payloads).filter(alive).map(|k| k.id.clone()).collect();
    let mut lost: u64 = witnesses.iter().map(|w| w.lost_allocations).sum();
    for row in rpc.list().await.unwrap() {
        let id = row.id.clone().unwrap();
        if !known.contains(&id) {
            assert_eq!(row.state(), PayloadState::Allocated, "{} is nobody's", name_of(&id));
            assert!(lost > 0, "{} is nobody's", name_of(&id));
            lost -= 1;
            rpc.delete(id, false).await.unwrap();
        }
    }
    witnesses.iter_mut().for_each(|w| w.lost_allocations = 0);
}

/// The dead keep their place in the list, for the stream names them by it; not their claims.
fn forget(witness: &mut Witness) {
    for known in witness.payloads.iter_mut().filter(|k| k.stage == Stage::Gone) {
        let over = known.claims.iter().any(|claim| Instant::now() >= claim.until);
        if over {
            known.claims.retain(|claim| Instant::now() < claim.until);
            known.haunt(Instant::now() + LEASE);
        }
    }
}
