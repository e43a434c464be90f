//! `payload_manager::client`: the C library as CMake installs it, for programs that use CMake, pkg-config, or both of our
//! components.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use payload_manager_tests::{Daemon, eventually, skip};

use crate::readme::Section;
use crate::tools::{GCC, Place, cmake, compilers, define, has, has_grpc, outcome, root, run, strictly};

/// Whether this machine can build and install the C library; else the test is skipped.
pub(crate) fn has_c(test: &str) -> bool {
    let found = has("cmake") && has(GCC.c) && has("pkg-config");
    if !found {
        skip(test, "CMake, gcc and pkg-config");
    }
    found
}

/// Where it is installed, once for all tests of this process: not where the build was told to install to.
pub(crate) fn prefix() -> PathBuf {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(install).clone()
}

fn install() -> PathBuf {
    let place = Place::new("client");
    let (told, moved) = (place.path.join("told"), place.path.join("moved"));
    let _ = std::fs::remove_dir_all(&moved);
    // Unoptimized, so that most of it is built already where the tests are.
    let profile = define("PAYLOAD_MANAGER_CARGO_PROFILE", "dev");
    let options = [define("CMAKE_INSTALL_PREFIX", &told), cargo_folder(), profile];
    let built = place.build("build", &root().join("ffi"), &options.each_ref().map(String::as_str));
    run(cmake().arg("--install").arg(&built));
    std::fs::rename(&told, &moved).unwrap();
    moved
}

/// The option to build where this test was built, so that what is there already is not built again.
fn cargo_folder() -> String {
    define("PAYLOAD_MANAGER_CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
}

/// A command that finds what is installed, and the daemon.
pub(crate) fn at_home(program: impl AsRef<Path>, daemon: &Daemon) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env("CMAKE_PREFIX_PATH", prefix())
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"))
        .env("LD_LIBRARY_PATH", prefix().join("lib"))
        .env("PAYLOAD_MANAGER_RUNTIME_DIR", daemon.setup().runtime_dir());
    command
}

/// What a program of the README printed, run against a daemon that has nothing left of it afterwards.
pub(crate) fn against_a_daemon(run_it: impl FnOnce(&Daemon) -> String) -> String {
    let daemon = Daemon::start();
    let own = daemon.shm();
    let said = run_it(&daemon);
    eventually("nothing is left of it", || daemon.shm() == own);
    said
}

#[test]
fn a_c_programmer_comes_from_the_readme_to_a_running_program() {
    if !has_c("a_c_programmer_comes_from_the_readme_to_a_running_program") {
        return;
    }
    let readme = Section::named("### From C and C++");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.c"), readme.block("c", 0)).unwrap();
    std::fs::write(folder.path().join("CMakeLists.txt"), readme.block("cmake", 0)).unwrap();
    // The second block of commands is what its reader types in that folder.
    let said = against_a_daemon(|daemon| {
        run(at_home("sh", daemon).arg("-ec").arg(readme.block("sh", 1)).current_dir(folder.path()))
    });
    let last = readme.block("console", 0).lines().last().unwrap().to_owned();
    assert_eq!(said.lines().last(), Some(last.as_str()), "{said}");
}

#[test]
fn the_readmes_program_is_built_strictly_by_every_compiler() {
    let name = "the_readmes_program_is_built_strictly_by_every_compiler";
    if !has_c(name) {
        return;
    }
    let readme = Section::named("### From C and C++");
    for compiler in compilers(name) {
        let place = Place::new(&format!("client-{}", compiler.c));
        // The same text is a program of C and of C++.
        for file in ["main.c", "main.cpp"] {
            std::fs::write(place.path.join(file), readme.block("c", 0)).unwrap();
        }
        std::fs::write(place.path.join("wrapper.cpp"), readme.block("cpp", 0)).unwrap();
        let options = [strictly(compiler), vec![define("CMAKE_PREFIX_PATH", prefix())]].concat();
        let options = [options, vec![define("PROGRAMS", &place.path)]].concat();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let built = place.build("build", &root().join("tests/cmake/client"), &options);
        for program in ["shared", "static", "cpp", "wrapper"] {
            let said = against_a_daemon(|daemon| run(&mut at_home(built.join(program), daemon)));
            assert_eq!(said, readme.block("console", 0), "{program}");
        }
    }
}

#[test]
fn a_project_builds_the_library_with_itself() {
    let name = "a_project_builds_the_library_with_itself";
    if !has_c(name) || !has_grpc(name) {
        return;
    }
    let place = Place::new("tree");
    std::fs::write(place.path.join("main.c"), Section::named("### From C and C++").block("c", 0)).unwrap();
    let options = [
        define("FETCHCONTENT_SOURCE_DIR_PAYLOAD_MANAGER", root()),
        define("PROGRAMS", &place.path),
        define("PAYLOAD_MANAGER_CARGO_PROFILE", "dev"),
        cargo_folder(),
    ];
    let built = place.build("build", &root().join("tests/cmake/tree"), &options.each_ref().map(String::as_str));
    for program in ["shared", "static"] {
        // Nothing but the folder that it was built in says where the library is.
        let said = against_a_daemon(|daemon| run(at_home(built.join(program), daemon).env_remove("LD_LIBRARY_PATH")));
        assert!(!said.is_empty(), "{program} says nothing");
    }
}

#[test]
fn pkg_config_says_how_to_link_with_it() {
    if !has_c("pkg_config_says_how_to_link_with_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.c");
    std::fs::write(&main, Section::named("### From C and C++").block("c", 0)).unwrap();
    let linked = ["payload_manager", "--static payload_manager | sed s/-lpayload_manager/-l:libpayload_manager.a/"];
    for (program, package) in ["shared", "static"].into_iter().zip(linked) {
        let line = format!("gcc main.c -o {program} $(pkg-config --cflags --libs {package})");
        let said = against_a_daemon(|daemon| {
            run(at_home("sh", daemon).arg("-ec").arg(line).current_dir(folder.path()));
            run(&mut at_home(folder.path().join(program), daemon))
        });
        assert!(!said.is_empty(), "{program} says nothing");
        let needs = run(Command::new("ldd").arg(folder.path().join(program)));
        assert_eq!(needs.contains("libpayload_manager.so"), program == "shared", "{needs}");
    }
    let version = run(at_home_nowhere().args(["--modversion", "payload_manager"]));
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
}

/// pkg-config, finding what is installed, without a daemon.
fn at_home_nowhere() -> Command {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    command
}

#[test]
fn the_library_has_its_soname_and_shows_nothing_but_its_own_names() {
    if !has_c("the_library_has_its_soname_and_shows_nothing_but_its_own_names") {
        return;
    }
    let library = prefix().join("lib/libpayload_manager.so");
    let names = prefix().join("lib");
    let leads_to = |name: &str| std::fs::read_link(names.join(name)).unwrap().to_string_lossy().into_owned();
    let soname = leads_to("libpayload_manager.so");
    assert_eq!(leads_to(&soname), format!("libpayload_manager.so.{}", env!("CARGO_PKG_VERSION")));
    let tags = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(tags.contains(&format!("soname: [{soname}]")), "{soname}: {tags}");

    let shown = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(&library));
    let shown: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(shown.contains(&"pm_abi_version") && shown.iter().all(|name| name.starts_with("pm_")), "{shown:?}");
}

#[test]
fn either_part_of_the_package_is_found_alone_and_beside_the_other() {
    let name = "either_part_of_the_package_is_found_alone_and_beside_the_other";
    if !has_c(name) || !has_grpc(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = "cmake_minimum_required(VERSION 3.16)\nproject(both LANGUAGES C CXX)\n\
        find_package(payload_manager REQUIRED COMPONENTS ${PARTS})\n";
    std::fs::write(folder.path().join("CMakeLists.txt"), project).unwrap();
    let asked = |parts: &str, prefix: &Path| {
        let (parts, prefix) = (define("PARTS", parts), define("CMAKE_PREFIX_PATH", prefix));
        let build = folder.path().join("build");
        let _ = std::fs::remove_dir_all(&build);
        outcome(cmake().arg("-S").arg(folder.path()).arg("-B").arg(build).args([parts, prefix]))
    };
    let (fine, said) = asked("proto", &prefix());
    assert!(!fine && said.contains("proto: it is not installed"), "{said}");
    let (fine, said) = asked("client", &crate::contract::prefix());
    assert!(!fine && said.contains("client: it is not installed"), "{said}");

    let builds = [Place::new("client").path.join("build"), crate::contract::built()];
    let both = folder.path().join("both");
    for build in builds {
        run(cmake().arg("--install").arg(build).arg("--prefix").arg(&both));
    }
    let (fine, said) = asked("client;grpc;proto", &both);
    assert!(fine, "{said}");
}
