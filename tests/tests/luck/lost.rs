//! Shared memory that is gone, all of it or a part, as after a reboot or in a pod that lost `/dev/shm`: what only RAM
//! held is DATA_LOSS and listed, the rest is fine, and nothing goes back (promises: monotonic, never-the-only-copy).

use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadDescriptor, PayloadState, Tier};
use payload_manager_api::runtime::v1::{AcquireReadLeaseResponse, RenewLeaseRequest};
use payload_manager_shm::object;
use payload_manager_tests::crash::belief::name_of;
use payload_manager_tests::crash::machine::payload_objects;
use payload_manager_tests::remains::unlink_shm;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, eventually, v1};
use tonic::Code;

use super::ground::fails;

/// What versions rise by.
const STEP: u64 = 1 << 20;

fn bytes(seed: u64) -> Vec<u8> {
    v1::pattern(seed, 50_000)
}

/// One in RAM, one on DISK, one in both.
struct Three {
    ram: PayloadDescriptor,
    disk: PayloadDescriptor,
    both: PayloadDescriptor,
}

impl Three {
    async fn put(rpc: &mut Rpc) -> Self {
        let ram = rpc.put(Tier::Ram, &bytes(1)).await.unwrap();
        let disk = rpc.put(Tier::Disk, &bytes(2)).await.unwrap();
        let both = rpc.put(Tier::Disk, &bytes(3)).await.unwrap();
        let both = rpc.promote(id_of(&both), Tier::Ram).await.unwrap();
        Self { ram, disk, both }
    }

    /// The versions now, after a look at what is left.
    async fn without_ram(&self, rpc: &mut Rpc) -> [u64; 3] {
        fails(rpc.lease(id_of(&self.ram)).await, Code::DataLoss, Reason::BytesLost);
        assert_eq!(rpc.list().await.unwrap().len(), 3, "listed, all of them");
        assert_eq!(rpc.get(id_of(&self.disk)).await.unwrap(), bytes(2));
        assert_eq!(rpc.get(id_of(&self.both)).await.unwrap(), bytes(3));
        let mut versions = [0; 3];
        for (version, before) in versions.iter_mut().zip([&self.ram, &self.disk, &self.both]) {
            let now = rpc.descriptor(id_of(before)).await.unwrap();
            assert!(now.state() >= before.state(), "{:?} after {:?}", now.state(), before.state());
            *version = now.version;
        }
        versions
    }

    async fn delete(&self, daemon: &Daemon, rpc: &mut Rpc) {
        for descriptor in [&self.ram, &self.disk, &self.both] {
            rpc.delete(id_of(descriptor), false).await.unwrap();
        }
        eventually("nothing is left", || payload_objects(daemon).is_empty() && daemon.disk_files().is_empty());
        eventually_async("all space is free", || {
            let mut rpc = rpc.clone();
            async move { rpc.stats().await.unwrap().tiers.iter().all(|tier| tier.free_bytes == tier.capacity_bytes) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_shared_memory_a_payload_in_ram_is_data_loss_and_versions_rise_for_good() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let three = Three::put(&mut rpc).await;
    daemon.kill();
    unlink_shm(&daemon.setup().prefix);
    daemon.start_again();
    let mut versions = three.without_ram(&mut daemon.rpc().await).await;
    for (version, before) in versions.iter().zip([&three.ram, &three.disk, &three.both]) {
        assert!(*version > before.version.max(STEP), "{version} after {}", before.version);
    }
    assert!(daemon.log().text().contains("shared pages of the last run are gone"));
    // Once more without anything, and then with the loss of the new pages.
    for lose in [false, false, true, false] {
        daemon.kill();
        if lose {
            unlink_shm(&daemon.setup().prefix);
        }
        daemon.start_again();
        let now = three.without_ram(&mut daemon.rpc().await).await;
        for (now, before) in now.iter().zip(versions) {
            assert!(*now >= before, "{now} after {before}");
        }
        versions = now;
    }
    three.delete(&daemon, &mut daemon.rpc().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_answered_just_before_the_kill_is_known_when_shared_memory_goes_later() {
    let mut daemon = Daemon::start();
    for round in 0..5 {
        let id = id_of(&daemon.rpc().await.put(Tier::Ram, &bytes(round)).await.unwrap());
        // Its row may be written by now or not.
        daemon.restart();
        daemon.kill();
        unlink_shm(&daemon.setup().prefix);
        daemon.start_again();
        let mut rpc = daemon.rpc().await;
        fails(rpc.lease(id.clone()).await, Code::DataLoss, Reason::BytesLost);
        rpc.delete(id, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_records_alone_nothing_is_deleted_and_deleting_leaves_nothing() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let three = Three::put(&mut rpc).await;
    let waiting = rpc.allocate(Tier::Disk, 1000).await.unwrap();
    daemon.kill();
    let only_copy = format!("/{}-{}", daemon.setup().prefix, name_of(&id_of(&three.ram)));
    unlink_page(&daemon, "-records");
    daemon.start_again();
    // What it can't count it does not serve; what may be all that is left of something it does not delete.
    assert_eq!(payload_objects(&daemon).into_iter().collect::<Vec<_>>(), [only_copy]);
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.descriptor(id_of(&waiting)).await.unwrap().state(), PayloadState::Allocated);
    rpc.delete(id_of(&waiting), false).await.unwrap();
    three.without_ram(&mut rpc).await;
    three.delete(&daemon, &mut rpc).await;
}

fn unlink_page(daemon: &Daemon, ending: &str) {
    let pages: Vec<String> = daemon.shm().into_iter().filter(|name| name.contains(ending)).collect();
    assert!(!pages.is_empty(), "no {ending} in {:?}", daemon.shm());
    assert!(pages.iter().all(|name| object::unlink(name).unwrap()));
}

async fn renew(rpc: &mut Rpc, lease: &AcquireReadLeaseResponse) -> bool {
    let request = RenewLeaseRequest { lease_id: lease.lease_id.clone(), min_lease_duration_ms: 0 };
    rpc.data.renew_lease(request).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_directory_it_makes_another_and_every_lease_lives_on() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let three = Three::put(&mut rpc).await;
    let lease = rpc.lease(id_of(&three.ram)).await.unwrap();
    rpc.spill(id_of(&three.ram)).await.unwrap();
    let held = rpc.lease(id_of(&three.both)).await.unwrap();
    daemon.kill();
    unlink_page(&daemon, "-directory");
    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    for (lease, seed) in [(&lease, 1), (&held, 3)] {
        assert_eq!(v1::read(lease.payload_descriptor.as_ref().unwrap()).unwrap(), bytes(seed), "the leased copy stays");
        assert!(renew(&mut rpc, lease).await, "a lease is lost");
    }
    fails(rpc.delete(id_of(&three.both), false).await, Code::Aborted, Reason::Leased);
    for (descriptor, seed) in [(&three.ram, 1), (&three.disk, 2), (&three.both, 3)] {
        assert_eq!(rpc.get(id_of(descriptor)).await.unwrap(), bytes(seed));
        assert!(rpc.descriptor(id_of(descriptor)).await.unwrap().version >= descriptor.version);
    }
    rpc.release(&lease).await.unwrap();
    rpc.release(&held).await.unwrap();
    three.delete(&daemon, &mut rpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_lease_pages_the_leases_are_over_and_the_payloads_are_not() {
    let mut daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let three = Three::put(&mut rpc).await;
    let lease = rpc.lease(id_of(&three.ram)).await.unwrap();
    daemon.kill();
    unlink_page(&daemon, "-lease");
    daemon.start_again();
    let mut rpc = daemon.rpc().await;
    assert!(!renew(&mut rpc, &lease).await);
    assert_eq!(rpc.get(id_of(&three.ram)).await.unwrap(), bytes(1));
    three.delete(&daemon, &mut rpc).await;
}
