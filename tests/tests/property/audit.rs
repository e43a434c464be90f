//! Everything there is to see, held against the model; and the ends of the daemon's lives.

use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::runtime::v1::{GetPayloadRequest, ReleaseLeaseRequest};
use payload_manager_tests::crash::Dice;
use payload_manager_tests::crash::machine::payload_objects;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{eventually, v1};
use tonic::Code;

use super::model::World;

impl World {
    /// Kills the daemon or stops it in order, and starts it again.
    pub(super) async fn start_again(&mut self, dice: &mut Dice) {
        if dice.one_in(2) {
            self.daemon.kill();
        } else {
            assert_eq!(self.daemon.stop().code(), Some(0));
        }
        self.daemon.start_again();
        self.rpc = self.daemon.rpc().await;
    }

    /// Looks at everything.
    pub(super) async fn audit(&mut self) {
        self.look_at_the_whole().await;
        for at in 0..self.model.payloads.len() {
            self.look_at_payload(at).await;
            self.look_at_catalog(at).await;
        }
        let named: std::collections::BTreeSet<Vec<u8>> =
            self.model.edges.iter().flat_map(|(child, parent, _)| [child.clone(), parent.clone()]).collect();
        for value in named {
            self.look_at_lineage(&PayloadId { value }).await;
        }
        for id in self.model.gone.clone().into_iter().rev().take(5) {
            assert_eq!(self.rpc.descriptor(id).await.unwrap_err().code(), Code::NotFound);
        }
        self.look_at_streams().await;
    }

    /// The listing, and the counters.
    async fn look_at_the_whole(&mut self) {
        let listed = self.rpc.list().await.unwrap();
        let newest_first = self.model.payloads.iter().rev().map(|p| (p.id.clone(), p.leases.len()));
        let told = listed.iter().map(|s| (s.id.clone().unwrap(), s.active_leases as usize));
        assert_eq!(told.collect::<Vec<_>>(), newest_first.collect::<Vec<_>>());
        let stats = self.rpc.stats().await.unwrap();
        let of = |tier: Tier| self.model.payloads.iter().filter(move |p| p.tier() == tier);
        let bytes = |tier| of(tier).map(|p| p.size as u64).sum::<u64>();
        assert_eq!((stats.payloads_ram, stats.bytes_ram), (of(Tier::Ram).count() as u64, bytes(Tier::Ram)));
        assert_eq!((stats.payloads_disk, stats.bytes_disk), (of(Tier::Disk).count() as u64, bytes(Tier::Disk)));
        let leases: usize = self.model.payloads.iter().map(|p| p.leases.len()).sum();
        assert_eq!(stats.live_leases, leases as u64);
    }

    async fn look_at_payload(&mut self, at: usize) {
        let request = GetPayloadRequest { id: Some(self.model.payloads[at].id.clone()) };
        let found = self.rpc.catalog.get_payload(request).await.unwrap().into_inner();
        let descriptor = found.payload_descriptor.unwrap();
        let payload = &mut self.model.payloads[at];
        payload.shown(&descriptor, false);
        assert_eq!((found.pinned, found.active_leases as usize), (payload.pinned, payload.leases.len()));
        assert!(v1::read(&descriptor).unwrap() == payload.bytes(), "{:?}: other bytes", payload.id);
    }

    /// Deletes everything; then nothing is left.
    pub(super) async fn end(mut self) {
        // Those that a forced delete has ended, too: their memory is kept until they are given back.
        let held = self.model.payloads.iter_mut().flat_map(|payload| payload.leases.drain(..));
        for lease_id in held.chain(self.model.over.drain(..)) {
            let request = ReleaseLeaseRequest { lease_id: Some(lease_id) };
            self.rpc.data.release_lease(request).await.unwrap();
        }
        while let Some(payload) = self.model.payloads.pop() {
            self.rpc.delete(payload.id, false).await.unwrap();
        }
        self.look_at_the_whole().await;
        let rpc = self.rpc.clone();
        eventually_async("nothing waits for leases", || {
            let mut rpc = rpc.clone();
            async move { rpc.stats().await.unwrap().backlog_blocks == 0 }
        })
        .await;
        eventually("no bytes are left", || {
            payload_objects(&self.daemon).is_empty() && self.daemon.disk_files().is_empty()
        });
        assert_eq!(self.daemon.stop().code(), Some(0));
    }
}
