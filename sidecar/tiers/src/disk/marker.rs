//! The file `instance` in the root: whose folder this is. Comparing it with the catalog's is start-up's business.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use payload_manager_types::{InstanceId, Tier};

use super::layout;
use crate::{TierError, fail};

/// The name of the marker.
pub(super) const NAME: &str = "instance";

/// Whose folder `root` is; `None` if it says nothing, or is not there.
///
/// # Errors
/// [`TierError::Io`] if the marker can't be read or holds no id.
pub fn read_marker(root: &Path) -> Result<Option<InstanceId>, TierError> {
    let path = root.join(NAME);
    let failed = |e| fail::io(Tier::Disk, format!("reading the marker {}", path.display()), e);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.trim().parse().map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidData, e)))?;
            Ok(Some(id))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

/// Says that `root` is the folder of `instance`, durably. Saying it again is fine; another's marker is not replaced
/// (promise: never-the-only-copy): to give a folder away, a person removes the file.
///
/// # Errors
/// [`TierError::Io`]; of kind `AlreadyExists` if the folder is another's.
pub fn write_marker(root: &Path, instance: InstanceId) -> Result<(), TierError> {
    let path = root.join(NAME);
    let failed = |e| fail::io(Tier::Disk, format!("writing the marker {}", path.display()), e);
    match read_marker(root)? {
        Some(found) if found == instance => return Ok(()),
        Some(found) => {
            let text = format!("the folder belongs to instance {found}, not to {instance}");
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, text)));
        }
        None => {}
    }
    let tmp = root.join(format!("{NAME}{}", layout::TMP));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&tmp)
        .and_then(|mut file| writeln!(file, "{instance}").and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&tmp, &path))
        .inspect_err(|_| layout::remove_quietly(&tmp))
        .map_err(failed)?;
    layout::sync_folder(root)
}
