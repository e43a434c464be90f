//! Machines without a GPU, without a driver, or without the will to use them.

use std::process::Command;

use payload_manager_api::core::v1::Tier;
use payload_manager_test_cuda::{Machine, library};
use payload_manager_tests::setup::program;
use payload_manager_tests::{Daemon, Setup};
use tonic::Code;

use crate::worker::Worker;
use crate::{MIB, Stage, cards, setup};

/// It says why there is no GPU tier, refuses what asks for it, and does everything else.
async fn does_without(daemon: Daemon, reason: &str) {
    let said = daemon.wait_for_line("GPU tier not configured");
    assert!(said.contains(reason), "{said}");
    let mut rpc = daemon.rpc().await;
    assert_eq!(rpc.allocate(Tier::Gpu, 10).await.unwrap_err().code(), Code::FailedPrecondition);
    let made = rpc.put(Tier::Ram, b"in RAM").await.unwrap();
    let id = payload_manager_tests::rpc::id_of(&made);
    assert_eq!(rpc.promote(id.clone(), Tier::Gpu).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(rpc.get(id).await.unwrap(), b"in RAM");
}

#[tokio::test]
async fn without_a_driver_there_is_no_gpu_tier_and_nothing_else_changes() {
    let named = |library: &str| Setup::new().flag("gpu-memory", "64MiB").flag("cuda-driver", library).start();
    does_without(Setup::new().start(), "gpu-memory is off").await;
    does_without(named("libcuda-that-nobody-has.so.1"), "libcuda-that-nobody-has.so.1").await;
    does_without(named("libm.so.6"), "it has no cuInit").await;
    does_without(named(&library().display().to_string()), "CUDA_ERROR_NO_DEVICE").await;
}

#[tokio::test]
async fn cards_that_are_named_and_not_there_are_said() {
    let machine = Machine::new(&cards(1, 64 * MIB));
    let named = "GPU-09090909-0909-0909-0909-090909090909=32MiB";
    does_without(setup(&machine, named).start(), "there is no GPU-09090909-0909-0909-0909-090909090909").await;
    let daemon = setup(&machine, &format!("{named},{}=32MiB", crate::card(1))).start();
    assert_eq!(daemon.rpc().await.stats().await.unwrap().payloads_gpu, 0);
    daemon.wait_for_line(&format!("GPU: {}, 32.0 MiB", crate::card(1)));
}

#[test]
fn a_client_without_a_driver_is_told_so() {
    let stage = Stage::one();
    let id = stage.worker().put(1000);
    let nothing = [("PAYLOAD_MANAGER_CUDA_DRIVER", "libcuda-that-nobody-has.so.1")];
    let mut worker = Worker::start_with(&stage.daemon.socket().display().to_string(), nothing);
    for why in [worker.put_as(10, "any", false).map(drop), worker.view(id).map(drop)] {
        assert!(why.as_ref().unwrap_err().contains("CUDA driver can't be loaded"), "{why:?}");
    }
}

/// One build serves machines with and without a GPU.
#[test]
fn nothing_is_linked_to_cuda() {
    let daemon = program();
    for file in [daemon.with_file_name("payloadctl"), daemon] {
        let linked = Command::new("ldd").arg(&file).output().unwrap();
        let linked = String::from_utf8_lossy(&linked.stdout).to_lowercase();
        assert!(linked.contains("libc.so") && !linked.contains("cuda"), "{linked}");
    }
}
