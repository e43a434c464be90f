//! Small texts with names beside the copies of a durable tier: what a rebuild needs to know and is no payload's.
//!
//! ```text
//! <root or prefix>/streams/<folder>/<name>
//! ```

use std::io;

use payload_manager_types::Tier;

use crate::{TierError, fail};

/// The folder of all notes.
pub(crate) const NOTES: &str = "streams";

/// Holds notes. Names are `folder/name`, of the letters `a` to `z`, digits and full stops.
pub trait Notes: Send + Sync {
    /// Puts a note, durably, whole or not at all, in place of one that has the name.
    ///
    /// # Errors
    /// As the tier's other calls.
    fn put_note(&self, name: &str, text: &[u8]) -> Result<(), TierError>;

    /// A note; `None` if there is none of that name.
    ///
    /// # Errors
    /// As the tier's other calls.
    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, TierError>;

    /// Removes a note; none is fine.
    ///
    /// # Errors
    /// As the tier's other calls.
    fn remove_note(&self, name: &str) -> Result<(), TierError>;

    /// The names of all notes, in no order. What can't be one is left out.
    ///
    /// # Errors
    /// As the tier's other calls.
    fn notes(&self) -> Result<Vec<String>, TierError>;
}

/// A name's folder and its name there.
pub(crate) fn split(tier: Tier, name: &str) -> Result<(&str, &str), TierError> {
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, "no name of a note");
    parts(name).ok_or_else(|| fail::io(tier, format!("naming a note {name:?}"), odd()))
}

/// The same; `None` if it can't be a note's.
pub(crate) fn parts(name: &str) -> Option<(&str, &str)> {
    let is_plain = |part: &str| {
        part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.'))
            && !part.starts_with('.')
            && !part.is_empty()
    };
    name.split_once('/').filter(|(folder, name)| is_plain(folder) && is_plain(name))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What notes are on every tier that has them.
    pub(crate) fn notes_come_back_whole_until_they_are_removed(notes: &dyn Notes) {
        assert_eq!(notes.notes().unwrap(), Vec::<String>::new());
        assert_eq!(notes.note("0a/head.json").unwrap(), None);
        notes.remove_note("0a/head.json").unwrap();
        notes.put_note("0a/head.json", b"one").unwrap();
        notes.put_note("0a/7.json", b"").unwrap();
        notes.put_note("0b/head.json", &[7; 100_000]).unwrap();
        notes.put_note("0a/head.json", b"two").unwrap();
        assert_eq!(notes.note("0a/head.json").unwrap().unwrap(), b"two");
        assert_eq!(notes.note("0b/head.json").unwrap().unwrap(), [7; 100_000]);
        assert_eq!(notes.note("0a/7.json").unwrap().unwrap(), b"");
        let mut names = notes.notes().unwrap();
        names.sort();
        assert_eq!(names, ["0a/7.json", "0a/head.json", "0b/head.json"]);
        for name in &names {
            notes.remove_note(name).unwrap();
            notes.remove_note(name).unwrap();
            assert_eq!(notes.note(name).unwrap(), None);
        }
        assert_eq!(notes.notes().unwrap(), Vec::<String>::new());
        assert!(notes.put_note("../head.json", b"").is_err());
    }

    #[test]
    fn a_name_leads_out_of_no_folder() {
        assert_eq!(parts("0a/head.json"), Some(("0a", "head.json")));
        for odd in ["", "a", "a/", "/a", "../a", "a/..", "a/../b", "a/b/c", "A/b", "a/b#1", "a/.b", "a\0/b"] {
            assert!(parts(odd).is_none(), "{odd:?}");
            assert!(split(Tier::Disk, odd).is_err());
        }
    }
}
