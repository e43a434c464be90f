//! The header says what the library has: it is made from the sources, and the one that is checked in is the same.
//!
//! `UPDATE_HEADER=1 cargo test -p payload-manager-ffi --test header` writes it.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::path::Path;

fn made() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    config.header = Some(include_str!("header_top.txt").trim_end().to_owned());
    config.after_includes = Some(format!("\n{}", include_str!("header_inits.txt").trim_end()));
    let bindings = cbindgen::Builder::new().with_crate(root).with_config(config).generate().unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_that_of_this_library() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/payload_manager.h");
    let made = made();
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(there.lines()).find(|(a, b)| a != b);
    assert!(made == there, "write it anew with UPDATE_HEADER=1; it differs at {differs:?}");
}

#[test]
fn every_function_says_whether_it_blocks() {
    let header = made();
    for function in header.split("\n/**").skip(1).filter(|part| part.contains(");\n")) {
        let about = function.split("*/").next().unwrap().to_lowercase();
        let quick = ["never null", "for ever", "else 0", "interface"].iter().any(|word| about.contains(word));
        assert!(quick || about.contains("block"), "does it block?{function}");
    }
}
