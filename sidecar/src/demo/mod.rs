//! `demo`.

use crate::cli::{DemoArgs, DemoPartArgs, Exit};

/// Runs the demo.
#[must_use]
pub fn run(_: &DemoArgs) -> Exit {
    Exit::Failure
}

/// Plays one part of it.
#[must_use]
pub fn part(_: &DemoPartArgs) -> Exit {
    Exit::Failure
}
