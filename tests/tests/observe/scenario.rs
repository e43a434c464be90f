//! A daemon to which everything happens that is counted.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use payload_manager_api::core::v1::Tier;
use payload_manager_api::runtime::v1::{AcquireReadLeaseRequest, PinRequest};
use payload_manager_client::blocking::{Client, PayloadView};
use payload_manager_shm::fdpass::{SeqPacket, Wait};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};

/// Payloads of this many bytes, so that RAM is full soon.
const BYTES: usize = 1 << 20;

/// What has happened, and what is still held.
pub(crate) struct Happened {
    pub(crate) daemon: Daemon,
    /// One is live; the payload of the other was deleted under it, and its bytes stay until the view goes.
    _kept: [PayloadView; 2],
}

/// RAM for ten of the payloads, all tiers but GPU.
pub(crate) fn setup() -> Setup {
    Setup::new().flag("ram", "10MiB").flag("lease-max", "1h").with_object_folder()
}

/// Has everything happen, once each at least.
pub(crate) async fn play(setup: Setup) -> Happened {
    let daemon = setup.start();
    let mut rpc = daemon.rpc().await;
    // A lease by call that runs out, and one that is taken away.
    let short = id_of(&rpc.put(Tier::Ram, &[1; BYTES]).await.unwrap());
    let lease = AcquireReadLeaseRequest { id: Some(short), min_lease_duration_ms: 1, ..Default::default() };
    rpc.data.acquire_read_lease(lease).await.unwrap();
    let revoked = id_of(&rpc.put(Tier::Ram, &[2; BYTES]).await.unwrap());
    rpc.lease(revoked.clone()).await.unwrap();
    rpc.delete(revoked, true).await.unwrap();
    // Leases on a page, one of them on what is deleted under it.
    let address = daemon.socket();
    let doomed = id_of(&rpc.put(Tier::Ram, &[3; BYTES]).await.unwrap());
    let named = payload_manager_types::PayloadId::from_bytes(doomed.value.clone().try_into().unwrap());
    let kept = tokio::task::spawn_blocking(move || {
        let client = Client::connect(address).unwrap();
        let mut made = client.create(100).unwrap();
        made.fill(4);
        let id = made.commit().unwrap().id;
        (0..3).for_each(|_| drop(client.read(id).unwrap()));
        [client.read(id).unwrap(), client.read(named).unwrap()]
    });
    let kept = kept.await.unwrap();
    rpc.delete(doomed, true).await.unwrap();
    // Copies: to DISK and OBJECT and back, and one that fails for its source is spoilt.
    let moved = id_of(&rpc.put(Tier::Ram, &[5; BYTES]).await.unwrap());
    rpc.spill_to(moved.clone(), Tier::Object).await.unwrap();
    rpc.promote(moved.clone(), Tier::Ram).await.unwrap();
    rpc.delete(moved, false).await.unwrap();
    spoil(&mut rpc).await;
    // Eviction: one is pinned and in the way, others go.
    let pinned = id_of(&rpc.put(Tier::Ram, &[6; BYTES]).await.unwrap());
    rpc.catalog.pin(PinRequest { id: Some(pinned), ..Default::default() }).await.unwrap();
    for _ in 0..12 {
        rpc.put(Tier::Ram, &[7; BYTES]).await.unwrap();
    }
    // A group that is behind.
    rpc.create_stream("queue").await.unwrap();
    let entry = id_of(&rpc.put(Tier::Disk, b"entry").await.unwrap());
    rpc.append("queue", &[entry.clone(), entry.clone(), entry]).await.unwrap();
    rpc.commit_offset("queue", "workers", 1).await.unwrap();
    misbehave(&daemon);
    Happened { daemon, _kept: kept }
}

/// A payload whose only copy is not what was written: found out by a promotion.
async fn spoil(rpc: &mut Rpc) {
    let spoilt = rpc.put(Tier::Disk, &[8; BYTES]).await.unwrap();
    let file = OpenOptions::new().write(true).open(v1::place(&spoilt).0).unwrap();
    file.write_all_at(b"something else", 4000).unwrap();
    assert_eq!(rpc.promote(id_of(&spoilt), Tier::Ram).await.unwrap_err().code(), tonic::Code::DataLoss);
}

/// More lines from one place of the log than it has room for.
fn misbehave(daemon: &Daemon) {
    let path = daemon.setup().runtime_dir().join("session.sock");
    for _ in 0..80 {
        let socket = SeqPacket::connect(&path).unwrap();
        socket.send(b"\xff\xff", &[], Wait::Yes).unwrap();
        // Hung up on: by then it is in the log, or left out of it.
        assert!(socket.receive(&mut [0; 64], Wait::Yes).is_err());
    }
}
