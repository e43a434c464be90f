//! OBJECT on a server that speaks S3.

use crate::conformance::ObjectRig;
use crate::object::{ObjectOptions, Settings};

/// OBJECT below `prefix` in `bucket` on the server at `host`.
pub(super) fn rig(host: &str, bucket: &str, prefix: &str, options: ObjectOptions) -> ObjectRig {
    let host = host.replace(':', "%3A");
    ObjectRig::at(&format!("s3://{bucket}/{prefix}?endpoint_override={host}&scheme=http"), options)
}

/// Credentials that moto takes, as it takes any.
pub(super) fn options() -> ObjectOptions {
    let settings = [("aws_access_key_id", "someone"), ("aws_secret_access_key", "something")];
    let settings = Settings(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    ObjectOptions { settings, ..ObjectOptions::default() }
}
