//! The object `instance` in the prefix: whose it is. Comparing it with the catalog's is start-up's business.

use std::io;

use bytes::Bytes;
use payload_manager_types::InstanceId;

use super::fail;
use super::layout::INSTANCE;
use super::remote::Remote;
use crate::TierError;

/// Whose prefix it is; `None` if it says nothing.
pub(super) fn read(remote: &Remote) -> Result<Option<InstanceId>, TierError> {
    let key = remote.layout.key(INSTANCE);
    let Some(text) = remote.get(&key)? else { return Ok(None) };
    let id = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    let doing = remote.doing("reading the marker", &key);
    id.map(Some).ok_or_else(|| fail::odd(doing, io::ErrorKind::InvalidData, "it holds no instance id"))
}

/// Says that the prefix is that of `instance`. Of two who say so at once, the store lets one win.
pub(super) fn write(remote: &Remote, instance: InstanceId) -> Result<(), TierError> {
    let key = remote.layout.key(INSTANCE);
    if read(remote)?.is_none() && !remote.put_new(&key, Bytes::from(format!("{instance}\n")))? {
        // Somebody was faster, or our own first try got through without an answer: the marker tells.
    }
    match read(remote)? {
        Some(found) if found == instance => Ok(()),
        found => {
            let other =
                found.map_or_else(|| "nobody: the marker is gone again".to_owned(), |id| format!("instance {id}"));
            let what = format!("the prefix belongs to {other}, not to {instance}; to give it away, remove that object");
            Err(fail::odd(remote.doing("writing the marker", &key), io::ErrorKind::AlreadyExists, what))
        }
    }
}
