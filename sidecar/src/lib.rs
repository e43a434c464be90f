//! The daemon of Payload Manager, as a library: its program, its demo and the tests are built from it.
//!
//! What it is made of and how data walks through it stands in `ARCHITECTURE.md`.

pub mod app;
pub mod archive;
pub mod bucket;
mod cards;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod engine;
pub mod failpoint;
pub mod gpu_check;
mod grpc;
pub mod healthcheck;
pub use grpc::serve::ListenError;
pub mod inherited;
pub mod instance;
mod log;
pub mod observe;
pub mod pages;
pub mod rebuild;
pub mod run;
mod said;
mod session;
mod shelf;
mod stream_log;
pub use shelf::ShelfError;
pub mod shutdown;
mod supervisor;
pub mod testing;
pub mod verify;
pub mod wipe;
