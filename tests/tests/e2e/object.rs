//! The OBJECT tier in a folder and on a server that speaks S3: what goes there comes back or is known to be bad (promise:
//! verified-tiers), what is uploaded there is taken in, and whose it is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use payload_manager_api::Reason;
use payload_manager_api::core::v1::payload_descriptor::Location;
use payload_manager_api::core::v1::{EvictionPolicy, PayloadDescriptor, PayloadState, Tier};
use payload_manager_api::reason::detail;
use payload_manager_api::runtime::v1::{AllocatePayloadRequest, ImportPayloadRequest};
use payload_manager_client::{Client, ReadOptions};
use payload_manager_tests::moto::{BUCKET, Moto};
use payload_manager_tests::proxy::{Fault, Proxy};
use payload_manager_tests::remains::files_under;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::wait::eventually_async;
use payload_manager_tests::{Daemon, Rpc, Setup, v1};
use tonic::{Code, Status};

const MIB: usize = 1 << 20;

fn objects(daemon: &Daemon) -> BTreeSet<PathBuf> {
    files_under(&daemon.setup().object_folder()).into_iter().collect()
}

fn reason(status: &Status) -> (Code, Option<Reason>) {
    (status.code(), detail(status).and_then(|told| told.known()))
}

fn uri(descriptor: &PayloadDescriptor) -> &str {
    match descriptor.location.as_ref() {
        Some(Location::Disk(disk)) => &disk.path,
        other => panic!("no URI: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_object_comes_back_and_nothing_of_it_is_left() {
    let mut daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    // More than a part of an upload, and not a multiple of anything.
    let bytes = v1::pattern(1, 20 * MIB + 13);
    for tier in [Tier::Ram, Tier::Disk] {
        let id = id_of(&rpc.put(tier, &bytes).await.unwrap());
        let far = rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
        assert_eq!(
            (far.tier(), far.state(), &*far.copies),
            (Tier::Object, PayloadState::Durable, &[Tier::Object as i32][..])
        );
        assert!(uri(&far).starts_with("file:///") && uri(&far).ends_with(".bin"), "{far:?}");
        assert_eq!(objects(&daemon).len(), 3, "bytes, metadata, marker");
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes, "from its URI, under a lease");

        daemon.restart();
        rpc = daemon.rpc().await;
        assert_eq!(rpc.descriptor(id.clone()).await.unwrap().tier(), Tier::Object);
        assert_eq!(rpc.promote(id.clone(), Tier::Ram).await.unwrap().tier(), Tier::Ram);
        assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes, "promoted");
        rpc.delete(id, false).await.unwrap();
        eventually_async("the objects are gone", || async { objects(&daemon).len() == 1 }).await;
    }
    let stats = rpc.stats().await.unwrap();
    let object = stats.tiers.iter().find(|tier| tier.tier() == Tier::Object).unwrap();
    assert!(object.unlimited && stats.payloads_object == 0, "{stats:?}");
}

async fn to_upload(rpc: &mut Rpc, size: usize) -> (PayloadDescriptor, PathBuf) {
    let request =
        AllocatePayloadRequest { size_bytes: size as u64, preferred_tier: Tier::Object as i32, ..Default::default() };
    let answer = rpc.catalog.allocate_payload(request).await.unwrap().into_inner();
    let path = PathBuf::from(answer.object_upload_path.strip_prefix("file://").unwrap());
    (answer.payload_descriptor.unwrap(), path)
}

async fn import(rpc: &mut Rpc, of: &PayloadDescriptor, size: usize) -> Result<(), Status> {
    let request = ImportPayloadRequest { id: of.payload_id.clone(), size_bytes: size as u64 };
    rpc.catalog.import_payload(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_uploaded_is_imported_if_it_is_there_with_that_size() {
    let mut daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(2, MIB + 1);
    let (allocated, path) = to_upload(&mut rpc, bytes.len()).await;
    assert_eq!(
        (allocated.state(), allocated.tier(), &allocated.location),
        (PayloadState::Allocated, Tier::Object, &None)
    );

    daemon.restart();
    rpc = daemon.rpc().await;
    let mismatch = (Code::FailedPrecondition, Some(Reason::ImportMismatch));
    let missing = import(&mut rpc, &allocated, bytes.len()).await.unwrap_err();
    assert_eq!(reason(&missing), mismatch, "{missing}");
    std::fs::write(&path, &bytes[1..]).unwrap();
    for size in [bytes.len(), bytes.len() - 1] {
        let wrong = import(&mut rpc, &allocated, size).await.unwrap_err();
        assert_eq!(reason(&wrong), mismatch, "{wrong}");
    }
    std::fs::write(&path, &bytes).unwrap();
    import(&mut rpc, &allocated, bytes.len()).await.unwrap();
    let again = import(&mut rpc, &allocated, bytes.len()).await.unwrap_err();
    assert_eq!(reason(&again), (Code::FailedPrecondition, Some(Reason::AlreadyCommitted)), "{again}");

    let imported = rpc.descriptor(id_of(&allocated)).await.unwrap();
    assert_eq!((imported.state(), imported.tier()), (PayloadState::Durable, Tier::Object));
    assert!(imported.integrity.is_some() && path.with_extension("meta.json").exists());
    rpc.promote(id_of(&allocated), Tier::Ram).await.unwrap();
    assert_eq!(rpc.get(id_of(&allocated)).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_never_imported_goes_with_its_allocation() {
    let daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let (allocated, path) = to_upload(&mut rpc, 5).await;
    std::fs::write(&path, "hello").unwrap();
    rpc.delete(id_of(&allocated), false).await.unwrap();
    eventually_async("the upload is gone", || async { !path.exists() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_what_is_only_in_object_brings_it_to_disk() {
    let daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(3, MIB);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    let client = Client::connect(daemon.socket()).await.unwrap();
    let name = id.clone().try_into().unwrap();
    let view = client.read(name).await.unwrap();
    assert_eq!((*view == *bytes, view.descriptor().tier), (true, payload_manager_client::Tier::Disk));
    let in_ram = ReadOptions { min_tier: Some(payload_manager_client::Tier::Ram), ..ReadOptions::default() };
    let view = client.read_with(name, in_ram).await.unwrap();
    assert_eq!((*view == *bytes, view.descriptor().tier), (true, payload_manager_client::Tier::Ram));
    let copies = rpc.descriptor(id).await.unwrap().copies;
    assert_eq!(copies, [Tier::Ram as i32, Tier::Disk as i32, Tier::Object as i32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_gone_or_changed_is_data_loss_and_is_kept_for_a_look() {
    let daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(4, MIB);
    let mut spoilt = bytes.clone();
    spoilt[MIB / 2] ^= 1;
    let spoils: [&dyn Fn(&PathBuf); 3] =
        [&|path| std::fs::write(path, &spoilt).unwrap(), &|path| std::fs::write(path, &bytes[1..]).unwrap(), &|path| {
            std::fs::remove_file(path).unwrap()
        }];
    for (spoil, expected) in spoils.into_iter().zip([Reason::ChecksumMismatch, Reason::BytesLost, Reason::BytesLost]) {
        let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
        let far = rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
        spoil(&PathBuf::from(uri(&far).strip_prefix("file://").unwrap()));
        let lost = rpc.promote(id.clone(), Tier::Ram).await.unwrap_err();
        assert_eq!(reason(&lost), (Code::DataLoss, Some(expected)), "{lost}");
        assert_eq!(rpc.descriptor(id.clone()).await.unwrap().copies.len(), 0, "listed, without a copy");
        rpc.delete(id, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_on_one_prefix_are_refused_and_so_is_another_prefix_for_what_is_known() {
    let mut daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let store = format!("file://{}", daemon.setup().object_folder().display());
    let refused = Setup::new().flag("object-store", &store).try_start().unwrap_err();
    assert_eq!(refused.code, Some(3), "{}", refused.log);
    assert!(refused.log.contains("is marked as instance"), "{}", refused.log);

    let id = id_of(&rpc.put(Tier::Ram, b"somewhere").await.unwrap());
    rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    daemon.kill();
    daemon.change(|setup| setup.flag("object-store", format!("{store}/elsewhere")));
    let refused = daemon.try_start_again().unwrap_err();
    assert!(refused.log.contains("knows copies there"), "{}", refused.log);
    daemon.change(|setup| setup.flag("object-store", store));
    daemon.start_again();
    assert_eq!(daemon.rpc().await.get(id).await.unwrap(), b"somewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_unavailable_and_costs_nothing_else() {
    let store = "s3://bucket/prefix?endpoint_override=127.0.0.1%3A1&scheme=http";
    let daemon = Setup::new()
        .flag("object-store", store)
        .env("AWS_ACCESS_KEY_ID", "someone")
        .env("AWS_SECRET_ACCESS_KEY", "something")
        .env("AWS_REGION", "us-east-1")
        .start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(5, MIB);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let down = rpc.spill_to(id.clone(), Tier::Object).await.unwrap_err();
    assert_eq!(reason(&down), (Code::Unavailable, Some(Reason::StoreUnavailable)), "{down}");
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes, "where it was");
    assert_eq!(rpc.spill(id.clone()).await.unwrap().tier(), Tier::Disk, "other tiers go on");
    let (allocated, _) = {
        let request =
            AllocatePayloadRequest { size_bytes: 5, preferred_tier: Tier::Object as i32, ..Default::default() };
        let answer = rpc.catalog.allocate_payload(request).await.unwrap().into_inner();
        (answer.payload_descriptor.unwrap(), answer.object_upload_path)
    };
    let down = import(&mut rpc, &allocated, 5).await.unwrap_err();
    assert_eq!(reason(&down), (Code::Unavailable, Some(Reason::StoreUnavailable)), "{down}");
}

/// The program, on a server that speaks S3.
fn on_s3(moto: &Moto, prefix: &str) -> Setup {
    at_s3(&moto.host, prefix)
}

fn at_s3(host: &str, prefix: &str) -> Setup {
    let host = host.replace(':', "%3A");
    Setup::new()
        .flag("object-store", format!("s3://{BUCKET}/{prefix}?endpoint_override={host}&scheme=http"))
        .env("AWS_ACCESS_KEY_ID", "someone")
        .env("AWS_SECRET_ACCESS_KEY", "something")
        .env("AWS_REGION", "us-east-1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_s3_takes_payloads_and_gives_them_back_after_a_kill() {
    let Some(moto) = Moto::start("a_server_that_speaks_s3_takes_payloads_and_gives_them_back_after_a_kill") else {
        return;
    };
    let mut daemon = on_s3(&moto, "some/prefix").start();
    let mut rpc = daemon.rpc().await;
    let bytes = v1::pattern(6, 20 * MIB + 13);
    let id = id_of(&rpc.put(Tier::Ram, &bytes).await.unwrap());
    let far = rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    assert!(
        uri(&far).starts_with("s3://payloads/some/prefix/") && uri(&far).contains(".bin?endpoint_override="),
        "{far:?}"
    );
    daemon.restart();
    rpc = daemon.rpc().await;
    rpc.promote(id.clone(), Tier::Ram).await.unwrap();
    assert_eq!(rpc.get(id.clone()).await.unwrap(), bytes);
    rpc.delete(id, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_said_at_start_by_name_and_the_rest_is_served() {
    let Some(moto) = Moto::start("a_bucket_that_is_not_there_is_said_at_start_by_name_and_the_rest_is_served") else {
        return;
    };
    let setup = on_s3(&moto, "prefix");
    let host = moto.host.replace(':', "%3A");
    let daemon =
        setup.flag("object-store", format!("s3://nowhere/prefix?endpoint_override={host}&scheme=http")).start();
    let line = daemon.log().text();
    assert!(line.contains("can't be used until this is put right") && line.contains("nowhere"), "{line}");
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"here").await.unwrap());
    let refused = rpc.spill_to(id.clone(), Tier::Object).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::Unavailable, Some(Reason::StoreUnavailable)), "{refused}");
    assert_eq!(rpc.get(id).await.unwrap(), b"here");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_wrong_are_said_at_start_by_that_name_and_the_rest_is_served() {
    // Whoever may not do anything is told so for every request, by S3 as by this.
    let nobody_may = Proxy::start("127.0.0.1:9", |_| Fault::Status(403));
    let daemon = at_s3(&nobody_may.host, "prefix").start();
    let line = daemon.log().text();
    assert!(line.contains("can't be used until this is put right") && line.contains("credentials"), "{line}");
    let mut rpc = daemon.rpc().await;
    let id = id_of(&rpc.put(Tier::Ram, b"here").await.unwrap());
    let refused = rpc.spill_to(id.clone(), Tier::Object).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::Unavailable, Some(Reason::StoreUnavailable)), "{refused}");
    assert!(refused.message().contains("credentials"), "{refused}");
    assert_eq!(rpc.get(id).await.unwrap(), b"here");
}

/// The README's words on a server of this test's: what is typed after the server is there.
#[test]
fn the_readmes_section_works_as_written() {
    let Some(moto) = Moto::start("the_readmes_section_works_as_written") else { return };
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("\n### Object storage\n").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let typed: Vec<&str> = block.lines().filter(|line| line.starts_with("export") || line.contains(" demo ")).collect();
    assert_eq!(typed.len(), 2, "{block}");
    let script = typed.join("\n").replace("127.0.0.1%3A5000", &moto.host.replace(':', "%3A"));
    let files = tempfile::tempdir().unwrap();
    for n in 0..5u8 {
        std::fs::write(files.path().join(n.to_string()), vec![n; 100_000]).unwrap();
    }
    let folder = payload_manager_tests::setup::program().parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let script = format!("{script} {}", files.path().display());
    let ran = std::process::Command::new("sh").args(["-ec", &script]).env("PATH", path).output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&ran.stderr), String::from_utf8_lossy(&ran.stdout));
    assert!(ran.status.success() && said.contains("Every byte was right, twice."), "{said}{told}");
    assert!(told.contains("│ promote ") && said.contains("spilled to OBJECT"), "{said}{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_and_comes_back_is_used_again_and_what_was_deleted_meanwhile_is_removed() {
    let name = "a_store_that_goes_away_and_comes_back_is_used_again_and_what_was_deleted_meanwhile_is_removed";
    let Some(moto) = Moto::start(name) else { return };
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let rule = move |_: &str| if is_down.load(Ordering::SeqCst) { Fault::CutBefore } else { Fault::Pass };
    let proxy = Proxy::start(&moto.host, rule);
    let daemon = at_s3(&proxy.host, "prefix").start();
    let mut rpc = daemon.rpc().await;
    let far = id_of(&rpc.put(Tier::Ram, b"deleted while it is down").await.unwrap());
    rpc.spill_to(far.clone(), Tier::Object).await.unwrap();
    let near = id_of(&rpc.put(Tier::Ram, b"spilled while it is down").await.unwrap());

    down.store(true, Ordering::SeqCst);
    let refused = rpc.spill_to(near.clone(), Tier::Object).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::Unavailable, Some(Reason::StoreUnavailable)), "{refused}");
    rpc.delete(far, false).await.unwrap();
    daemon.wait_for_line("what is deleted could not be removed");
    assert_eq!(rpc.get(near.clone()).await.unwrap(), b"spilled while it is down");

    down.store(false, Ordering::SeqCst);
    let again = rpc.clone();
    eventually_async("it is used again", || async {
        let moved = again.clone().spill_to(near.clone(), Tier::Object).await;
        moved.is_ok_and(|descriptor| descriptor.tier() == Tier::Object)
    })
    .await;
    eventually_async("the deleted one is gone", || async { keys(&moto) == 3 }).await;
}

/// How many objects the bucket has.
fn keys(moto: &Moto) -> usize {
    moto.listing().matches("<Key>").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_goes_to_object_where_the_policy_says_so() {
    let daemon = Setup::new().flag("disk", "4MiB").flag("high-watermark", "90").with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let policy = EvictionPolicy { spill_target: Tier::Object as i32, ..Default::default() };
    let mut ids = Vec::new();
    for seed in 0..8 {
        let preferred_tier = Tier::Disk as i32;
        let request = AllocatePayloadRequest { preferred_tier, eviction_policy: Some(policy), ..Default::default() };
        ids.push(id_of(&rpc.put_with(request, &v1::pattern(seed, MIB)).await.unwrap()));
    }
    let stats = rpc.stats().await.unwrap();
    assert!(stats.payloads_object >= 4 && stats.payloads_object + stats.payloads_disk == 8, "{stats:?}");
    for (seed, id) in (0..).zip(ids) {
        assert_eq!(rpc.get(id).await.unwrap(), v1::pattern(seed, MIB), "payload {seed}, wherever it is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_goes_from_the_store_too() {
    let daemon = Setup::new().with_object_folder().start();
    let mut rpc = daemon.rpc().await;
    let request = AllocatePayloadRequest { preferred_tier: Tier::Ram as i32, ttl_ms: 1500, ..Default::default() };
    let id = id_of(&rpc.put_with(request, b"for a moment").await.unwrap());
    rpc.spill_to(id.clone(), Tier::Object).await.unwrap();
    assert_eq!(objects(&daemon).len(), 3);
    eventually_async("its objects are gone", || async { objects(&daemon).len() == 1 }).await;
    assert_eq!(rpc.descriptor(id).await.unwrap_err().code(), Code::NotFound);
}
