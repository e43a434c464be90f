//! `payload_manager::proto` and `payload_manager::grpc`: built, installed, moved, and used in every way that CMake has.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use payload_manager_api::core::v1::Tier;
use payload_manager_tests::rpc::id_of;
use payload_manager_tests::{Daemon, eventually};

use crate::tools::{Place, cmake, compilers, define, has_grpc, outcome, root, run, strictly};

/// Where the contract's libraries are installed, once for all tests of this process: not where the build was told to
/// install to, because a package must not know where it lies.
pub(crate) fn prefix() -> PathBuf {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(install).clone()
}

fn install() -> PathBuf {
    let place = Place::new("contract");
    let (told, moved) = (place.path.join("told"), place.path.join("moved"));
    let _ = std::fs::remove_dir_all(&moved);
    let options = [define("CMAKE_INSTALL_PREFIX", &told), define("PAYLOAD_MANAGER_GRPC", "ON")];
    let built = place.build("build", &root().join("api"), &options.each_ref().map(String::as_str));
    run(cmake().arg("--install").arg(&built));
    std::fs::rename(&told, &moved).unwrap();
    moved
}

/// Where they were built.
pub(crate) fn built() -> PathBuf {
    prefix();
    Place::new("contract").path.join("build")
}

/// The option by which find_package finds it.
fn installed() -> String {
    define("CMAKE_PREFIX_PATH", prefix())
}

#[test]
fn a_program_that_knows_the_contract_alone_shares_memory_with_the_daemon() {
    let name = "a_program_that_knows_the_contract_alone_shares_memory_with_the_daemon";
    if !has_grpc(name) {
        return;
    }
    for compiler in compilers(name) {
        let place = Place::new(&format!("grpc-{}", compiler.c));
        let options = [strictly(compiler), vec![installed()]].concat();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let life = place.build("build", &root().join("examples/grpc"), &options).join("life");
        let daemon = Daemon::start();
        let own = daemon.shm();
        let said = run(Command::new(life).arg(daemon.socket()));
        assert_eq!(said, "every byte was right\n", "{}", compiler.cxx);
        eventually("nothing is left of it", || daemon.shm() == own);
    }
}

/// A daemon with a payload on DISK, the path of its archive metadata, and its id as the tool prints it.
async fn archived() -> (Daemon, PathBuf, String) {
    let daemon = Daemon::start();
    let mut rpc = daemon.rpc().await;
    let made = rpc.put(Tier::Disk, &[7; 4097]).await.unwrap();
    let id = id_of(&made).value.iter().map(|byte| format!("{byte:02x}")).collect();
    let metadata = |file: &PathBuf| file.to_string_lossy().ends_with(".meta.json");
    let file = daemon.disk_files().into_iter().find(metadata).unwrap();
    let file = daemon.setup().disk_root().join(file);
    (daemon, file, id)
}

#[tokio::test]
async fn messages_are_linked_without_networking_however_they_are_had() {
    let name = "messages_are_linked_without_networking_however_they_are_had";
    if !has_grpc(name) {
        return;
    }
    let (source, fetched) =
        (define("PAYLOAD_MANAGER_SOURCE", root()), define("FETCHCONTENT_SOURCE_DIR_PAYLOAD_MANAGER", root()));
    let ways = [
        ("package", "examples/proto", installed()),
        ("subdirectory", "tests/cmake/subdirectory", source),
        ("fetched", "tests/cmake/fetched", fetched),
    ];
    let (_daemon, metadata, id) = archived().await;
    for (way, project, option) in ways {
        let built = Place::new(way).build("build", &root().join(project), &[&option]);
        let archive = built.join("archive");
        let said = run(Command::new(&archive).arg(&metadata));
        assert!(
            said.contains(&id) && said.contains("bytes    4097") && said.contains("HASH_XXH3_128"),
            "{way}: {said}"
        );
        let linked = run(Command::new("ldd").arg(&archive));
        assert!(linked.contains("libprotobuf") && !linked.contains("grpc"), "{way}: {linked}");
        assert_eq!(linked.contains("libpayload_manager_proto.so.0"), way == "subdirectory", "{way}: {linked}");
    }
}

/// What find_package says to a project that asks for `arguments`, with some more options.
fn asked(arguments: &str, options: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(asks LANGUAGES CXX)\nfind_package(payload_manager {arguments})\n\
         message(STATUS \"proto=${{payload_manager_proto_FOUND}} grpc=${{payload_manager_grpc_FOUND}} \
         found=${{payload_manager_FOUND}} dir=${{payload_manager_PROTO_DIR}}\")\n"
    );
    std::fs::write(folder.path().join("CMakeLists.txt"), text).unwrap();
    outcome(
        cmake().arg("-S").arg(folder.path()).arg("-B").arg(folder.path().join("build")).arg(installed()).args(options),
    )
}

#[test]
fn components_that_are_not_there_are_named() {
    if !has_grpc("components_that_are_not_there_are_named") {
        return;
    }
    let (fine, said) = asked("0.1 REQUIRED", &[]);
    assert!(fine && said.contains("proto=TRUE grpc=TRUE found=1"), "{said}");
    assert!(prefix().join("share/payload_manager/proto/payload/manager/core/v1/id.proto").exists());
    assert!(said.contains(&format!("dir={}/share/payload_manager/proto", prefix().display())), "{said}");

    let (fine, said) = asked("REQUIRED COMPONENTS proto frobnicate", &[]);
    assert!(!fine && said.contains("frobnicate: there is no such component"), "{said}");
    let (fine, said) = asked("REQUIRED COMPONENTS proto OPTIONAL_COMPONENTS frobnicate", &[]);
    assert!(fine && said.contains("proto=TRUE"), "{said}");
    let (fine, said) = asked("9 REQUIRED", &[]);
    assert!(!fine && said.contains("0.1.0"), "{said}");

    let without_grpc = "-DCMAKE_DISABLE_FIND_PACKAGE_gRPC=ON";
    let (fine, said) = asked("REQUIRED", &[without_grpc]);
    assert!(fine && said.contains("proto=TRUE grpc=FALSE found=1"), "{said}");
    let (fine, said) = asked("REQUIRED COMPONENTS grpc", &[without_grpc]);
    assert!(!fine && said.contains("libgrpc++-dev"), "{said}");
}

#[test]
fn the_build_says_what_it_leaves_out() {
    if !has_grpc("the_build_says_what_it_leaves_out") {
        return;
    }
    let configure = |options: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let without_grpc = "-DCMAKE_DISABLE_FIND_PACKAGE_gRPC=ON";
        outcome(cmake().arg("-S").arg(root().join("api")).arg("-B").arg(folder.path()).arg(without_grpc).args(options))
    };
    let (fine, said) = configure(&[]);
    assert!(fine && said.contains("payload_manager::grpc is left out"), "{said}");
    let (fine, said) = configure(&["-DPAYLOAD_MANAGER_GRPC=ON"]);
    assert!(!fine && said.contains("libgrpc++-dev"), "{said}");
    let no_protobuf = ["-DCMAKE_DISABLE_FIND_PACKAGE_Protobuf=ON", "-DPAYLOAD_MANAGER_GRPC=OFF"];
    let (fine, said) = configure(&no_protobuf);
    assert!(!fine && said.contains("libprotobuf-dev"), "{said}");
}

#[test]
fn the_package_has_the_version_of_the_crates() {
    let file = std::fs::read_to_string(root().join("api/cmake/PayloadManagerPackage.cmake")).unwrap();
    let line = format!("set(PAYLOAD_MANAGER_VERSION {})", env!("CARGO_PKG_VERSION"));
    assert!(file.lines().any(|found| found == line), "{line} is not in it");
}
