//! What every file must be, whatever stands in it.

use crate::tree::{files, root, rust};

/// Lines a file may have.
const LONGEST: usize = 600;

#[test]
fn no_file_is_too_long_to_be_read() {
    for file in rust() {
        let lines = file.text.lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines: it is about more than one thing", file.path);
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for file in rust() {
        assert!(file.text.starts_with("//"), "{} does not say what it is", file.path);
    }
}

#[test]
fn no_machine_is_named() {
    // Put together, so that this file does not name them; and the folder that this tree lies in.
    let mut homes = ["work", "root"].map(|folder| format!("/{folder}/")).to_vec();
    homes.push(format!("{}/", root().display()));
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            let named = homes.iter().find(|home| names_folder(line, home));
            assert!(named.is_none(), "{}:{} names a folder of some machine: {line}", file.path, number + 1);
        }
    }
}

/// Whether a line has this absolute path, rather than a relative one that has the same folder in it.
fn names_folder(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '>' | '~'))
    })
}

#[test]
fn no_line_ends_in_blanks() {
    for file in files().iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        let bad = file.text.lines().position(|line| line != line.trim_end() || line.contains('\t'));
        let code = file.path.ends_with(".rs") || file.path.ends_with(".md") || file.path.ends_with(".toml");
        assert!(!code || bad.is_none(), "{}:{}", file.path, bad.unwrap_or_default() + 1);
    }
}
