//! What other processes have of a session (a forked child: nothing), and that the hot path asks the kernel for nothing.

use std::process::Command;

use payload_manager_client::{DataPath, Error, PayloadId, blocking};
use payload_manager_shm::forked;

use super::fake::Fake;
use super::fake_session::FakeSession;

fn connected() -> (FakeSession, Fake, blocking::Client) {
    let fake = Fake::start();
    let session = FakeSession::start(&fake);
    let client = blocking::Client::connect(fake.socket()).unwrap();
    assert_eq!(client.path(), DataPath::Session);
    (session, fake, client)
}

fn filled(client: &blocking::Client, bytes: &[u8]) -> PayloadId {
    let mut payload = client.create(bytes.len() as u64).unwrap();
    payload.copy_from_slice(bytes);
    payload.commit().unwrap().id
}

#[test]
fn a_forked_child_has_no_lease_of_its_parents_and_a_session_of_its_own() {
    let (session, _fake, client) = connected();
    let id = filled(&client, b"hello");
    let (mut view, mut payload) = (Some(client.read(id).unwrap()), Some(client.create(5).unwrap()));
    let mut client = Some(client);
    let well = forked::in_a_child(|| {
        let (view, payload, client) = (view.take().unwrap(), payload.take().unwrap(), client.take().unwrap());
        assert!(!view.is_valid() && view.renew().is_err() && view.time_left().is_zero());
        assert_eq!(&*view, b"hello", "the mapping is the child's too");
        let own = client.read(id).unwrap();
        assert!(own.is_valid() && *own == *b"hello" && !view.is_valid());
        let again = client.read(id).unwrap();
        assert!(std::ptr::eq(&*own, &*again) && !std::ptr::eq(&*own, &*view));
        assert_eq!(client.path(), DataPath::Session);
        drop(client.create(5).unwrap());
        let made = filled(&client, b"child");
        assert_eq!(&*client.read(made).unwrap(), b"child");
        assert!(payload.commit().is_err(), "it is the parent's");
        assert!(matches!(client.get(id), Err(Error::Unreachable { .. })), "calls are the parent's");
        drop((own, again, view, client));
    });
    assert!(well.unwrap());
    // The child's were copies; ours are as they were.
    session.wait_for("hang-up", 1);
    assert_eq!((session.asked("hello"), session.asked("abort"), session.live()), (2, 1, 1));
    assert!(view.is_some_and(|view| view.is_valid()) && payload.is_some() && client.is_some());
}

#[test]
fn what_a_child_drops_stays_its_parents() {
    let (session, fake, client) = connected();
    let id = filled(&client, b"hello");
    let view = client.read(id).unwrap();
    let (of_child, client_of_child) = (view.clone(), client.clone());
    assert!(forked::in_a_child(move || drop((of_child, client_of_child))).unwrap());
    assert!(view.is_valid() && session.live() == 1);
    assert_eq!(&*client.read(id).unwrap(), b"hello");
    assert_eq!((session.asked("hello"), fake.script(|script| script.leases.len())), (1, 0));
}

/// Where the traced child says that its loop begins and ends.
const BEGIN: &str = "/pm-test-begin";
const END: &str = "/pm-test-end";
const TRACED: &str = "PM_TEST_TRACED";

#[test]
fn reading_what_is_mapped_makes_no_system_call() {
    if std::env::var_os(TRACED).is_some() {
        return hot_loop();
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "processes::reading_what_is_mapped_makes_no_system_call"])
        .env(TRACED, "1")
        .output();
    let Ok(traced) = traced else { return skipped("there is no strace") };
    let trace = std::fs::read_to_string(&trace).unwrap_or_default();
    if trace.is_empty() {
        return skipped("strace may not trace here");
    }
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stdout));
    let begin = trace.lines().find(|line| line.contains(BEGIN)).unwrap();
    let thread = begin.split_whitespace().next().unwrap();
    let own = trace.lines().filter(|line| line.split_whitespace().next() == Some(thread));
    // A call that others interrupt has a second line, its end: it is counted by its first.
    let began = own.skip_while(|line| !line.contains(BEGIN)).skip(1);
    let calls: Vec<_> = began.filter(|line| !line.contains(" resumed>")).collect();
    assert!(calls.first().is_some_and(|line| line.contains(END)), "{:?}", calls.first());
}

fn skipped(missing: &str) {
    let name = "reading_what_is_mapped_makes_no_system_call";
    assert!(std::env::var_os("PAYLOAD_MANAGER_NO_SKIP").is_none(), "{name} may not be skipped: {missing}");
    eprintln!("skipped {name}: {missing}");
}

/// Takes a lease, asks, prolongs, and gives it back, while another view has the bytes mapped.
fn hot_loop() {
    let (session, _fake, client) = connected();
    let id = filled(&client, b"hello");
    let kept = client.read(id).unwrap();
    let turn = || {
        let view = client.read(id).unwrap();
        assert!(view.is_valid() && view[0] == b'h');
    };
    (0..100).for_each(|_| turn());
    let _ = std::fs::metadata(BEGIN);
    (0..10_000).for_each(|_| turn());
    let _ = std::fs::metadata(END);
    assert!(kept.is_valid() && session.live() == 1);
}
