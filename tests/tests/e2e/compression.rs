//! Copies in OBJECT that are compressed: nobody who goes through the daemon notices, and what lies beside them says so.

use std::fs;
use std::path::PathBuf;

use payload_manager_api::catalog::v1::CompressionType;
use payload_manager_api::convert;
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::Code;

use crate::rebuild::{lose_the_catalog, rebuild, said, uri_of};
use crate::verify::verify;

/// Several blocks that shrink.
fn text() -> Vec<u8> {
    (0u32..700_000).flat_map(|n| (n / 7).to_le_bytes()).collect()
}

fn on(compression: &str) -> Setup {
    Setup::new().with_object_folder().flag("object-compression", compression)
}

async fn far(rpc: &mut Rpc, bytes: &[u8]) -> PayloadId {
    let id = id_of(&rpc.put(Tier::Disk, bytes).await.unwrap());
    rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    id
}

fn object(daemon: &Daemon, id: &PayloadId, end: &str) -> PathBuf {
    let name = uuid::Uuid::from_slice(&id.value).unwrap();
    daemon.setup().object_folder().join(format!("{name}.{end}"))
}

fn stored(daemon: &Daemon, id: &PayloadId) -> usize {
    fs::metadata(object(daemon, id, "bin")).unwrap().len().try_into().unwrap()
}

/// What the archive says of the object beside it.
fn compression(daemon: &Daemon, id: &PayloadId) -> (i32, u64) {
    let archive = convert::from_json(&fs::read(object(daemon, id, "meta.json")).unwrap()).unwrap();
    archive.compression.map_or((0, 0), |found| (found.r#type, found.block_size))
}

const LZ4: (i32, u64) = (CompressionType::CompressionLz4 as i32, 1 << 20);

#[tokio::test(flavor = "multi_thread")]
async fn what_shrinks_is_compressed_and_comes_back_and_what_does_not_is_left_as_it_is() {
    let mut daemon = on("lz4").start();
    let mut rpc = daemon.rpc().await;
    let (text, noise) = (text(), v1::pattern(1, 3 << 20));
    let (small, same) = (far(&mut rpc, &text).await, far(&mut rpc, &noise).await);
    assert!(stored(&daemon, &small) < text.len() / 2);
    assert_eq!(stored(&daemon, &same), noise.len());
    assert_eq!((compression(&daemon, &small), compression(&daemon, &same)), (LZ4, (0, 0)));

    // By a daemon that compresses no more, and after something was said.
    assert!(daemon.stop().success());
    daemon.change(|setup| setup.flag("object-compression", "none"));
    daemon.start_again();
    rpc = daemon.rpc().await;
    rpc.say(&small, &same, "something").await;
    assert!(daemon.stop().success());
    assert_eq!(compression(&daemon, &small), LZ4, "written anew, and still true");
    lose_the_catalog(&daemon);
    let places = [daemon.setup().disk_root().display().to_string(), uri_of(&daemon.setup().object_folder())];
    let rebuilt = rebuild(daemon.setup(), &places);
    assert!(said(&rebuilt).contains("2 payloads") && said(&rebuilt).contains("0 left"), "{}", said(&rebuilt));
    daemon.start_again();
    rpc = daemon.rpc().await;
    for (id, bytes) in [(small, text), (same, noise)] {
        let descriptor = rpc.promote(id.clone(), Tier::Ram).await.unwrap();
        assert_eq!(descriptor.size_bytes, bytes.len() as u64);
        assert!(rpc.get(id).await.unwrap() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoilt_in_a_compressed_object_is_found_and_written_anew_or_known_to_be_lost() {
    let daemon = on("lz4").start();
    let mut rpc = daemon.rpc().await;
    let (kept, lost) = (far(&mut rpc, &text()).await, far(&mut rpc, &text()).await);
    rpc.promote(kept.clone(), Tier::Disk).await.unwrap();
    for id in [&kept, &lost] {
        let path = object(&daemon, id, "bin");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xff);
        fs::write(&path, bytes).unwrap();
    }
    let found = verify(&daemon, &["--repair"]);
    assert!(said(&found).contains("2 are bad (1 written anew)"), "{}", said(&found));
    assert_eq!(
        (compression(&daemon, &kept), stored(&daemon, &kept)),
        ((0, 0), text().len()),
        "verify compresses if it is told to"
    );
    let refused = rpc.promote(lost, Tier::Ram).await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused}");
    assert!(rpc.get(kept).await.unwrap() == text());
}
