//! The daemon as the image starts it: without a right, on a root that is read only, found well by its own question; and
//! killed under a client that holds what it reads.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use payload_manager_api::admin::v1::ListLeasesRequest;
use payload_manager_api::core::v1::PayloadId;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Rpc, skip};

use crate::client::Elsewhere;
use crate::file::{USER, missing};
use crate::pod::Pod;

/// What `/proc` says of a process after this word.
fn facts(pid: Pid, word: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

fn is_confined(pid: Pid) {
    let user = vec![USER.to_string(); 4];
    assert_eq!((facts(pid, "Uid:"), facts(pid, "Gid:")), (user.clone(), user));
    assert!(facts(pid, "Groups:").is_empty());
    for rights in ["CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(facts(pid, rights), ["0000000000000000"], "{rights}");
    }
    assert_eq!(facts(pid, "NoNewPrivs:"), ["1"]);
    assert_eq!(facts(pid, "NSpid:").last().unwrap(), "1", "it is the first process in there");
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mut roots = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[4] == "/");
    assert!(roots.next_back().unwrap()[5].split(',').any(|option| option == "ro"), "{mounts}");
}

/// Who is listed as holding a payload: sessions by number, 0 for a call.
async fn holders(rpc: &mut Rpc, id: &PayloadId) -> Vec<u64> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListLeasesRequest { id: Some(id.clone()), page_token, ..Default::default() };
        let page = rpc.admin.list_leases(request).await.unwrap().into_inner();
        found.extend(page.leases.into_iter().map(|lease| lease.session_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

async fn live_through_a_kill() {
    let pod = Pod::new();
    let daemon = pod.start();
    is_confined(daemon.pid);
    assert!(pod.is_well());
    assert!(!pod.shared_memory().is_empty(), "it has its memory where its container has it");
    let mut client = Elsewhere::start(&pod);
    let (held, other) = (client.made(), client.made());
    let mut rpc = Rpc::unix(&pod.socket()).await;
    let before = holders(&mut rpc, &held).await;
    assert!(before.len() == 1 && before[0] != 0, "{before:?}");
    // From here on it is read from a file, through the volume of the data.
    rpc.spill(other.clone()).await.unwrap();

    daemon.end(Signal::SIGKILL);
    assert!(!pod.is_well(), "nobody is there");
    let daemon = pod.start();
    is_confined(daemon.pid);
    assert!(pod.is_well());
    let mut rpc = Rpc::unix(&pod.socket()).await;
    assert_eq!(holders(&mut rpc, &held).await, before);

    client.go_on();
    let third = client.made();
    assert_eq!(holders(&mut rpc, &held).await, before);
    let listed = pod.run(&["/usr/local/bin/payloadctl", "sessions"]);
    assert!(listed.status.success(), "{listed:?}");
    drop(client);
    let asked = &rpc;
    eventually_async("what it held is free", || async {
        holders(&mut asked.clone(), &held).await.is_empty() && asked.clone().stats().await.unwrap().sessions == 0
    })
    .await;
    for id in [held, other, third] {
        rpc.delete(id, false).await.unwrap();
    }
    // The first process of a container ignores what it does not ask for.
    assert!(daemon.end(Signal::SIGTERM).success());
    let data = "/var/lib/payload-manager";
    let wiped = pod.run(&["/usr/local/bin/payload-manager", "wipe", "--yes", "--data-dir", data]);
    assert!(wiped.status.success(), "{wiped:?}");
    assert_eq!(pod.shared_memory(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_elsewhere_keeps_its_lease_while_the_daemon_in_the_image_is_killed_and_comes_back() {
    if let Some(missing) = missing() {
        let name = "a_client_elsewhere_keeps_its_lease_while_the_daemon_in_the_image_is_killed_and_comes_back";
        return skip(name, &missing);
    }
    live_through_a_kill().await;
}
