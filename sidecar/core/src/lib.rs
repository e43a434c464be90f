//! The rules of Payload Manager: pure decisions over commands and times.
//!
//! No I/O, no clock, no async, no SQL, no wire types. The shell hands in what happened and when; what comes back is what
//! to do. The shared pages are reached through a port ([`board::Board`]) so that every rule can be tested against a
//! model of them.

pub mod backlog;
pub mod board;
pub mod budget;
pub mod changes;
pub mod counts;
pub mod facts;
pub mod ledger;
pub mod payload;
pub mod queue;
pub mod refusal;

pub use board::Board;
pub use ledger::Ledger;
pub use refusal::Refusal;
