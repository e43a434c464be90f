//! What may stand in some places only.

use crate::tree::{has_word, rust};

#[test]
fn unsafe_code_has_an_address() {
    for file in rust().iter().filter(|file| !file.is_in("api/shm") && !file.is_in("ffi")) {
        assert!(!has_word(&file.all_code(), "unsafe"), "{} has unsafe code", file.path);
    }
}

#[test]
fn no_test_sleeps() {
    for file in rust() {
        let code = file.code_of_tests();
        for word in ["sleep", "sleep_until", "park_timeout"] {
            assert!(!has_word(&code, word), "{} has a test that waits for time to pass ({word})", file.path);
        }
    }
}

#[test]
fn no_test_is_left_out() {
    for file in rust() {
        assert!(!file.all_code().contains("#[ignore"), "{} has a test that is ignored", file.path);
    }
}

#[test]
fn names_of_tests_are_sentences() {
    for file in rust() {
        let code = file.code_of_tests();
        assert!(!code.contains("fn test_"), "{} has a test that is named test_…", file.path);
    }
}

#[test]
fn nothing_is_left_to_be_done() {
    for file in rust() {
        let code = file.all_code();
        for word in ["todo", "unimplemented", "dbg"] {
            assert!(!code.contains(&format!("{word}!")), "{} has a {word}!", file.path);
        }
        for mark in ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}:"] {
            assert!(!file.text.contains(mark), "{} has a {mark}", file.path);
        }
    }
}
