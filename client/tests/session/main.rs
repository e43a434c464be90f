//! Payloads by way of a session: what takes no call, what is shared, and what is left when either side goes.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

mod callers;
mod calls;
#[path = "../support/fake.rs"]
#[allow(dead_code, reason = "the other test program uses the rest")]
mod fake;
#[path = "../support/fake_services.rs"]
mod fake_services;
#[path = "../support/fake_session.rs"]
mod fake_session;
mod processes;
mod restart;
mod segments;
mod views;

use fake::Fake;
use fake_session::FakeSession;
use payload_manager_client::{Client, DataPath, PayloadId};

/// A daemon that has both sockets, and a client of it.
async fn connected() -> (FakeSession, Fake, Client) {
    let fake = Fake::start();
    let session = FakeSession::start(&fake);
    let client = Client::connect(fake.socket()).await.unwrap();
    assert_eq!(client.path().await, DataPath::Session);
    (session, fake, client)
}

async fn filled(client: &Client, bytes: &[u8]) -> PayloadId {
    let mut payload = client.create(bytes.len() as u64).await.unwrap();
    payload.copy_from_slice(bytes);
    payload.commit().await.unwrap().id
}

/// Leases that were asked for by a call.
fn by_call(fake: &Fake) -> usize {
    fake.script(|script| script.leases.len())
}

/// How often this process has a payload mapped.
fn mapped(fake: &Fake, id: PayloadId) -> usize {
    let name = fake.script(|script| script.payloads[id.as_bytes().as_slice()].clone());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.trim_end_matches(" (deleted)").ends_with(&name)).count()
}

/// Gives others their turn until something is so.
async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}
