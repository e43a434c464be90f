//! The wrapper for C++, in each C++ that it is for, and in one without exceptions.

use std::process::Command;

use payload_manager::testing::Daemon;

use crate::built::{CPP_WITHOUT_EXCEPTIONS, CPP17, CPP20, Library, each_compiler};
use crate::passes;

#[test]
fn owners_move_and_give_up_what_they_own() {
    for dialect in [CPP17, CPP20] {
        passes("owners_move_and_give_up_what_they_own", &dialect, "tests/cpp/owners.cpp", Library::Shared);
    }
}

#[test]
fn what_comes_one_after_the_other_is_a_range() {
    for dialect in [CPP17, CPP20] {
        passes("what_comes_one_after_the_other_is_a_range", &dialect, "tests/cpp/ranges.cpp", Library::Shared);
    }
}

#[test]
fn without_exceptions_results_say_how_it_went() {
    for dialect in [CPP_WITHOUT_EXCEPTIONS, CPP20] {
        passes("without_exceptions_results_say_how_it_went", &dialect, "tests/cpp/results.cpp", Library::Shared);
    }
}

/// The program in the comment that heads the wrapper.
fn example() -> String {
    let header = include_str!("../../include/payload_manager.hpp");
    let comment = header.split("*/").next().unwrap_or_default();
    comment
        .lines()
        .filter_map(|line| line.strip_prefix(" *     ").or(line.eq(" *").then_some("")))
        .fold(String::new(), |program, line| program + line + "\n")
}

#[test]
fn the_wrappers_example_is_a_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.cpp");
    std::fs::write(&file, example()).unwrap();
    let name = "the_wrappers_example_is_a_program";
    each_compiler(name, &CPP17, file.to_str().unwrap(), Library::Shared, |program| {
        let daemon = Daemon::start().unwrap();
        let home = daemon.socket().parent().unwrap();
        let ran = Command::new(program).env("PAYLOAD_MANAGER_RUNTIME_DIR", home).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "hello\n", "{}", String::from_utf8_lossy(&ran.stderr));
    });
}
