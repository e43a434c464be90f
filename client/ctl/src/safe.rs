//! What others wrote, made fit for a terminal: nothing in it moves the cursor, changes colours or pretends to be a line of
//! ours.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Text on one line: what is no visible character is written as its escape.
pub(crate) fn line(bytes: &[u8]) -> String {
    escaped(bytes, |_| false)
}

/// Text of any number of lines.
pub(crate) fn text(bytes: &[u8]) -> String {
    escaped(bytes, |c| matches!(c, '\n' | '\t'))
}

fn escaped(bytes: &[u8], plain: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if plain(c) || !is_unsafe(c) { out.push(c) } else { out.extend(c.escape_default()) }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Control characters, and those that turn the direction of a line.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes for programs, by the name of their form: text where they are, hexadecimal digits where not.
pub(crate) fn data(bytes: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("data", json!(text)),
        Err(_) => ("data_hex", json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_reaches_a_terminal_as_a_command() {
        assert_eq!(line(b"a\x1b[2Jb\0\xff\n"), "a\\u{1b}[2Jb\\u{0}\\xff\\n");
        assert_eq!(line("caf\u{e9} \u{202e}x \u{9b}1m".as_bytes()), "caf\u{e9} \\u{202e}x \\u{9b}1m");
        assert_eq!(text(b"a\tb\nc\r"), "a\tb\nc\\r");
    }

    #[test]
    fn programs_get_text_or_digits_and_are_told_which() {
        assert_eq!(data(b"{}"), ("data", json!("{}")));
        assert_eq!(data(&[0, 255]), ("data_hex", json!("00ff")));
    }
}
