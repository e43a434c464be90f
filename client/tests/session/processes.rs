//! What other processes have of a session (a forked child: nothing), and that the hot path asks the kernel for nothing.

use std::process::Command;

use payload_manager_client::{DataPath, Error, PayloadId, blocking};
use payload_manager_shm::forked;

use super::fake::Fake;
use super::fake_session::FakeSession;
use super::segments::details;

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

#[test]
fn a_forked_child_maps_segments_by_a_session_of_its_own() {
    let (session, _fake, client) = connected();
    let ids = [filled(&client, b"hello"), filled(&client, b"other")];
    session.move_into(ids[0], 1, 0, &details());
    session.move_into(ids[1], 1, 8192, &details());
    let view = client.read(ids[0]).unwrap();
    let (of_child, client_of_child) = (view.clone(), client.clone());
    let well = forked::in_a_child(move || {
        assert_eq!((of_child.is_valid(), &*of_child), (false, &b"hello"[..]));
        let own = client_of_child.read(ids[1]).unwrap();
        let again = client_of_child.read(ids[0]).unwrap();
        assert!(own.is_valid() && *own == *b"other" && *again == *b"hello" && !std::ptr::eq(&*again, &*of_child));
        drop((of_child, own, again, client_of_child));
    });
    assert!(well.unwrap());
    session.wait_for("hang-up", 1);
    assert_eq!((session.asked("hello"), session.asked("segments"), session.live()), (2, 2, 1));
    assert!(view.is_valid() && *view == *b"hello" && *client.read(ids[1]).unwrap() == *b"other");
    assert_eq!(session.asked("segments"), 2, "what the child asked for is the child's");
}

#[test]
fn taking_sharing_renewing_and_giving_back_allocates_nothing() {
    let (session, _fake, client) = connected();
    let (in_segment, in_object) = (filled(&client, b"hello"), filled(&client, b"hello"));
    session.move_into(in_segment, 1, 4096, &details());
    // A thread's first lease allocates, as does mapping: a block is mapped while a view has it.
    let kept = client.read(in_object).unwrap();
    let turns = || {
        for id in [in_segment, in_object].iter().cycle().take(100) {
            let view = client.read(*id).unwrap();
            let other = view.clone();
            drop(view);
            assert!(other.is_valid() && other.renew().is_ok() && !other.time_left().is_zero() && other[0] == b'h');
            assert!(other.release().is_ok());
        }
    };
    turns();
    let counted = allocation_counter::measure(turns);
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    let asked = allocation_counter::measure(|| drop(client.read(in_segment).unwrap().descriptor().clone()));
    assert!(asked.count_total > 0, "what is asked for beyond that is counted, so that nothing else is missed");
    drop(kept);
    assert_eq!(session.live(), 0);
}

#[test]
fn the_lease_of_a_view_and_its_clones_ends_with_the_last_of_them_wherever_that_is() {
    let (session, _fake, client) = connected();
    let id = filled(&client, b"hello");
    session.move_into(id, 1, 4096, &details());
    for _ in 0..100 {
        let view = client.read(id).unwrap();
        std::thread::scope(|scope| {
            for clone in (0..3).map(|_| view.clone()) {
                scope.spawn(move || drop((clone.clone(), clone)));
            }
        });
        assert_eq!((session.live(), view.is_valid()), (1, true));
        let other = view.clone();
        drop(view);
        assert_eq!((session.live(), other.is_valid()), (1, true));
        drop(other);
        assert_eq!(session.live(), 0);
    }
}

/// Where the traced child says that its loop begins and ends.
const BEGIN: &str = "/pm-test-begin";
const END: &str = "/pm-test-end";
const TRACED: &str = "PM_TEST_TRACED";

#[test]
fn reading_what_is_mapped_makes_no_system_call() {
    traced("reading_what_is_mapped_makes_no_system_call", |client, _| {
        let id = filled(client, b"hello");
        (vec![id], client.read(id).unwrap())
    });
}

#[test]
fn reading_from_a_mapped_segment_makes_no_system_call_though_nobody_has_the_payload_open() {
    let name = "reading_from_a_mapped_segment_makes_no_system_call_though_nobody_has_the_payload_open";
    traced(name, |client, session| {
        let ids: Vec<_> = (0..50).map(|_| filled(client, b"hello")).collect();
        for (at, id) in (0u64..).zip(&ids) {
            session.move_into(*id, 1 + u32::try_from(at % 3).unwrap(), 4096 * at, &details());
        }
        // With a lease to see to, the session's thread is not woken by another.
        let other = filled(client, b"hello");
        (ids, client.read(other).unwrap())
    });
}

/// Runs the test `name` once more, under a tracer, where it reads in a loop what `prepared` gives: payloads that begin with
/// an h, and a view to be kept meanwhile.
fn traced(
    name: &str,
    prepared: impl FnOnce(&blocking::Client, &FakeSession) -> (Vec<PayloadId>, blocking::PayloadView),
) {
    if std::env::var_os(TRACED).is_some() {
        return hot_loop(prepared);
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("processes::{name}")])
        .env(TRACED, "1")
        .output();
    let Ok(traced) = traced else { return skipped(name, "there is no strace") };
    let trace = std::fs::read_to_string(&trace).unwrap_or_default();
    if trace.is_empty() {
        return skipped(name, "strace may not trace here");
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

fn skipped(name: &str, missing: &str) {
    assert!(std::env::var_os("PAYLOAD_MANAGER_NO_SKIP").is_none(), "{name} may not be skipped: {missing}");
    eprintln!("skipped {name}: {missing}");
}

/// Takes a lease, asks, and gives it back.
fn hot_loop(prepared: impl FnOnce(&blocking::Client, &FakeSession) -> (Vec<PayloadId>, blocking::PayloadView)) {
    let (session, _fake, client) = connected();
    let (ids, kept) = prepared(&client, &session);
    let turn = |id: &PayloadId| {
        let view = client.read(*id).unwrap();
        assert!(view.is_valid() && view[0] == b'h');
    };
    ids.iter().cycle().take(100).for_each(turn);
    // The session's thread has answered twice since: so it has seen to the first lease, which wakes it.
    filled(&client, b"other");
    let _ = std::fs::metadata(BEGIN);
    ids.iter().cycle().take(10_000).for_each(turn);
    let _ = std::fs::metadata(END);
    assert_eq!((kept.is_valid(), session.live()), (true, 1));
}
