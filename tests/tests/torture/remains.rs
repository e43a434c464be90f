//! What there was before anybody came, and that there is no more of it once all have gone (promise: no-leak).

use std::collections::BTreeSet;

use payload_manager_client::{Client, DataPath};
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, eventually};

/// A daemon that nobody has asked for anything yet.
pub(crate) struct Before {
    shm: BTreeSet<String>,
    descriptors: usize,
}

/// How many there are open, those on the catalog aside: it keeps a few connections to itself once it had a use for them.
fn descriptors(daemon: &Daemon) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let at = open.flatten().filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    at.filter(|path| !path.to_string_lossy().contains("/catalog.")).count()
}

async fn is_empty(daemon: &Daemon) {
    let rpc = &daemon.rpc().await;
    eventually_async("nothing is counted: no lease, no session, no backlog, no byte", || async {
        let stats = rpc.clone().stats().await.unwrap();
        let free = stats.tiers.iter().all(|tier| tier.free_bytes == tier.capacity_bytes);
        let payloads = stats.payloads_ram + stats.payloads_disk;
        free && (payloads, stats.live_leases, stats.sessions, stats.backlog_blocks, stats.backlog_bytes)
            == (0, 0, 0, 0, 0)
    })
    .await;
}

impl Before {
    /// Once a client has come and gone: what is opened once stays open.
    pub(crate) async fn of(daemon: &Daemon) -> Self {
        let shm = daemon.shm();
        let client = Client::connect(daemon.socket()).await.unwrap();
        assert_eq!(client.path().await, DataPath::Session);
        let id = client.create(4096).await.unwrap().commit().await.unwrap().id;
        client.spill(id).await.unwrap();
        client.delete(id).await.unwrap();
        drop(client);
        is_empty(daemon).await;
        eventually("only its own objects are left", || daemon.shm() == shm);
        Self { shm, descriptors: descriptors(daemon) }
    }

    /// What nobody has deleted is, and then all is as it was; after one more start, too.
    pub(crate) async fn is_all_there_is(&self, mut daemon: Daemon) {
        let mut rpc = daemon.rpc().await;
        for payload in rpc.list().await.unwrap() {
            let (rpc, id) = (&rpc, &payload.id.unwrap());
            // Leases of callers that were killed run out first; and what has a time to live may go by itself.
            eventually_async("it can be deleted", || async {
                let deleted = rpc.clone().delete(id.clone(), false).await;
                deleted.is_ok() || rpc.clone().descriptor(id.clone()).await.is_err()
            })
            .await;
        }
        drop(rpc);
        self.is_all(&daemon).await;
        let fds = |daemon: &Daemon| descriptors(daemon) <= self.descriptors;
        eventually("no descriptor is left open", || fds(&daemon));
        assert_eq!(daemon.stop().code(), Some(0));
        daemon.start_again();
        self.is_all(&daemon).await;
    }

    async fn is_all(&self, daemon: &Daemon) {
        is_empty(daemon).await;
        eventually("only its own objects are left", || daemon.shm() == self.shm);
        eventually("no file is left", || daemon.disk_files().is_empty());
    }
}
