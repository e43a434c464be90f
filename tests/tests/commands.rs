//! Commands in the documents: what they call is there, and takes what it is given.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use payload_manager::cli::Cli;
use payload_manager_tests::setup::program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of the blocks for a shell, without comments, with what goes on in the next line.
fn lines(document: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut lines: Vec<String> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match lines.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
        .iter()
        .map(|line| line.split(" #").next().unwrap().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// The words of a command, in which a shell would have nothing to do but quotes and variables.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| word.replace(['"', '\''], "").replace("$XDG_RUNTIME_DIR", "/run/user/1"))
        .collect()
}

#[test]
fn every_command_of_the_daemon_in_the_documents_is_one() {
    let mut seen = 0;
    for document in ["README.md", "sidecar/docs/operations.md", "examples/kubernetes/README.md"] {
        for line in lines(document) {
            let words = words(&line);
            let Some(at) = words.iter().position(|word| word == "payload-manager" && !line.contains("systemctl"))
            else {
                continue;
            };
            // An image of that name, or the program's in a `cargo run`.
            let is_program = at == 0 || line.contains("--bin payload-manager -- ");
            if !is_program {
                continue;
            }
            let arguments = words[at + 1..].iter().filter(|word| *word != "--").cloned();
            let arguments: Vec<String> =
                arguments.take_while(|word| !matches!(word.as_str(), "|" | "&" | "&&" | ">")).collect();
            seen += 1;
            let parsed = Cli::try_parse_from(std::iter::once("payload-manager".to_owned()).chain(arguments));
            assert!(parsed.is_ok(), "{document}: {line}: {}", parsed.err().unwrap());
        }
    }
    assert!(seen > 10, "{seen}: commands are written in another way now");
}

#[test]
fn every_command_of_payloadctl_in_the_documents_is_one() {
    let payloadctl = program().with_file_name("payloadctl");
    assert!(payloadctl.exists(), "not built yet: run `cargo build --bin payloadctl`, or test the whole workspace");
    let mut seen = 0;
    for document in ["README.md", "sidecar/docs/operations.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let in_words = text.split('`').filter(|code| code.starts_with("payloadctl ") && !code.contains('\n'));
        let in_blocks = lines(document).into_iter().filter(|line| line.starts_with("payloadctl "));
        for line in in_words.map(str::to_owned).chain(in_blocks) {
            let Some(command) = words(&line).get(1).filter(|word| !word.starts_with('-')).cloned() else { continue };
            seen += 1;
            let output = Command::new(&payloadctl).args([&command, "--help"]).output().unwrap();
            assert!(output.status.success(), "{document}: {line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(seen > 5, "{seen}: commands are written in another way now");
}
