//! Why a call failed, for programs: the same names at both ends, so that nobody parses text.
//!
//! A failed call carries a `google.rpc.Status` in `grpc-status-details-bin` with one `google.rpc.ErrorInfo`, which
//! clients in every language can decode: `reason` is [`Reason::as_str`], `domain` is [`DOMAIN`], `metadata` holds
//! the facts, and under [`RETRYABLE`] whether to try again. Which gRPC code a reason gets is not said here.

mod detail;
mod list;

pub use detail::{DOMAIN, Detail, RETRYABLE, detail, status};
pub use list::Reason;
