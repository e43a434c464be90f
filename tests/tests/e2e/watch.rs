//! Watching: whoever listens knows what a listing shows, whatever the others do, and is told when it no longer can.

use std::collections::BTreeMap;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadDescriptor, PayloadId, PayloadState, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::acquire_read_lease_result::Outcome;
use payload_manager_api::runtime::v1::{
    AcquireReadLeaseRequest, AcquireReadLeasesRequest, PayloadEventKind, ReleaseLeasesRequest, SpillRequest,
    WatchPayloadsRequest, WatchPayloadsResponse,
};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wire::framed;
use payload_manager_tests::{Daemon, Rpc, Setup, named, within};
use prost::Message;
use tonic::{Code, Status, Streaming};

/// Changes of which the daemon remembers fewer.
const MANY: usize = 100_000;

async fn watch(rpc: &mut Rpc, token: &str, include_current: bool) -> Result<Streaming<WatchPayloadsResponse>, Status> {
    let request = WatchPayloadsRequest { resume_token: token.to_owned(), include_current };
    Ok(rpc.catalog.watch_payloads(request).await?.into_inner())
}

async fn next(events: &mut Streaming<WatchPayloadsResponse>) -> Result<WatchPayloadsResponse, Status> {
    let event = within("the next event", events.message()).await?;
    event.ok_or_else(|| Status::unknown("ended"))
}

/// What a watcher has been told of, by id.
#[derive(Default)]
struct Known {
    payloads: BTreeMap<Vec<u8>, PayloadDescriptor>,
    token: String,
    whole: bool,
}

impl Known {
    /// Takes an event in; every version comes once and none is left out.
    fn take(&mut self, event: WatchPayloadsResponse) {
        let kind = event.kind();
        assert_eq!(event.token.is_empty(), kind == PayloadEventKind::Current, "{event:?}");
        self.token = event.token;
        let Some(descriptor) = event.payload_descriptor else {
            assert_eq!(kind, PayloadEventKind::SnapshotEnd);
            self.whole = true;
            return;
        };
        let id = id_of(&descriptor).value;
        let before = self.payloads.remove(&id).map(|before| before.version);
        let expected = match kind {
            PayloadEventKind::Current | PayloadEventKind::Allocated => None,
            _ => Some(descriptor.version - 1),
        };
        assert_eq!(before, expected, "{kind:?} {descriptor:?}");
        match kind {
            PayloadEventKind::Deleted => assert_eq!(descriptor.state(), PayloadState::Deleted),
            PayloadEventKind::Expired => assert_eq!(descriptor.state(), PayloadState::Expired),
            _ => drop(self.payloads.insert(id, descriptor)),
        }
    }

    /// Listens until a payload of that size is told of.
    async fn until(&mut self, events: &mut Streaming<WatchPayloadsResponse>, size: u64) {
        loop {
            let event = next(events).await.unwrap();
            let last = event.payload_descriptor.as_ref().is_some_and(|d| d.size_bytes == size);
            self.take(event);
            if last {
                return;
            }
        }
    }

    /// The same, and says what a listing of the daemon does.
    async fn check(&self, rpc: &mut Rpc) {
        let mut listed = BTreeMap::new();
        for row in rpc.list().await.unwrap() {
            let now = rpc.descriptor(row.id.clone().unwrap()).await.unwrap();
            listed.insert(row.id.unwrap().value, now);
        }
        assert_eq!(self.payloads, listed);
    }
}

/// A client that makes, moves and deletes payloads, and leaves some.
async fn churn(mut rpc: Rpc, seed: usize) {
    for round in 0..40 {
        let tier = if (round + seed).is_multiple_of(3) { Tier::Disk } else { Tier::Ram };
        let id = id_of(&rpc.put(tier, &[7; 100]).await.unwrap());
        match (round + seed) % 5 {
            0 => drop(rpc.spill(id.clone()).await.unwrap()),
            1 => drop(rpc.promote(id.clone(), Tier::Ram).await.unwrap()),
            2 => {
                rpc.spill(id.clone()).await.unwrap();
                rpc.promote(id.clone(), Tier::Ram).await.unwrap();
                rpc.spill(id.clone()).await.unwrap();
            }
            _ => {}
        }
        if round % 4 != 0 {
            rpc.delete(id, false).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_a_storm_knows_in_the_end_what_is_listed() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    for _ in 0..700 {
        rpc.allocate(Tier::Ram, 1).await.unwrap();
    }
    let mut storm = Vec::new();
    for seed in 0..4 {
        storm.push(tokio::spawn(churn(daemon.rpc().await, seed)));
    }
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let mut rpc = daemon.rpc().await;
        watchers.push(tokio::spawn(async move {
            let mut known = Known::default();
            let mut events = watch(&mut rpc, "", true).await.unwrap();
            known.until(&mut events, 77).await;
            (known, rpc)
        }));
    }
    // One that hangs up and resumes, again and again.
    let (mut restless, mut events) = (Known::default(), watch(&mut rpc, "", true).await.unwrap());
    while !restless.whole {
        restless.take(next(&mut events).await.unwrap());
    }
    for client in storm {
        for _ in 0..10 {
            restless.take(next(&mut events).await.unwrap());
        }
        events = watch(&mut rpc, &restless.token, true).await.unwrap();
        client.await.unwrap();
    }
    rpc.allocate(Tier::Ram, 77).await.unwrap();
    restless.until(&mut events, 77).await;
    restless.check(&mut rpc).await;
    for watcher in watchers {
        let (known, mut rpc) = watcher.await.unwrap();
        assert!(known.whole);
        known.check(&mut rpc).await;
    }
}

/// Moves payloads from DISK to RAM and back, so many times. There is always a lease on the memory, so after the first time
/// no byte is moved.
async fn wear(mut rpc: Rpc, ids: Vec<PayloadId>, times: usize) {
    let ask = |id: &PayloadId| AcquireReadLeaseRequest {
        id: Some(id.clone()),
        min_tier: Tier::Ram as i32,
        ..AcquireReadLeaseRequest::default()
    };
    let mut held = Vec::new();
    for _ in 0..times {
        let request = AcquireReadLeasesRequest { requests: ids.iter().map(ask).collect() };
        let results = rpc.data.acquire_read_leases(request).await.unwrap().into_inner().results;
        let leases = results.into_iter().map(|result| match result.outcome {
            Some(Outcome::Response(lease)) => lease.lease_id.unwrap(),
            other => panic!("{other:?}"),
        });
        let lease_ids = std::mem::replace(&mut held, leases.collect());
        rpc.data.release_leases(ReleaseLeasesRequest { lease_ids }).await.unwrap();
        let results = rpc.spill_all(SpillRequest { ids: ids.clone(), ..Default::default() }).await.unwrap();
        assert!(results.iter().all(|result| result.ok), "{results:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_never_reads_costs_little_slows_nobody_and_is_told_what_it_missed() {
    let daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let body = framed(&WatchPayloadsRequest::default().encode_to_vec());
    let mut deaf = wire.open(&named::path("WatchPayloads"), body, &[]).await;
    let mut ids = Vec::new();
    for _ in 0..500 {
        ids.push(id_of(&rpc.put(Tier::Disk, b"x").await.unwrap()));
    }
    let mut others = Vec::new();
    for part in ids.chunks(125) {
        others.push(tokio::spawn(wear(daemon.rpc().await, part.to_vec(), MANY / (ids.len() * 2))));
    }
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    for other in others {
        other.await.unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB more for {MANY} changes that nobody reads");
    let mut told = 0;
    while deaf.next().await.is_some() {
        told += 1;
    }
    let end = deaf.status().await;
    assert_eq!(end.code(), Code::OutOfRange, "{end:?}");
    assert_eq!(detail(&end).unwrap().known(), Some(Reason::ResumeTokenTooOld));
    assert!(told < MANY / 2, "{told}");
    let mut again = Known::default();
    let mut events = watch(&mut rpc, "", true).await.unwrap();
    while !again.whole {
        again.take(next(&mut events).await.unwrap());
    }
    again.check(&mut rpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_until_the_daemon_restarts_and_only_with_the_daemon_that_gave_it() {
    let (mut daemon, other) = (Daemon::start(), Daemon::start());
    let mut rpc = daemon.rpc().await;
    let mut events = watch(&mut rpc, "", true).await.unwrap();
    let token = next(&mut events).await.unwrap().token;
    let made = id_of(&rpc.allocate(Tier::Ram, 5).await.unwrap());
    for include_current in [false, true] {
        let mut resumed = watch(&mut rpc, &token, include_current).await.unwrap();
        let event = next(&mut resumed).await.unwrap();
        assert_eq!(
            (event.kind(), id_of(&event.payload_descriptor.unwrap())),
            (PayloadEventKind::Allocated, made.clone())
        );
    }
    let refused = async |rpc: &mut Rpc, token: &str| {
        let status = watch(rpc, token, true).await.unwrap_err();
        (status.code(), detail(&status).unwrap().known().unwrap())
    };
    let ahead = format!("{}ffff", &token[..60]);
    assert_eq!(refused(&mut rpc, &ahead).await, (Code::InvalidArgument, Reason::BadResumeToken));
    let old = (Code::OutOfRange, Reason::ResumeTokenTooOld);
    assert_eq!(refused(&mut other.rpc().await, &token).await, old);
    for _ in 0..2 {
        daemon.restart();
        assert_eq!(refused(&mut daemon.rpc().await, &token).await, old);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_watcher_was_told_is_committed_no_kill_takes_back() {
    let mut daemon = Setup::new().start();
    for tier in [Tier::Ram, Tier::Disk, Tier::Ram] {
        let mut rpc = daemon.rpc().await;
        let mut events = watch(&mut rpc, "", false).await.unwrap();
        let mut busy = daemon.rpc().await;
        // It ends with the daemon.
        let writer = tokio::spawn(async move {
            let kept = busy.put(tier, &[9; 3000]).await;
            while let Ok(made) = busy.allocate(tier, 10).await {
                drop(busy.commit(id_of(&made)).await);
            }
            kept
        });
        let mut committed = Vec::new();
        while committed.len() < 20 {
            let event = next(&mut events).await.unwrap();
            if event.kind() == PayloadEventKind::Committed {
                committed.push(event.payload_descriptor.unwrap());
            }
        }
        daemon.kill();
        drop(writer.await.unwrap());
        daemon.restart();
        let mut rpc = daemon.rpc().await;
        for was in committed {
            let now = rpc.descriptor(id_of(&was)).await.unwrap();
            assert!(now.version >= was.version && now.state() == was.state(), "{was:?} {now:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_running_out_is_told_as_such() {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let mut events = watch(&mut rpc, "", false).await.unwrap();
    let request = payload_manager_api::runtime::v1::AllocatePayloadRequest {
        preferred_tier: Tier::Ram as i32,
        ttl_ms: 50,
        ..Default::default()
    };
    drop(rpc.put_with(request, b"short").await);
    let deleted = id_of(&rpc.put(Tier::Ram, b"long").await.unwrap());
    rpc.delete(deleted.clone(), false).await.unwrap();
    let mut ends = BTreeMap::new();
    while ends.len() < 2 {
        let event = next(&mut events).await.unwrap();
        if matches!(event.kind(), PayloadEventKind::Deleted | PayloadEventKind::Expired) {
            let kind = event.kind();
            ends.insert(id_of(&event.payload_descriptor.unwrap()) == deleted, kind);
        }
    }
    assert_eq!(ends, [(false, PayloadEventKind::Expired), (true, PayloadEventKind::Deleted)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_tells_who_watches_and_does_not_wait_for_them() {
    let mut daemon = Daemon::start();
    let (wire, mut rpc) = (daemon.wire().await, daemon.rpc().await);
    let mut events = watch(&mut rpc, "", true).await.unwrap();
    assert_eq!(next(&mut events).await.unwrap().kind(), PayloadEventKind::SnapshotEnd);
    let body = framed(&WatchPayloadsRequest::default().encode_to_vec());
    let _deaf = wire.open(&named::path("WatchPayloads"), body, &[]).await;
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let end = next(&mut events).await.unwrap_err();
    assert_eq!(detail(&end).unwrap().known(), Some(Reason::ShuttingDown), "{end:?}");
    assert!(daemon.wait().success());
    assert!(!daemon.log_of_last_run().contains("stopped with work under way"));
}
