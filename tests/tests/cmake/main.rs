//! C and C++: what CMake builds and installs, and that programs of others build with it and run.
//!
//! Needs CMake, Protobuf and gRPC for C++, gcc and clang; what a machine lacks is skipped by name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod client;
mod contract;
mod examples;
mod readme;
mod tools;
