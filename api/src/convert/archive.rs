//! The file beside an archived payload, `<uuid>.meta.json`: protobuf JSON, unknown fields ignored.
//!
//! What goes into it, and where it lies, is the tiers' to say.

use crate::catalog::v1::PayloadArchiveMetadata;

/// The form this build writes. It reads every one: fields are only ever added.
pub const METADATA_VERSION: u32 = 1;

/// The file's text: canonical protobuf JSON, indented for people.
///
/// # Errors
/// Where a message holds what JSON cannot say: a time outside the years 1 to 9999, an enum number without a name.
pub fn to_json(metadata: &PayloadArchiveMetadata) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(metadata)
}

/// The inverse of [`to_json`]. The values in it are as yet unchecked.
///
/// # Errors
/// Where the text is no JSON form of the message.
pub fn from_json(text: &[u8]) -> Result<PayloadArchiveMetadata, serde_json::Error> {
    serde_json::from_slice(text)
}
