//! What goes with the daemon, and with a card.

use payload_manager_api::core::v1::Tier;
use payload_manager_test_cuda::Fault;
use payload_manager_tests::eventually;
use payload_manager_types::DeviceUuid;
use tonic::Code;

use crate::{MIB, Stage, card, cards};

#[tokio::test]
async fn memory_of_a_card_goes_with_the_daemon_and_what_has_a_copy_lives_on() {
    let mut stage = Stage::one();
    let mut worker = stage.worker();
    let (only, copied, open) = (worker.put(5000), worker.put(5000), worker.put(5000));
    let mut rpc = stage.daemon.rpc().await;
    rpc.spill_to(copied.into(), Tier::Ram).await.unwrap();
    rpc.promote(copied.into(), Tier::Gpu).await.unwrap();
    let before = rpc.descriptor(only.into()).await.unwrap();
    assert!(before.dies_with_daemon && !rpc.descriptor(copied.into()).await.unwrap().dies_with_daemon);
    let allocated = worker.ask(&[&"allocate", &100, &"any", &false]).unwrap();
    worker.view(open).unwrap();
    stage.daemon.kill();
    stage.daemon.start_again();

    let mut rpc = stage.daemon.rpc().await;
    for id in [only, open] {
        assert_eq!(rpc.lease(id.into()).await.unwrap_err().code(), Code::DataLoss);
    }
    let after = rpc.descriptor(only.into()).await.unwrap();
    assert!(after.version > before.version && after.copies.is_empty(), "{after:?}");
    assert_eq!(rpc.get(copied.into()).await.unwrap().len(), 5000);
    eventually("the view knows", || worker.ask(&[&"valid", &open]) == Ok("false".to_owned()));
    assert!(worker.ask(&[&"commit", &allocated]).is_err());
    assert_eq!(rpc.list().await.unwrap().len(), 3, "lost ones stay listed until they are deleted");
    worker.give_back(open);
    for id in [only, open] {
        rpc.delete(id.into(), false).await.unwrap();
    }
    assert_eq!(worker.view_on_card(copied), Ok(card(1)), "the card serves on");
    worker.give_back(copied);
    rpc.delete(copied.into(), false).await.unwrap();
    drop(worker);
    stage.is_free(0);
}

#[tokio::test]
async fn a_lost_card_takes_its_copies_and_nothing_else() {
    let stage = Stage::new(&cards(2, 128 * MIB), "64MiB");
    let [first, second] = [1, 2].map(|number| DeviceUuid([number; 16]).to_string());
    let mut worker = stage.worker();
    let only = worker.put_as(5000, &first, false).unwrap();
    let copied = worker.put_as(5000, &first, false).unwrap();
    let elsewhere = worker.put_as(5000, &second, false).unwrap();
    assert_eq!((worker.view(only), worker.view(elsewhere)), (Ok(first.clone()), Ok(second.clone())));
    worker.give_back(only);
    let mut rpc = stage.daemon.rpc().await;
    rpc.spill_to(copied.into(), Tier::Disk).await.unwrap();
    rpc.promote(copied.into(), Tier::Gpu).await.unwrap();
    stage.machine.break_it(&[Fault::lost(0, 46)]);

    stage.daemon.wait_for_line("a GPU is lost");
    let mut lost = rpc.lease(only.into()).await;
    while lost.is_ok() {
        lost = rpc.lease(only.into()).await;
    }
    assert_eq!(lost.unwrap_err().code(), Code::DataLoss);
    assert_eq!(rpc.get(copied.into()).await.unwrap().len(), 5000, "it is served from DISK");
    assert_eq!(worker.look(elsewhere), Ok(true), "the other card serves on");
    assert_eq!(worker.put_as(100, &second, false).map(drop), Ok(()));
    let why = worker.put_as(100, &first, false).unwrap_err();
    assert!(why.contains("GPU"), "{why}");
    rpc.delete(only.into(), false).await.unwrap();
}
