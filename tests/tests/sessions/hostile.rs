//! Clients that break the rules: they harm themselves.

mod forks;
mod kernel;
mod limits;
mod spoilt;

use std::collections::VecDeque;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};
use payload_manager_api::Reason;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_api::session::v1::{Abort, Hello, Open, Request, request::Verb, response::Outcome};
use payload_manager_shm::LAYOUT;
use payload_manager_shm::fdpass::{FrameError, SeqPacket, Wait};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Setup, eventually, v1};
use prost::Message as _;
use tonic::Code;

use crate::client::{Client, Peer, backlog_is_empty, session_socket, sessions_are, why};

fn request(verb: Verb) -> Vec<u8> {
    Request { number: 1, verb: Some(verb), ..Request::default() }.encode_to_vec()
}

fn hello() -> Verb {
    Verb::Hello(Hello { layouts: vec![LAYOUT], ..Hello::default() })
}

/// How many descriptors the daemon has open; `None` where that can't be seen.
fn descriptors(daemon: &Daemon) -> Option<usize> {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).ok().map(Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_end_the_connection_and_leak_nothing() {
    let daemon = Daemon::start();
    let rpc = daemon.rpc().await;
    drop(Client::of(&daemon));
    sessions_are(&daemon, &rpc, 0).await;
    let before = descriptors(&daemon);
    let id = PayloadId { value: vec![1; 16] };
    let whole = request(hello());
    let frames: [Vec<u8>; 6] = [
        vec![0xff; 100],
        whole[..whole.len() - 1].to_vec(),
        Request { number: 1, ..Request::default() }.encode_to_vec(),
        request(Verb::Open(Open { ids: vec![id.clone()] })),
        vec![0; 64 * 1024],
        Vec::new(),
    ];
    for frame in &frames {
        let peer = Peer::of(&daemon);
        raw(&peer.socket, frame);
        peer.wait_for_hang_up();
    }
    let stuffing = File::open("/dev/null").unwrap();
    for count in [1, 64] {
        let peer = Peer::of(&daemon);
        let stuffed: Vec<BorrowedFd<'_>> = (0..count).map(|_| stuffing.as_fd()).collect();
        peer.socket.send(&whole, &stuffed, Wait::Yes).unwrap();
        peer.wait_for_hang_up();
    }
    for again in [request(hello()), request(Verb::Open(Open { ids: vec![id.clone(); 65] })), vec![7; 70_000]] {
        let client = Client::of(&daemon);
        raw(&client.peer.socket, &again);
        client.peer.wait_for_hang_up();
        eventually("its page is closed", || !client.table.is_open());
    }
    sessions_are(&daemon, &rpc, 0).await;
    eventually("no descriptor is leaked", || descriptors(&daemon) <= before);
}

/// Sends bytes that our own end would not send.
fn raw(socket: &SeqPacket, bytes: &[u8]) {
    let sent = sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(bytes)], &[], MsgFlags::MSG_NOSIGNAL, None);
    assert!(sent.is_ok() || sent == Err(Errno::EMSGSIZE) || sent == Err(Errno::EPIPE), "{sent:?}");
    if sent == Err(Errno::EMSGSIZE) {
        panic!("the kernel takes frames of {} bytes elsewhere", bytes.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sessions_and_no_more_and_ten_thousand_connections_starve_nobody() {
    let daemon = Setup::new().flag("sessions-per-uid", "3").start();
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, &v1::pattern(1, 4096)).await.unwrap());
    let clients = [Client::of(&daemon), Client::of(&daemon), Client::of(&daemon)];
    let refused = Peer::of(&daemon).hello().err().unwrap();
    assert_eq!((refused.code(), why(&refused)), (Code::ResourceExhausted, Some(Reason::SessionLimit)));
    let mut crowd = VecDeque::new();
    for _ in 0..10_000 {
        crowd.push_back(SeqPacket::connect(&session_socket(&daemon)).unwrap());
        if crowd.len() > 200 {
            crowd.pop_front();
        }
    }
    for client in &clients {
        let lease = client.take(&id);
        assert_eq!(client.map(&id).len(), 4096, "who is in is served");
        drop(lease);
    }
    assert_eq!(rpc.stats().await.unwrap().sessions, 3);
    drop((crowd, clients));
    sessions_are(&daemon, &rpc, 0).await;
    let back = || matches!(Peer::of(&daemon).ask(hello()), Ok((Outcome::Welcome(_), _)));
    eventually("others come in again", back);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_is_not_spoken_is_refused_and_the_connection_goes_on() {
    let daemon = Daemon::start();
    let peer = Peer::of(&daemon);
    let (outcome, _) = peer.ask(Verb::Hello(Hello { layouts: vec![LAYOUT + 1000], ..Hello::default() })).unwrap();
    assert!(format!("{outcome:?}").contains("LAYOUT_NOT_SHARED"), "{outcome:?}");
    assert!(peer.hello().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_hung_up_on() {
    let daemon = Daemon::start();
    let rpc = daemon.rpc().await;
    let (deaf, other) = (Client::of(&daemon), Client::of(&daemon));
    let ids = vec![PayloadId { value: vec![1; 16] }; 50];
    for (verb, what) in [(Verb::Open(Open { ids: ids.clone() }), "at once"), (Verb::Abort(Abort { ids }), "later")] {
        let client = if what == "at once" { &deaf } else { &Client::of(&daemon) };
        let ended = (0..1_000_000).find_map(|_| client.peer.socket.send(&request(verb.clone()), &[], Wait::Yes).err());
        assert!(matches!(ended, Some(FrameError::HungUp)), "{what}: {ended:?}");
    }
    assert!(other.table.is_open() && other.commit(&[])[..].is_empty());
    drop((deaf, other));
    sessions_are(&daemon, &rpc, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_all_over_a_page_harms_its_writer_alone() {
    let daemon = Setup::new().flag("lease-max", "1s").flag("lease-default", "1s").start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(1, 1 << 20);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let (bad, good) = (Client::of(&daemon), Client::of(&daemon));
    let length = bad.page.metadata().unwrap().len();
    for seed in 0..20 {
        bad.page.write_all_at(&v1::pattern(seed, usize::try_from(length).unwrap()), 0).unwrap();
        let lease = good.take(&id);
        assert_eq!(&good.map(&id)[..], &bytes[..]);
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
        rpc.spill(id.clone()).await.unwrap();
        rpc.promote(id.clone(), Tier::Ram).await.unwrap();
        drop(lease);
    }
    // Cut short under the daemon's feet.
    bad.page.set_len(0).unwrap();
    rpc.spill(id.clone()).await.unwrap();
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    drop(bad);
    let (now, named) = (&rpc, &id);
    eventually_async("it can be deleted", || async { now.clone().delete(named.clone(), false).await.is_ok() }).await;
    drop(good);
    backlog_is_empty(&mut rpc).await;
    sessions_are(&daemon, &rpc, 0).await;
}
