//! The OBJECT tier, as far as it needs no store: where it is ([`address`]) and how an object is cut on its way up
//! ([`parts`]). Not a [`TierStore`](crate::TierStore): nothing here sends a request.

pub mod address;
pub mod parts;

pub use address::{Address, AddressError, Scheme};
