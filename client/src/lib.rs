//! Zero-copy access to payloads for Rust programs: the bytes are in this process's memory, never on a wire.
//!
//! A [`Client`] talks to the daemon of this host. [`Client::create`] gives a [`PayloadMut`], memory to be filled in place
//! and published by [`commit`](PayloadMut::commit); [`Client::read`] gives a [`PayloadView`], the same bytes read in
//! place, kept there by a lease for as long as the view lives. What else there is: [`promote`](Client::promote),
//! [`spill`](Client::spill) and [`pin`](Client::pin) for tiers, [`list`](Client::list), [`stats`](Client::stats), what is
//! said about payloads ([`set_metadata`](Client::set_metadata)) and what they were made from
//! ([`lineage`](Client::lineage)), and streams of payload ids ([`append`](Client::append),
//! [`subscribe`](Client::subscribe), [`consume`](Client::consume)). Errors say why and whether to try again ([`Error`]).
//! Programs without an async runtime use [`blocking`].
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
//! use payload_manager_client::{Client, Result};
//!
//! # #[tokio::main]
//! # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! # let daemon = daemon()?;
//! # let address = daemon.socket();
//! let client = Client::connect(address).await?; // or Client::connect_default()
//!
//! let mut payload = client.create(11).await?;
//! payload.copy_from_slice(b"hello world");
//! let id = payload.commit().await?.id;
//!
//! let view = client.read(id).await?;
//! assert_eq!(&view[6..], b"world");
//! # Ok(())
//! # }
//! ```
//!
//! How a lease is taken and where bytes are opened is hidden behind these types: no caller sees the transport.

mod address;
mod batch;
pub mod blocking;
mod client;
mod descriptor;
mod device;
mod error;
mod follow;
mod groups;
mod holders;
mod keeper;
mod lease;
mod lineage;
mod list;
mod metadata;
mod paged;
mod pins;
mod place;
mod read;
mod rpc;
mod session;
mod stats;
mod stream_info;
mod streams;
mod tiering;
mod trace;
mod watch;
mod write;
mod write_many;

pub use address::Address;
pub use client::Client;
pub use descriptor::{
    Checksum, Descriptor, EvictionPolicy, LeaseId, Location, PayloadId, PayloadInfo, PayloadState, Pinned, Priority,
    Protection, SpillTarget, Summary, Tier, TierSet, Timestamp, UnixMillis,
};
pub use device::{DevicePtr, DeviceUuid, devices};
pub use error::{Code, Error, Reason, Refusal, Result};
pub use follow::{Start, SubscribeOptions, Subscription};
pub use groups::Consumer;
pub use holders::{LeaseInfo, Leases, SessionInfo, Sessions};
pub use lineage::{Direction, Edge, LineageEdge};
pub use list::{ListOptions, Page, Payloads};
pub use metadata::{Metadata, MetadataEvent, MetadataEvents, MetadataOptions, NewMetadataEvent, StoredMetadata};
pub use read::{PayloadView, Promotion, ReadOptions};
pub use session::DataPath;
pub use stats::{Space, Stats, TierStats};
pub use stream_info::{ConsumerGroup, StreamInfo, Streams};
pub use streams::{BadName, NewEntry, RangeOptions, Retention, StreamEntry, StreamName};
pub use tiering::SpillOptions;
pub use trace::{BadTrace, TraceContext};
pub use watch::{Event, EventKind, Watch, WatchFrom};
pub use write::{CreateOptions, PayloadMut};

// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
