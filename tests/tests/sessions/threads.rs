//! Threads of one client, over the client crate: they share its session, and a restart of the daemon stops none of them.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use payload_manager_api::core::v1::Tier;
use payload_manager_client::blocking::{Client, PayloadView};
use payload_manager_client::{DataPath, PayloadId};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Setup, eventually, v1};

use crate::client::{backlog_is_empty, plain, sessions_are};

const THREADS: usize = 8;
const RESTARTS: usize = 3;
const LENGTH: usize = 100_000;
/// What each thread does between two restarts, at least.
const TURNS: usize = 30;

/// Reads what all read, with one view held all the time, and makes, reads and deletes some of its own.
fn work(client: &Client, shared: PayloadId, bytes: &[u8], kept: &PayloadView, seed: u64) {
    assert!(kept.is_valid() && **kept == *bytes);
    // A call that finds no daemon may fail; what was read must be right.
    if let Ok(view) = client.read(shared) {
        assert!(*view == *bytes);
    }
    let Ok(mut payload) = client.create(LENGTH as u64) else { return };
    let own = v1::pattern(seed, LENGTH);
    payload.copy_from_slice(&own);
    let Ok(made) = payload.commit() else { return };
    if let Ok(view) = client.read(made.id) {
        let zeros = view.iter().filter(|byte| **byte == 0).count();
        assert!(*view == *own, "{zeros} zeros, valid {}: {:?}", view.is_valid(), view.descriptor());
    }
    eventually("it can be deleted", || {
        client.delete(made.id).is_ok() || client.resolve(made.id).is_err_and(|e| !e.is_retryable())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_threads_of_one_client_carry_on_over_restarts_of_the_daemon() {
    // What was allocated for somebody who never heard of it goes after a while.
    let mut daemon = Setup::new().flag("allocation-timeout", "2s").start();
    let own = daemon.shm();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, LENGTH);
    let wire_id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let shared = plain(&wire_id);
    let client = Client::connect(daemon.socket()).unwrap();
    assert_eq!(client.path(), DataPath::Session);
    let (turns, lives, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (client, bytes, turns, lives, start) = (client.clone(), &bytes, &turns, &lives, &start);
            scope.spawn(move || {
                let kept = client.read(shared).unwrap();
                start.wait();
                for turn in 0.. {
                    work(&client, shared, bytes, &kept, (thread * 1_000_000 + turn) as u64);
                    turns.fetch_add(1, Ordering::Relaxed);
                    if lives.load(Ordering::Relaxed) > RESTARTS {
                        break;
                    }
                }
                // Its daemon is not the one that it was read from, and it is the same lease.
                assert!(kept.is_valid() && *kept == **bytes);
            });
        }
        start.wait();
        for _ in 0..=RESTARTS {
            let before = turns.load(Ordering::Relaxed);
            eventually("they work", || turns.load(Ordering::Relaxed) > before + THREADS * TURNS);
            if lives.fetch_add(1, Ordering::Relaxed) < RESTARTS {
                daemon.restart();
            }
        }
    });
    assert_eq!(client.path(), DataPath::Session);
    drop(client);
    let mut rpc = daemon.rpc().await;
    let now = &rpc;
    eventually_async("all can be deleted", || async {
        let left = now.clone().list().await.unwrap();
        for payload in &left {
            // Its producer may not have heard that it is committed.
            let _ = now.clone().delete(payload.id.clone().unwrap(), false).await;
        }
        left.is_empty()
    })
    .await;
    backlog_is_empty(&mut rpc).await;
    sessions_are(&daemon, &rpc, 0).await;
    eventually("nothing else is left", || daemon.shm() == own);
}
