//! What a machine has to build C and C++ with, and a place to build in that is kept from run to run.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use payload_manager_tests::skip;

/// What everybody who includes us should be able to ask of us.
const WARNINGS: &str = "-Wall -Wextra -Werror";
const SANITIZED: &str = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer";

/// A pair of compilers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compiler {
    pub(crate) c: &'static str,
    pub(crate) cxx: &'static str,
}

pub(crate) const GCC: Compiler = Compiler { c: "gcc", cxx: "g++" };
pub(crate) const CLANG: Compiler = Compiler { c: "clang", cxx: "clang++" };

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs a command to its end, and gives what it printed.
///
/// # Panics
/// If it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let (fine, printed) = outcome(command);
    assert!(fine, "{command:?}:\n{printed}");
    printed
}

/// Runs a command to its end: whether it went well, and all it printed.
pub(crate) fn outcome(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Whether this machine has CMake, and Protobuf and gRPC for C++; else the test is skipped.
pub(crate) fn has_grpc(test: &str) -> bool {
    let found = has("cmake")
        && has("protoc")
        && has("grpc_cpp_plugin")
        && includes("g++", "google/protobuf/message.h")
        && includes("g++", "grpcpp/grpcpp.h");
    if !found {
        skip(test, "CMake, g++, Protobuf and gRPC for C++ (the Debian packages are in .ci/run)");
    }
    found
}

/// The compilers of this machine; what is missing is skipped by name.
pub(crate) fn compilers(test: &str) -> Vec<Compiler> {
    let here = |compiler: &Compiler| has(compiler.c) && has(compiler.cxx);
    let (found, missing): (Vec<_>, Vec<_>) = [GCC, CLANG].into_iter().partition(here);
    for compiler in missing {
        skip(test, &format!("{} and {}", compiler.c, compiler.cxx));
    }
    found
}

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// Whether a compiler finds a header.
fn includes(compiler: &str, header: &str) -> bool {
    let mut command = Command::new(compiler);
    command.args(["-x", "c++", "-M", "-include", header, "/dev/null"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A folder to build in, one test's own. It is kept, so that the next run builds only what has changed.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        // Until this process ends no other one builds in any of them.
        static ALONE: OnceLock<File> = OnceLock::new();
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cmake");
        let path = all.join(name);
        std::fs::create_dir_all(&path).unwrap();
        ALONE.get_or_init(|| {
            let lock = File::create(all.join("lock")).unwrap();
            lock.lock().unwrap();
            lock
        });
        Self { path }
    }

    /// Configures and builds a project of CMake in `folder` of this place; gives where that is.
    pub(crate) fn build(&self, folder: &str, source: &Path, options: &[&str]) -> PathBuf {
        let built = self.path.join(folder);
        let configure = || {
            let mut command = cmake();
            command.arg("-S").arg(source).arg("-B").arg(&built).args(options);
            command
        };
        // What is kept may be of another compiler's, or of tools that are gone: then it begins anew.
        if !outcome(&mut configure()).0 {
            let _ = std::fs::remove_dir_all(&built);
            run(&mut configure());
        }
        let jobs = std::thread::available_parallelism().unwrap().to_string();
        run(cmake().arg("--build").arg(&built).args(["--parallel", &jobs]));
        built
    }
}

pub(crate) fn cmake() -> Command {
    Command::new("cmake")
}

/// The option that gives a variable of CMake a value.
pub(crate) fn define(name: &str, value: impl AsRef<OsStr>) -> String {
    format!("-D{name}={}", value.as_ref().display())
}

/// The options by which a program is built with every warning and both sanitizers.
pub(crate) fn strictly(compiler: Compiler) -> Vec<String> {
    let flags = format!("{WARNINGS} {SANITIZED}");
    vec![
        define("CMAKE_C_COMPILER", compiler.c),
        define("CMAKE_CXX_COMPILER", compiler.cxx),
        define("CMAKE_C_FLAGS", &flags),
        define("CMAKE_CXX_FLAGS", &flags),
        define("CMAKE_C_STANDARD", "11"),
        define("CMAKE_CXX_STANDARD", "17"),
        define("CMAKE_C_EXTENSIONS", "OFF"),
        define("CMAKE_CXX_EXTENSIONS", "OFF"),
    ]
}
