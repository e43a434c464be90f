//! Clients of the first version, as they are in the field: they know the names and numbers of that version and nothing
//! that came later, open the locations themselves, and must keep working.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod client;
mod messages;
mod python;

use client::V1;
use payload_manager_tests::{Setup, Wire, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_v1_client_lives_its_whole_life_over_the_unix_socket() {
    let daemon = Setup::new().start();
    let own = daemon.shm();
    V1::new(daemon.wire().await).whole_life().await;
    eventually("nothing is left of it", || daemon.shm() == own && daemon.disk_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v1_client_lives_its_whole_life_over_tcp() {
    let daemon = Setup::new().flag("listen", "127.0.0.1:0").start();
    let own = daemon.shm();
    V1::new(Wire::tcp(daemon.tcp().unwrap()).await).whole_life().await;
    eventually("nothing is left of it", || daemon.shm() == own && daemon.disk_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v1_client_finds_its_payloads_again_after_the_daemon_was_killed() {
    let mut daemon = Setup::new().start();
    let before = V1::new(daemon.wire().await);
    let (ram, disk) = (before.put(messages::RAM, 1).await, before.put(messages::DISK, 2).await);
    daemon.restart();
    let after = V1::new(daemon.wire().await);
    after.check(&ram, 1).await;
    after.check(&disk, 2).await;
}
