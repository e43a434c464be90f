//! Payloads written on a card by one process and read by another, in place.

use std::process::Command;

use payload_manager_client::PayloadId;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::skip;
use payload_manager_types::DeviceUuid;

use crate::worker::{APART, Worker};
use crate::{MIB, Stage, card, cards};

#[test]
fn what_one_process_writes_on_a_card_another_reads_there() {
    let stage = Stage::one();
    let (mut producer, mut consumer) = (stage.worker(), stage.worker());
    for bytes in [1, 4096, MIB, 20 * MIB + 5] {
        let id = producer.put(bytes);
        assert_eq!(consumer.view(id), Ok(card(1)), "{bytes} bytes");
        assert_eq!(consumer.look(id), Ok(true));
        consumer.give_back(id);
        producer.ask(&[&"delete", &id]).unwrap();
    }
    drop((producer, consumer));
    stage.is_free(0);
}

#[test]
fn cards_that_pass_no_descriptors_are_opened_by_handles() {
    let mut only = cards(1, 128 * MIB);
    only[0].vmm = false;
    let stage = Stage::new(&only, "64MiB");
    let (mut producer, mut consumer) = (stage.worker(), stage.worker());
    for bytes in [100, 20 * MIB] {
        let id = producer.put(bytes);
        assert_eq!(consumer.view(id), Ok(card(1)));
    }
    drop((producer, consumer));
}

#[tokio::test]
async fn who_speaks_plain_grpc_has_allocations_of_its_own_by_handle() {
    let stage = Stage::one();
    let (mut plain, mut session) = (stage.plain(), stage.worker());
    let (own, shared) = (plain.put(1000), session.put(1000));
    assert_eq!(session.view(own), Ok(card(1)), "a session opens both");
    assert_eq!(plain.view(shared), Ok(card(1)), "it is set apart for it");
    let mut rpc = stage.daemon.rpc().await;
    for id in [own, shared] {
        let lease = rpc.lease(id.into()).await.unwrap();
        let descriptor = lease.payload_descriptor.clone().unwrap();
        let Some(payload_manager_api::core::v1::payload_descriptor::Location::Gpu(at)) = &descriptor.location else {
            panic!("{descriptor:?}")
        };
        assert_eq!((at.ipc_handle.len(), at.offset_bytes, at.length_bytes, at.slab_id), (72, 0, 1000, 0));
        let size = i64::from_le_bytes(at.ipc_handle[..8].try_into().unwrap());
        assert_eq!((size, at.segment_bytes), (2 << 20, 2 << 20), "no two payloads share a block of the driver's");
        assert_eq!(DeviceUuid::try_from(at.device_uuid.as_slice()).unwrap(), DeviceUuid([1; 16]));
        assert!(descriptor.dies_with_daemon);
        rpc.release(&lease).await.unwrap();
    }
    let made = rpc.allocate(payload_manager_api::core::v1::Tier::Gpu, 10).await.unwrap();
    assert!(made.dies_with_daemon, "that is said at allocation");
    rpc.delete(id_of(&made), false).await.unwrap();
    for id in [own, shared] {
        rpc.delete(id.into(), true).await.unwrap();
    }
    drop((plain, session));
    stage.is_free(0);
}

#[test]
fn descriptors_need_no_namespace_in_common_and_handles_do() {
    let may = Command::new("unshare").args(APART).args(["--", "true"]).output();
    if !may.is_ok_and(|done| done.status.success()) {
        return skip("descriptors_need_no_namespace_in_common_and_handles_do", "unshare of namespaces");
    }
    let stage = Stage::one();
    let (mut producer, mut plain) = (stage.worker(), stage.plain());
    let (in_slab, own) = (producer.put(5000), plain.put(5000));
    let mut contained = Worker::contained(&stage.daemon.socket().display().to_string(), &stage.machine);
    assert_eq!(contained.view(in_slab), Ok(card(1)));
    let why = contained.view(own).unwrap_err();
    assert!(why.contains("CUDA_ERROR_INVALID_HANDLE") && why.contains("namespace"), "{why}");
    let made = contained.put(300);
    assert_eq!((producer.view(made), contained.look(in_slab)), (Ok(card(1)), Ok(true)));
}

#[test]
fn the_host_can_t_map_what_is_on_a_card_and_is_told_what_to_do() {
    let stage = Stage::one();
    let mut worker = stage.worker();
    let id = worker.put(1000);
    let why = worker.ask(&[&"host", &id]).unwrap_err();
    assert!(why.contains("on_device") && why.contains("Spill"), "{why}");
    worker.ask(&[&"spill", &id, &"ram"]).unwrap();
    assert_eq!(worker.ask(&[&"host", &id]), Ok("1000".to_owned()));
}

#[test]
fn a_lease_keeps_the_bytes_on_the_card_whatever_becomes_of_the_payload() {
    let stage = Stage::one();
    let (mut producer, mut consumer) = (stage.worker(), stage.worker());
    let (moved, deleted): (PayloadId, PayloadId) = (producer.put(3000), producer.put(3000));
    for id in [moved, deleted] {
        consumer.view(id).unwrap();
    }
    assert!(producer.ask(&[&"delete", &deleted]).is_err(), "it is leased");
    producer.ask(&[&"spill", &moved, &"disk"]).unwrap();
    let mut others: Vec<PayloadId> = (0..50).map(|_| producer.put(3000)).collect();
    assert_eq!((consumer.look(moved), consumer.look(deleted)), (Ok(true), Ok(true)));
    assert_eq!(producer.view(moved), Ok("the host".to_owned()), "new readers go where it is now");
    consumer.kill();
    others.push(deleted);
    for id in others {
        payload_manager_tests::eventually("who died holds nothing", || producer.ask(&[&"delete", &id]).is_ok());
    }
    drop(producer);
    stage.is_free(0);
}

#[tokio::test]
async fn a_thousand_payloads_leave_no_memory_behind() {
    let stage = Stage::one();
    let mut worker = stage.worker();
    for round in 0..20 {
        let ids: Vec<PayloadId> = (0..50).map(|n| worker.put(1 + n * 7000 + round)).collect();
        for id in ids {
            worker.ask(&[&"delete", &id]).unwrap();
        }
    }
    let given_up = worker.ask(&[&"allocate", &5000, &"any", &false]).unwrap();
    worker.ask(&[&"abort", &given_up]).unwrap();
    let left_open = worker.ask(&[&"allocate", &5000, &"any", &false]).unwrap();
    assert!(!left_open.is_empty());
    drop(worker);
    stage.is_free(0);
    let stats = stage.daemon.rpc().await.stats().await.unwrap();
    assert_eq!((stats.payloads_gpu, stats.bytes_gpu), (0, 0));
}
