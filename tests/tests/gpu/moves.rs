//! Between a card and the other tiers.

use payload_manager_api::core::v1::Tier;
use payload_manager_test_cuda::Fault;
use payload_manager_tests::eventually;

use crate::{MIB, Stage, card, cards, setup};

#[tokio::test]
async fn bytes_go_down_and_up_and_stay_the_same() {
    let stage = Stage::one();
    let (mut worker, mut rpc) = (stage.worker(), stage.daemon.rpc().await);
    for bytes in [1, 70_000, 9 * MIB + 3, 33 * MIB] {
        let id = worker.put(bytes);
        let there = |tier| async move { tier };
        for tier in [Tier::Ram, Tier::Disk] {
            let spilled = rpc.spill_to(id.into(), there(tier).await).await.unwrap();
            assert_eq!((spilled.tier, spilled.copies.len()), (tier as i32, 1), "{bytes} bytes");
            assert_eq!(worker.view(id), Ok("the host".to_owned()));
            worker.give_back(id);
            assert_eq!(worker.view_on_card(id), Ok(card(1)), "a reader who wants it there has it there");
            worker.give_back(id);
            let promoted = rpc.descriptor(id.into()).await.unwrap();
            assert_eq!(promoted.copies, [Tier::Gpu as i32, tier as i32], "the slower copy stays");
            assert!(promoted.integrity.is_some());
        }
        worker.ask(&[&"delete", &id]).unwrap();
    }
    drop(worker);
    stage.is_free(0);
}

/// As where each worker of a machine has a card of its own.
#[tokio::test]
async fn what_a_reader_asks_for_comes_to_a_card_that_it_may_see() {
    let stage = Stage::new(&cards(3, 256 * MIB), "64MiB");
    let mut rpc = stage.daemon.rpc().await;
    let (mut first, mut third) = (stage.worker_that_sees("0"), stage.worker_that_sees("2"));
    for (reader, own, other) in [(&mut first, 1, 3), (&mut third, 3, 1)] {
        for bytes in [100, 20 * MIB] {
            let id = stage.worker().put_as(bytes, &card(2), false).unwrap();
            assert_eq!(reader.view_on_card(id), Ok(card(own)), "what lies in a slab elsewhere is set apart here");
            reader.give_back(id);
            rpc.spill_to(id.into(), Tier::Ram).await.unwrap();
            assert_eq!(reader.view_on_card(id), Ok(card(own)));
            reader.give_back(id);
        }
        // One that names a card has it there, or nowhere.
        let id = stage.worker().put_as(5, &card(2), false).unwrap();
        rpc.spill_to(id.into(), Tier::Ram).await.unwrap();
        let mut anywhere = stage.worker();
        assert_eq!(anywhere.ask(&[&"view", &id, &card(other)]), Ok(card(other)));
    }
    // One copy on cards is all there is: who can't see it is told so.
    let id = first.put(10);
    assert_eq!(third.view_on_card(id), Ok(card(3)));
    third.give_back(id);
    let refused = first.view_on_card(id).unwrap_err();
    assert!(refused.contains(&card(3)) && refused.contains("CUDA_VISIBLE_DEVICES"), "{refused}");
    rpc.spill_to(id.into(), Tier::Ram).await.unwrap();
    let refused = first.ask(&[&"view", &id, &card(9)]).unwrap_err();
    assert!(refused.contains("none of its cards is there for this program"), "{refused}");
}

#[tokio::test]
async fn a_full_card_makes_room_as_policy_says() {
    let stage = Stage::new(&cards(1, 256 * MIB), "64MiB");
    let mut worker = stage.worker();
    let ids: Vec<_> = (0..8).map(|_| worker.put(20 * MIB)).collect();
    let stats = stage.daemon.rpc().await.stats().await.unwrap();
    assert!(stats.bytes_gpu <= 64 * MIB && stats.bytes_disk >= 80 * MIB, "{stats:?}");
    for id in ids {
        worker.view(id).unwrap();
        worker.give_back(id);
    }
    let why = worker.put_as(65 * MIB, "any", false).unwrap_err();
    assert!(why.contains("GPU") && why.contains("64"), "{why}");
}

#[tokio::test]
async fn what_must_outlive_the_daemon_is_copied_as_soon_as_it_is_committed() {
    let eager = |machine: &_| setup(machine, "128MiB").flag("gpu-eager-copy", "ram");
    let mut stage = Stage::with(&cards(1, 256 * MIB), eager);
    let mut worker = stage.worker();
    let (durable, usual) = (worker.put_as(9000, "any", true).unwrap(), worker.put(9000));
    let mut rpc = stage.daemon.rpc().await;
    for (id, tier) in [(durable, Tier::Disk), (usual, Tier::Ram)] {
        let mut copies = Vec::new();
        while copies != [Tier::Gpu as i32, tier as i32] {
            copies = rpc.descriptor(id.into()).await.unwrap().copies;
            tokio::task::yield_now().await;
        }
        assert!(!rpc.descriptor(id.into()).await.unwrap().dies_with_daemon);
    }
    stage.daemon.kill();
    stage.daemon.start_again();
    for id in [durable, usual] {
        eventually("the worker is back", || worker.view(id) == Ok("the host".to_owned()));
    }
}

#[tokio::test]
async fn a_slow_card_slows_nobody_else() {
    let stage = Stage::one();
    let mut worker = stage.worker();
    let id = worker.put(8 * MIB);
    stage.machine.break_it(&[Fault::Slow { device: None, bytes_per_second: 2 * MIB }]);
    let mut rpc = stage.daemon.rpc().await;
    let mut other = stage.daemon.rpc().await;
    let spill = tokio::spawn(async move { rpc.spill_to(id.into(), Tier::Disk).await });
    let mut shown = 0;
    while shown != payload_manager_api::core::v1::PayloadState::Spilling as i32 {
        shown = other.descriptor(id.into()).await.unwrap().state;
        tokio::task::yield_now().await;
    }
    let in_ram = other.put(Tier::Ram, b"meanwhile").await.unwrap();
    assert_eq!(other.get(payload_manager_tests::rpc::id_of(&in_ram)).await.unwrap(), b"meanwhile");
    assert!(!spill.is_finished());
    stage.machine.mend();
    assert_eq!(spill.await.unwrap().unwrap().tier, Tier::Disk as i32);
    assert_eq!(worker.view(id), Ok("the host".to_owned()));
}
