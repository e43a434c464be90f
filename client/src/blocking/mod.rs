//! The same client for programs without an async runtime: every call blocks its thread until the answer is there.
//!
//! A client has one thread of its own, which renews leases while views live and gives back what is dropped. When the
//! last of a client, its clones, views and payloads is dropped, that drop waits until the daemon knows, a second at
//! most; so a program may exit right after it, and no lease of its has to run out.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
//! use payload_manager_client::blocking::Client;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let daemon = daemon()?;
//! let client = Client::connect(daemon.socket())?;
//! let mut payload = client.create(5)?;
//! payload.copy_from_slice(b"hello");
//! let id = payload.commit()?.id;
//! assert_eq!(&*client.read(id)?, b"hello");
//! # Ok(())
//! # }
//! ```

mod client;
mod follow;
mod groups;
mod many;
mod overview;
mod payload;
mod runtime;
mod said;
mod streams;
mod watch;

pub use client::Client;
pub use follow::{Payloads, Streams, Subscription};
pub use groups::Consumer;
pub use payload::{PayloadMut, PayloadView};
pub use said::MetadataEvents;
pub use watch::{Leases, Sessions, Watch};
