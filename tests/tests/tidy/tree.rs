//! The tree as the rules see it: every text file, and of Rust files what is code and what is test.

use std::path::{Path, PathBuf};

/// A file with its path from the root.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every text file, but for what is built, hidden, or made by tools.
pub(crate) fn files() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "the tree is not here: {}", root.display());
    found
}

/// Every Rust file.
pub(crate) fn rust() -> Vec<Source> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().unwrap();
        if name.starts_with('.') && name != ".ci" || name == "target" || name == "shared" || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}

impl Source {
    /// Whether it lies in this folder, or is this file.
    pub(crate) fn is_in(&self, place: &str) -> bool {
        self.path == place || self.path.starts_with(&format!("{place}/"))
    }

    /// Whether all of it is test code. Benches are programs.
    pub(crate) fn is_test(&self) -> bool {
        !self.is_in("tests/bench")
            && (self.path.contains("/tests/") || self.path.starts_with("tests/") || self.path.ends_with("/tests.rs"))
    }

    /// Its code, without what only tests are built from, comments and the content of strings.
    pub(crate) fn code(&self) -> String {
        if self.is_test() { String::new() } else { bare(self.product()) }
    }

    /// Its test code, without comments and the content of strings.
    pub(crate) fn code_of_tests(&self) -> String {
        if self.is_test() { bare(&self.text) } else { bare(&self.text[self.product().len()..]) }
    }

    /// All of its code, without comments and the content of strings.
    pub(crate) fn all_code(&self) -> String {
        bare(&self.text)
    }

    /// By our style, tests of a file stand at its end.
    fn product(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or_default()
    }
}

/// Rust without comments and without the content of strings; lines stay lines.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept, length) = token(rest, first);
        out.push_str(kept);
        out.extend(rest[length..].is_empty().then_some('\n'));
        if kept.is_empty() {
            out.extend(rest[..length].matches('\n').map(|_| '\n'));
        }
        rest = &rest[length..];
    }
    out
}

/// What is kept of the token that `text` begins with, and how long that is.
fn token(text: &str, first: char) -> (&str, usize) {
    let until = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return ("", until("\n", 0) - usize::from(text.contains('\n')));
    }
    if text.starts_with("/*") {
        return ("", until("*/", 2));
    }
    let hashes = text.strip_prefix('r').map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    if text.starts_with('r') && text[1 + hashes..].starts_with('"') {
        return ("", until(&format!("\"{}", "#".repeat(hashes)), hashes + 2));
    }
    if first == '"' {
        return ("", quoted(text));
    }
    // A character, not a lifetime.
    if first == '\'' && (text.starts_with("'\\") || text.chars().nth(2) == Some('\'')) {
        let skip = if text.starts_with("'\\") { 3 } else { 1 + text.chars().nth(1).map_or(0, char::len_utf8) };
        return ("", until("'", skip));
    }
    if is_word(first) {
        let length = text.find(|c| !is_word(c)).unwrap_or(text.len());
        // An `r` or `b` in front of a string is a word of its own here, and the string comes next.
        return (&text[..length], length);
    }
    (&text[..first.len_utf8()], first.len_utf8())
}

/// The length of the string that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `code` has `word` in it, not as part of a longer one.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

#[test]
fn what_is_no_code_is_left_out() {
    let text = "let a = \"unsafe \\\" x\"; // unsafe\nlet b = r#\"unsafe\"#; /* unsafe */ let c = 'u'; let d: &'static str = b\"unsafe\";\n";
    let bare = bare(text);
    assert!(!bare.contains("unsafe"), "{bare}");
    assert!(bare.contains("let c =") && bare.contains("&'static str") && bare.lines().count() >= 2, "{bare}");
    assert!(has_word("unsafe { }", "unsafe") && !has_word("unsafe_code", "unsafe"));
    assert!(has_word("let c = '\"'; unsafe", "unsafe"));
    assert!(super::tree::bare("let c = '\"'; unsafe {}").contains("unsafe"));
}
