//! The page of metrics: what Prometheus reads.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use payload_manager::observe::table::METRICS;
use payload_manager_tests::{Setup, skip};

use crate::scenario;

/// What a plain request for `path` is answered: the status line, and the body.
fn get(mut stream: impl std::io::Read + std::io::Write, path: &str) -> (String, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_every_metric_and_prometheus_own_tool_finds_nothing_wrong_with_it() {
    let happened = scenario::play(scenario::setup().flag("metrics-listen", "socket")).await;
    let socket = happened.daemon.setup().runtime_dir().join("metrics.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let (status, page) = get(UnixStream::connect(&socket).unwrap(), "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for metric in METRICS {
        let name = metric.prometheus();
        assert!(page.contains(&format!("# TYPE {name} {}\n", metric.kind.word())), "{name}\n{page}");
        assert!(page.contains(&format!("# HELP {name} {}\n", metric.help)), "{name}\n{page}");
    }
    let families = page.lines().filter(|line| line.starts_with("# TYPE "));
    let others: Vec<_> = families.filter(|line| !line.starts_with("# TYPE payload_")).collect();
    assert_eq!(others, ["# TYPE target_info gauge"]);
    lint(&page);
}

/// Parsed and judged by `promtool check metrics`.
fn lint(page: &str) {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = spawned else {
        return skip("the page of metrics, linted", "promtool of Prometheus is not on PATH");
    };
    tool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = tool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.is_empty(), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_on_a_loopback_port_too_and_goes_with_the_daemon() {
    let mut daemon = Setup::new().flag("metrics-listen", "127.0.0.1:0").start();
    let line = daemon.wait_for_line("metrics are at /metrics");
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let (status, page) = get(TcpStream::connect(&address).unwrap(), "/metrics");
    assert!(status.ends_with("200 OK") && page.contains("payload_catalog_available 1"), "{status}\n{page}");
    assert!(get(TcpStream::connect(&address).unwrap(), "/").0.ends_with("404 Not Found"));
    // One that stays connected keeps nobody.
    let _silent = TcpStream::connect(&address).unwrap();
    assert!(daemon.stop().success());
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn without_the_setting_there_is_none() {
    let daemon = Setup::new().start();
    assert!(!daemon.setup().runtime_dir().join("metrics.sock").exists());
}

#[test]
fn a_port_that_is_taken_ends_the_start_and_nothing_is_left() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new().flag("metrics-listen", address.as_str());
    let prefix = setup.prefix.clone();
    let refused = setup.try_start().unwrap_err();
    assert!(refused.log.contains(&address) && refused.log.contains("metrics can't be served"), "{}", refused.log);
    payload_manager_tests::remains::unlink_shm(&prefix);
}

/// Whoever connects and says nothing has a seat for a while, and no more than a few have one: the daemon's descriptors are for
/// its clients.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_says_nothing_takes_a_few_descriptors_and_goes() {
    let daemon = Setup::new().flag("metrics-listen", "socket").start();
    let socket = daemon.setup().runtime_dir().join("metrics.sock");
    let open = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let before = open();
    let crowd: Vec<UnixStream> = (0..24).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    daemon.rpc().await.stats().await.unwrap();
    assert!(open() <= before + 18, "{before} and then {}", open());
    // Behind all of them.
    let (status, _) = get(UnixStream::connect(&socket).unwrap(), "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    drop(crowd);
}
