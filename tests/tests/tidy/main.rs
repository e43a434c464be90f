//! Rules of the house that no compiler checks: who may import whom, what stands only where, and what stands nowhere.
//!
//! They are checked on the text of the tree as it lies there. Licences and promises have tests of their own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod edges;
mod places;
mod text;
mod tree;
