//! The wrapper for C++, in each C++ that it is for, and in one without exceptions.

use crate::built::{CPP_WITHOUT_EXCEPTIONS, CPP17, CPP20, Library};
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
