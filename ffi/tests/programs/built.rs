//! Builds a program against the library that cargo built beside this test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of the two to link against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// By its soname, as it is installed.
    Shared,
    /// Into the program.
    Static,
}

/// A language, and how strictly its programs are built.
pub(crate) struct Dialect {
    compilers: [&'static str; 2],
    flags: &'static [&'static str],
}

pub(crate) const C11: Dialect = Dialect { compilers: ["gcc", "clang"], flags: &["-std=c11"] };
pub(crate) const CPP17: Dialect =
    Dialect { compilers: ["g++", "clang++"], flags: &["-std=c++17", "-Wpedantic", "-Wshadow"] };
pub(crate) const CPP20: Dialect = Dialect { flags: &["-std=c++20", "-Wpedantic", "-Wshadow"], ..CPP17 };
pub(crate) const CPP_WITHOUT_EXCEPTIONS: Dialect =
    Dialect { flags: &["-std=c++17", "-Wpedantic", "-Wshadow", "-fno-exceptions"], ..CPP17 };

/// What every program is built with.
const FLAGS: [&str; 6] =
    ["-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// Has `run` run the program that each compiler makes of `file`; says that the test is skipped where there is none.
pub(crate) fn each_compiler(name: &str, dialect: &Dialect, file: &str, library: Library, run: impl Fn(&Path)) {
    let found: Vec<_> = dialect.compilers.into_iter().filter(|compiler| is_here(compiler)).collect();
    for compiler in &found {
        let folder = tempfile::tempdir().unwrap();
        run(&build(compiler, dialect.flags, file, library, folder.path()));
    }
    if found.is_empty() {
        skip(name, &format!("there is none of {}", dialect.compilers.join(" and ")));
    }
}

fn is_here(compiler: &str) -> bool {
    Command::new(compiler).arg("--version").output().is_ok_and(|said| said.status.success())
}

/// Says that a test cannot do its work here. Where `PAYLOAD_MANAGER_NO_SKIP` is set, that is a failure.
fn skip(name: &str, missing: &str) {
    assert!(std::env::var_os("PAYLOAD_MANAGER_NO_SKIP").is_none(), "{name} may not be skipped: {missing}");
    eprintln!("SKIPPED {name}: {missing}");
}

/// A file that cargo built of this package, which lies beside the test or one folder up.
fn built(file: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let places = test.ancestors().skip(1).take(2).map(|folder| folder.join(file));
    places.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("cargo did not build {file}"))
}

fn build(compiler: &str, flags: &[&str], file: &str, library: Library, folder: &Path) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join("program");
    let mut command = Command::new(compiler);
    command.args(FLAGS).args(flags).arg("-I").arg(here.join("include")).arg(here.join(file)).arg("-o").arg(&program);
    match library {
        Library::Shared => {
            let shared = folder.join("libpayload_manager.so.0");
            std::os::unix::fs::symlink(built("libpayload_manager_ffi.so"), &shared).unwrap();
            command.arg(&shared).arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        Library::Static => {
            command.arg(built("libpayload_manager_ffi.a")).args(["-lgcc_s", "-lutil", "-lrt", "-lm", "-ldl"]);
        }
    }
    let made = command.arg("-lpthread").output().unwrap();
    assert!(made.status.success(), "{compiler} {file}: {}", String::from_utf8_lossy(&made.stderr));
    program
}
