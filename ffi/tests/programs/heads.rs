//! The examples in the comments that head the two headers are programs.

use std::process::Command;

use payload_manager::testing::Daemon;

use crate::built::{C11, CPP17, Dialect, Library, each_compiler};

/// The example in the comment that heads a header.
fn example(header: &str) -> String {
    let comment = header.split("*/").next().unwrap_or_default();
    comment
        .lines()
        .filter_map(|line| line.strip_prefix(" *     ").or(line.eq(" *").then_some("")))
        .fold(String::new(), |program, line| program + line + "\n")
}

/// Has the program say hello to a daemon that is found where this user's is.
fn says_hello(name: &str, dialect: &Dialect, file: &str, program: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(file);
    std::fs::write(&file, program).unwrap();
    each_compiler(name, dialect, file.to_str().unwrap(), Library::Shared, |program| {
        let daemon = Daemon::start().unwrap();
        let home = daemon.socket().parent().unwrap();
        let ran = Command::new(program).env("PAYLOAD_MANAGER_RUNTIME_DIR", home).output().unwrap();
        let (said, why) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && said.trim_end() == "hello", "{name}: {}: {said}{why}", ran.status);
    });
}

#[test]
fn the_headers_example_is_a_programs_middle() {
    let middle = example(include_str!("../../include/payload_manager.h"));
    let includes = "#include <payload_manager.h>\n#include <stdio.h>\n#include <string.h>\n";
    let program = format!("{includes}int main(void) {{\n{middle}return 0;\n}}\n");
    says_hello("the_headers_example_is_a_programs_middle", &C11, "example.c", &program);
}

#[test]
fn the_wrappers_example_is_a_program() {
    let program = example(include_str!("../../include/payload_manager.hpp"));
    says_hello("the_wrappers_example_is_a_program", &CPP17, "example.cpp", &program);
}
