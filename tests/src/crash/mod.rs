//! What a client was told, and what must still be true of it after the daemon was killed at any instant.
//!
//! ```text
//! script, work ──► Witness ──calls──► daemon ──SIGKILL──► started again
//!                     │ remembers only what was answered        │
//!                     └──────────────► audit ◄──────────────────┘
//!                                        │ each payload, each lease, the streams
//!                                        └► machine: shared memory, files, counters
//! ```
//!
//! A call that was not answered is in doubt: it may have happened or not, but nothing in between (promises:
//! survives-kill, no-leak, monotonic).

pub mod audit;
pub mod belief;
pub mod dice;
pub mod machine;
pub mod script;
pub mod witness;
pub mod work;

pub use audit::audit;
pub use belief::{Claim, Doubt, Known, Stage};
pub use dice::Dice;
pub use script::{Do, Scene};
pub use witness::{Dead, Meter, Wish, Witness};
