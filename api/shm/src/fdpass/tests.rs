//! Frames that are whole, cut off, over-stuffed, unread; and that no descriptor stays behind in any case.
//!
//! Descriptors are told apart by the file that they are open on, as other tests of this process open some of their own.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::*;

/// A file of its own to be passed around, and how many descriptors of this process are open on it.
struct Passed(tempfile::NamedTempFile);

impl Passed {
    fn new() -> Self {
        Self(tempfile::NamedTempFile::new().unwrap())
    }

    fn open(&self) -> usize {
        let ours = self.0.as_file().metadata().unwrap();
        let here = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let same = here.filter_map(|item| fs::metadata(item.path()).ok());
        same.filter(|other| (other.dev(), other.ino()) == (ours.dev(), ours.ino())).count()
    }
}

fn pair() -> (SeqPacket, SeqPacket) {
    SeqPacket::pair().unwrap()
}

/// As many descriptors as a hostile peer likes, past our own limit.
fn stuff(from: &SeqPacket, bytes: &[u8], passed: &Passed, count: usize) {
    let raw = vec![passed.0.as_file().as_raw_fd(); count];
    let rights = [ControlMessage::ScmRights(&raw)];
    sendmsg::<UnixAddr>(from.socket.as_raw_fd(), &[IoSlice::new(bytes)], &rights, MsgFlags::empty(), None).unwrap();
}

#[test]
fn a_frame_arrives_whole_with_its_descriptors_in_order() {
    let (a, b) = pair();
    let passed = Passed::new();
    let null = File::open("/dev/null").unwrap();
    a.send(b"hello", &[passed.0.as_file().as_fd(), null.as_fd()], Wait::Yes).unwrap();
    a.send(&vec![7; MOST_BYTES], &[], Wait::Yes).unwrap();
    let mut room = vec![0; MOST_BYTES];
    let mut frame = b.receive(&mut room, Wait::Yes).unwrap();
    assert_eq!((&room[..frame.length], frame.descriptors.len(), passed.open()), (&b"hello"[..], 2, 2));
    let flags = fcntl(&frame.descriptors[0], FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
    File::from(frame.descriptors.remove(0)).write_all(b"through").unwrap();
    assert_eq!(fs::read(passed.0.path()).unwrap(), b"through");
    drop(frame);
    assert_eq!(passed.open(), 1);
    let frame = b.receive(&mut room, Wait::Yes).unwrap();
    assert_eq!((frame.length, frame.descriptors.len(), room[MOST_BYTES - 1]), (MOST_BYTES, 0, 7));
}

#[test]
fn what_can_not_be_sent_is_refused_before_it_is_tried() {
    let (a, _b) = pair();
    let null = File::open("/dev/null").unwrap();
    assert!(matches!(a.send(&[], &[], Wait::Yes), Err(FrameError::Length)));
    assert!(matches!(a.send(&vec![0; MOST_BYTES + 1], &[], Wait::Yes), Err(FrameError::Length)));
    let many = vec![null.as_fd(); MOST_DESCRIPTORS + 1];
    assert!(matches!(a.send(b"x", &many, Wait::Yes), Err(FrameError::Descriptors)));
    a.send(b"x", &many[1..], Wait::Yes).unwrap();
}

#[test]
fn no_leak_a_frame_that_is_refused_leaves_no_descriptor() {
    let (a, b) = pair();
    let passed = Passed::new();
    let mut room = vec![0; 100];
    // Too long for the room, with descriptors; and a half read one is not read again.
    stuff(&a, &[1; 101], &passed, 3);
    assert!(matches!(b.receive(&mut room, Wait::Yes), Err(FrameError::Length)));
    assert_eq!(passed.open(), 1);
    // As many as the kernel lets through.
    for count in [MOST_DESCRIPTORS + 1, 253] {
        stuff(&a, b"x", &passed, count);
        assert!(matches!(b.receive(&mut room, Wait::Yes), Err(FrameError::Descriptors)), "{count}");
        assert_eq!(passed.open(), 1);
    }
    stuff(&a, b"x", &passed, MOST_DESCRIPTORS);
    assert_eq!(b.receive(&mut room, Wait::Yes).unwrap().descriptors.len(), MOST_DESCRIPTORS);
    // No bytes, but descriptors.
    stuff(&a, b"", &passed, 2);
    assert!(matches!(b.receive(&mut room, Wait::Yes), Err(FrameError::HungUp)));
    assert_eq!(passed.open(), 1);
}

#[test]
fn no_leak_frames_that_nobody_reads_go_with_the_socket() {
    let (a, b) = pair();
    let passed = Passed::new();
    for _ in 0..5 {
        stuff(&a, b"unread", &passed, 10);
    }
    let mut room = vec![0; 100];
    let read = b.receive(&mut room, Wait::Yes).unwrap();
    assert_eq!((read.descriptors.len(), passed.open()), (10, 11));
    drop((read, b));
    assert_eq!(passed.open(), 1);
    assert!(matches!(a.send(b"x", &[], Wait::Yes), Err(FrameError::HungUp)));
    assert!(matches!(a.receive(&mut room, Wait::Yes), Err(FrameError::HungUp)));
}

#[test]
fn nothing_waits_that_was_told_not_to() {
    let (a, b) = pair();
    let mut room = vec![0; MOST_BYTES];
    assert!(b.receive(&mut room, Wait::No).unwrap_err().would_block());
    b.set_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(b.receive(&mut room, Wait::Yes).unwrap_err().would_block());
    let full = loop {
        if let Err(e) = a.send(&room, &[], Wait::No) {
            break e;
        }
    };
    assert!(full.would_block());
    assert_eq!(b.receive(&mut room, Wait::Yes).unwrap().length, MOST_BYTES);
    b.set_timeout(None).unwrap();
}

#[test]
fn a_listener_knows_who_connects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.sock");
    let listener = Listener::bind(&path, 0o600).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Listener::bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let client = SeqPacket::connect(&path).unwrap();
    let server = listener.accept().unwrap();
    let peer = server.peer().unwrap();
    assert_eq!((peer.uid, peer.gid), (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()));
    assert_eq!(peer.pid, Some(std::process::id()));
    // Where the kernel knows it (Linux 6.5): the process itself, which has a number of its own in its description.
    if let Some(process) = peer.process {
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).unwrap();
        assert!(facts.lines().any(|line| line == format!("Pid:\t{}", std::process::id())), "{facts}");
    }
    client.send(b"over a path", &[], Wait::Yes).unwrap();
    assert_eq!(server.receive(&mut [0; 64], Wait::Yes).unwrap().length, 11);
    drop(client);
    assert!(matches!(server.receive(&mut [0; 64], Wait::Yes), Err(FrameError::HungUp)));
}

const FULL: &str = "PM_TEST_FULL_TABLE";

/// A child of ours, so that the limit is its alone.
#[test]
fn no_leak_a_table_of_descriptors_that_is_full_keeps_none_of_them() {
    if std::env::var_os(FULL).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fdpass::tests::no_leak_a_table_of_descriptors_that_is_full_keeps_none_of_them"])
            .env(FULL, "1")
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        return;
    }
    let (a, b) = pair();
    let passed = Passed::new();
    stuff(&a, b"x", &passed, 10);
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    let room_for_three = u64::try_from(next).unwrap() + 3;
    let (before, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, room_for_three, most).unwrap();
    let received = b.receive(&mut [0; 10], Wait::Yes);
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, before, most).unwrap();
    assert!(matches!(received, Err(FrameError::Descriptors)), "{received:?}");
    assert_eq!(passed.open(), 1);
}
