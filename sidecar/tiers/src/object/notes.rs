//! Notes as objects, each put in one request.

use bytes::Bytes;
use object_store::path::Path;
use payload_manager_types::Tier;

use super::ObjectTier;
use crate::TierError;
use crate::notes::{NOTES, Notes, parts, split};

impl ObjectTier {
    fn note_key(&self, name: &str) -> Result<Path, TierError> {
        let (folder, name) = split(Tier::Object, name)?;
        Ok(self.remote.layout.key(&format!("{NOTES}/{folder}/{name}")))
    }
}

impl Notes for ObjectTier {
    fn put_note(&self, name: &str, text: &[u8]) -> Result<(), TierError> {
        self.remote.put(&self.note_key(name)?, Bytes::copy_from_slice(text))
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        Ok(self.remote.get(&self.note_key(name)?)?.map(Vec::from))
    }

    fn remove_note(&self, name: &str) -> Result<(), TierError> {
        self.remote.delete(&self.note_key(name)?)
    }

    fn notes(&self) -> Result<Vec<String>, TierError> {
        let keys = self.remote.list_below(NOTES)?;
        let names = keys.iter().filter_map(|key| self.remote.layout.name(key).strip_prefix(NOTES)?.strip_prefix('/'));
        Ok(names.filter(|name| parts(name).is_some()).map(str::to_owned).collect())
    }
}
