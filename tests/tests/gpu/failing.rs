//! What the driver refuses: each fails what was asked for, and nothing else.

use payload_manager_api::core::v1::Tier;
use payload_manager_test_cuda::Fault;
use tonic::Code;

use crate::{MIB, Stage, card, cards};

const OUT_OF_MEMORY: i32 = 2;
const INVALID_HANDLE: i32 = 400;
const NOT_SUPPORTED: i32 = 801;
const ECC: i32 = 709;

fn always(call: &'static str, error: i32) -> Fault {
    Fault::Fail { call: Some(call), device: None, error, skip: 0, times: None }
}

#[tokio::test]
async fn a_card_that_others_have_filled_is_full_with_its_name() {
    let stage = Stage::one();
    let mut worker = stage.worker();
    stage.machine.break_it(&[always("cuMemCreate", OUT_OF_MEMORY), always("cuMemAlloc", OUT_OF_MEMORY)]);
    let why = worker.put_as(100, "any", false).unwrap_err();
    assert!(why.contains(&card(1)) && why.contains("other programs"), "{why}");
    let mut rpc = stage.daemon.rpc().await;
    let full = rpc.allocate(Tier::Gpu, 100).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted, "{full:?}");
    let in_ram = rpc.put(Tier::Ram, b"in RAM").await.unwrap();
    let id = payload_manager_tests::rpc::id_of(&in_ram);
    assert_eq!(rpc.promote(id.clone(), Tier::Gpu).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(rpc.get(id.clone()).await.unwrap(), b"in RAM");
    stage.machine.mend();
    assert_eq!(rpc.promote(id, Tier::Gpu).await.unwrap().tier, Tier::Gpu as i32);
}

#[tokio::test]
async fn a_copy_that_fails_fails_the_move_and_the_payload_stays() {
    let stage = Stage::one();
    let (mut worker, mut rpc) = (stage.worker(), stage.daemon.rpc().await);
    let id = worker.put(9 * MIB);
    for call in ["cuMemcpyDtoHAsync", "cuStreamSynchronize"] {
        stage.machine.break_it(&[always(call, INVALID_HANDLE)]);
        let failed = rpc.spill_to(id.into(), Tier::Disk).await.unwrap_err();
        assert!(failed.message().contains("CUDA_ERROR_INVALID_HANDLE"), "{failed:?}");
        stage.machine.mend();
        assert_eq!(worker.view(id), Ok(card(1)), "it is where it was");
        worker.give_back(id);
    }
    rpc.spill_to(id.into(), Tier::Disk).await.unwrap();
    stage.machine.break_it(&[always("cuMemcpyHtoDAsync", INVALID_HANDLE)]);
    rpc.promote(id.into(), Tier::Gpu).await.unwrap_err();
    stage.machine.mend();
    assert_eq!(worker.view_on_card(id), Ok(card(1)));
    worker.ask(&[&"delete", &id]).unwrap_err();
    worker.give_back(id);
    worker.ask(&[&"delete", &id]).unwrap();
    drop(worker);
    stage.is_free(0);
}

#[test]
fn memory_that_can_t_be_opened_is_the_reader_s_error() {
    let mut only = cards(1, 128 * MIB);
    only[0].vmm = false;
    let stage = Stage::new(&only, "64MiB");
    let (mut producer, mut consumer) = (stage.worker(), stage.worker());
    let id = producer.put(1000);
    stage.machine.break_it(&[always("cuIpcOpenMemHandle", INVALID_HANDLE)]);
    let why = consumer.view(id).unwrap_err();
    assert!(why.contains("CUDA_ERROR_INVALID_HANDLE") && why.contains("namespace"), "{why}");
    stage.machine.mend();
    assert_eq!(consumer.view(id), Ok(card(1)));
}

#[test]
fn a_card_without_read_only_mappings_is_read_all_the_same() {
    let stage = Stage::one();
    let (mut producer, mut consumer) = (stage.worker(), stage.worker());
    let id = producer.put(1000);
    let once =
        Fault::Fail { call: Some("cuMemSetAccess"), device: None, error: NOT_SUPPORTED, skip: 0, times: Some(1) };
    stage.machine.break_it(&[once]);
    assert_eq!(consumer.view(id), Ok(card(1)));
}

#[tokio::test]
async fn memory_of_the_host_that_can_t_be_registered_makes_copies_slower_and_nothing_else() {
    let stage = Stage::one();
    let mut worker = stage.worker();
    let id = worker.put(20 * MIB);
    stage.machine.break_it(&[always("cuMemHostRegister", NOT_SUPPORTED)]);
    stage.daemon.rpc().await.spill_to(id.into(), Tier::Ram).await.unwrap();
    assert_eq!(worker.view(id), Ok("the host".to_owned()));
}

#[tokio::test]
async fn a_daemon_whose_card_fails_in_the_middle_serves_the_rest() {
    let stage = Stage::one();
    let (mut worker, mut rpc) = (stage.worker(), stage.daemon.rpc().await);
    let id = worker.put(20 * MIB);
    let later = Fault::Fail { call: Some("cuMemcpyDtoHAsync"), device: None, error: ECC, skip: 2, times: None };
    stage.machine.break_it(&[later]);
    let failed = rpc.spill_to(id.into(), Tier::Disk).await.unwrap_err();
    assert_eq!(failed.code(), Code::DataLoss, "{failed:?}");
    assert_eq!(rpc.lease(id.into()).await.unwrap_err().code(), Code::DataLoss);
    let in_ram = rpc.put(Tier::Ram, b"in RAM").await.unwrap();
    assert_eq!(rpc.get(payload_manager_tests::rpc::id_of(&in_ram)).await.unwrap(), b"in RAM");
}
