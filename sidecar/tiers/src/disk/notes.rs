//! Notes as files, each written beside its name, synced and renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use payload_manager_types::Tier;

use super::DiskTier;
use super::commit::put_whole;
use super::layout::{self, TMP};
use crate::notes::{NOTES, Notes, parts, split};
use crate::{TierError, fail};

impl DiskTier {
    fn note_path(&self, name: &str) -> Result<PathBuf, TierError> {
        let (folder, name) = split(Tier::Disk, name)?;
        Ok(self.folder.root().join(NOTES).join(folder).join(name))
    }
}

impl Notes for DiskTier {
    fn put_note(&self, name: &str, text: &[u8]) -> Result<(), TierError> {
        let path = self.note_path(name)?;
        let folder = path.parent().unwrap_or_else(|| self.folder.root());
        if !folder.is_dir() {
            let all = self.folder.root().join(NOTES);
            layout::make(folder, true)
                .map_err(|e| fail::io(Tier::Disk, format!("making the folder {}", folder.display()), e))?;
            layout::sync_folder(&all)?;
            layout::sync_folder(self.folder.root())?;
        }
        put_whole(&tmp_of(&path), &path, text)?;
        layout::sync_folder(folder)
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let path = self.note_path(name)?;
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(fail::io(Tier::Disk, format!("reading {}", path.display()), e)),
        }
    }

    fn remove_note(&self, name: &str) -> Result<(), TierError> {
        let path = self.note_path(name)?;
        for path in [&path, &tmp_of(&path)] {
            fail::unless_missing(fs::remove_file(path))
                .map_err(|e| fail::io(Tier::Disk, format!("removing {}", path.display()), e))?;
        }
        // The last one takes the folder with it.
        if let Some(folder) = path.parent()
            && fs::remove_dir(folder).is_err()
            && folder.is_dir()
        {
            layout::sync_folder(folder)?;
        }
        Ok(())
    }

    fn notes(&self) -> Result<Vec<String>, TierError> {
        let root = self.folder.root().join(NOTES);
        let mut names = Vec::new();
        for folder in names_in(&root)? {
            for name in names_in(&root.join(&folder))? {
                let name = format!("{folder}/{name}");
                if parts(&name).is_some() && !name.ends_with(TMP) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }
}

fn tmp_of(path: &Path) -> PathBuf {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(TMP);
    tmp.into()
}

/// What is in a folder, as far as it can be ours; nothing, if there is none.
fn names_in(folder: &Path) -> Result<Vec<String>, TierError> {
    match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(fail::io(Tier::Disk, format!("listing {}", folder.display()), e)),
    }
}
