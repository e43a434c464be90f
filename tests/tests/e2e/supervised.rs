//! Under a supervisor: what it is told, and the unit for systemd.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use payload_manager_tests::Setup;
use payload_manager_tests::setup::program;

#[test]
fn a_supervisor_is_told_that_it_serves_that_it_lives_and_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("notify");
    let heard = UnixDatagram::bind(&place).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let next = || {
        let mut buffer = [0; 256];
        let length = heard.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let mut daemon = Setup::new().env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "100000").start();
    assert_eq!(next(), "READY=1");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    assert!(daemon.stop().success());
    let rest: Vec<String> = std::iter::repeat_with(next).take_while(|said| said != "STOPPING=1").collect();
    assert!(rest.iter().all(|said| said == "WATCHDOG=1"), "{rest:?}");
}

/// Sections and keys of a unit, in their order.
fn unit() -> Vec<(String, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/systemd/payload-manager.service");
    let text = std::fs::read_to_string(path).unwrap();
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(named) => named.clone_into(&mut section),
            None => {
                let (key, value) = line.split_once('=').unwrap();
                found.push((section.clone(), key.to_owned(), value.to_owned()));
            }
        }
    }
    found
}

#[test]
fn the_unit_for_systemd_says_what_the_program_knows() {
    let unit = unit();
    let value = |key: &str| unit.iter().find(|(_, found, _)| found == key).map(|(.., value)| value.as_str());
    let names: BTreeSet<&str> = unit.iter().map(|(_, key, _)| key.as_str()).collect();
    assert_eq!(names.len(), unit.len(), "a key twice");
    assert_eq!((value("Type"), value("RemoveIPC")), (Some("notify"), Some("no")));
    assert_eq!(value("RestartPreventExitStatus"), Some("2 3"));
    let words: Vec<&str> = value("ExecStart").unwrap().split(' ').collect();
    assert_eq!(words[..2], ["/usr/local/bin/payload-manager", "serve"]);
    // The same settings, asked of the program.
    let output = Command::new(program()).arg("config").args(&words[2..]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for folder in ["/run/payload-manager", "/var/lib/payload-manager"] {
        assert!(said.contains(folder), "{said}");
    }
}
