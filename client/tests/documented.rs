//! Every public item of the client has an example in its documentation; rustdoc runs them, this finds those without.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute only, and misses their helpers")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// Whether a line begins an item that others can see, and that is not only a name for something documented elsewhere.
fn is_public(line: &str) -> bool {
    let kinds = ["fn ", "async fn ", "struct ", "enum ", "trait ", "type "];
    line.trim_start().strip_prefix("pub ").is_some_and(|rest| kinds.iter().any(|kind| rest.starts_with(kind)))
}

#[test]
fn every_public_item_has_an_example() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut items, mut bare) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_public(line)) {
            items += 1;
            let above = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with(['/', '#']));
            if !above.into_iter().any(|line| line.trim_start().starts_with("/// ```")) {
                bare.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(items > 80 && bare.is_empty(), "{items} items, without an example:\n{}", bare.join("\n"));
}
