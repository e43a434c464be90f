//! The log under somebody who makes it say one thing again and again.

use payload_manager_shm::fdpass::{SeqPacket, Wait};
use payload_manager_tests::Daemon;

#[test]
fn what_is_said_too_often_is_left_out_and_counted() {
    let daemon = Daemon::start();
    let path = daemon.setup().runtime_dir().join("session.sock");
    for _ in 0..200 {
        let socket = SeqPacket::connect(&path).unwrap();
        socket.send(b"\xff\xff", &[], Wait::Yes).unwrap();
        assert!(socket.receive(&mut [0; 64], Wait::Yes).is_err());
    }
    let line = daemon.wait_for_line("were left out");
    assert!(line.contains("session/life.rs") && line.contains("lines="), "{line}");
    let said = daemon.log().text().lines().filter(|line| line.contains("broke the rules")).count();
    assert!((1..200).contains(&said), "{said}");
}

/// A start without any setting has nothing to complain about.
#[test]
fn a_plain_start_and_stop_say_nothing_bad() {
    let mut daemon = Daemon::start();
    assert!(daemon.stop().success());
    let log = daemon.log_of_last_run();
    let bad: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ") || line.contains(" WARN ")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
