//! The examples in C and C++, built as their reader builds them but strictly, and used together: what one language made
//! the other takes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use payload_manager_tests::Daemon;

use crate::client::{against_a_daemon, at_home, has_c, prefix};
use crate::tools::{Compiler, Place, compilers, define, outcome, root, run, strictly};

/// Where the examples of both languages are, built by one pair of compilers.
fn built(compiler: Compiler) -> [PathBuf; 2] {
    // Both tests use them: who comes second finds nothing to build.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new(&format!("examples-{}", compiler.c));
    let options = [strictly(compiler), vec![define("CMAKE_PREFIX_PATH", prefix())]].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    ["c", "cpp"].map(|language| place.build(language, &root().join("examples").join(language), &options))
}

fn example(folder: &Path, name: &str, words: &[&str], daemon: &Daemon) -> Command {
    let mut command = at_home(folder.join(name), daemon);
    command.args(words);
    command
}

#[test]
fn what_an_example_produces_the_other_languages_example_consumes() {
    let name = "what_an_example_produces_the_other_languages_example_consumes";
    if !has_c(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frame");
    std::fs::write(&file, "a frame\n").unwrap();
    for compiler in compilers(name) {
        let [c, cpp] = built(compiler);
        for (from, to) in [(&c, &cpp), (&cpp, &c)] {
            against_a_daemon(|daemon| {
                let id = run(&mut example(from, "produce", &[file.to_str().unwrap()], daemon));
                assert_eq!(run(&mut example(to, "consume", &[id.trim()], daemon)), "a frame\n");
                let (fine, said) = outcome(&mut example(to, "consume", &[id.trim()], daemon));
                assert!(!fine && said.starts_with("somebody else took it"), "{said}");
                said
            });
        }
    }
}

#[test]
fn an_example_follows_the_other_languages_stream_and_goes_on_where_it_stopped() {
    let name = "an_example_follows_the_other_languages_stream_and_goes_on_where_it_stopped";
    if !has_c(name) {
        return;
    }
    for compiler in compilers(name) {
        let daemon = Daemon::start();
        let [c, cpp] = built(compiler);
        for (from, to, stream) in [(&c, &cpp, "lab/c"), (&cpp, &c, "lab/cpp")] {
            run(&mut example(from, "stream", &["append", stream, "one", "two"], &daemon));
            run(&mut example(from, "stream", &["append", stream, "three"], &daemon));
            let follow = |count| run(&mut example(to, "stream", &["follow", stream, "viewers", count], &daemon));
            assert_eq!([follow("2"), follow("1")], ["0: one\n1: two\n", "2: three\n"]);
        }
    }
}
