//! What the tests of this crate share: names that are nobody else's, and go with the test.

use payload_manager_types::{EntryIndex, InstanceId, PayloadId};

use crate::boot::Identity;
use crate::object;

/// The start of names of one test; whatever was made under it is unlinked on drop, failed or not.
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new() -> Self {
        Self(format!("/pm-test-{}", uuid::Uuid::now_v7()))
    }

    /// Names of a part of a test, which start with that test's `base` and go with it too.
    #[cfg(shuttle)]
    pub(crate) fn within(base: &str) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Self(format!("{base}-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
    }

    pub(crate) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.0)
    }

    pub(crate) fn base(&self) -> &str {
        &self.0
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // By hand: `object::list` leaves out what is no object, such as links.
        let left = std::fs::read_dir(object::FOLDER).into_iter().flatten().flatten();
        for name in left.map(|item| format!("/{}", item.file_name().display())).filter(|n| n.starts_with(&self.0)) {
            let _ = object::unlink(&name);
        }
    }
}

pub(crate) const US: Identity = Identity { instance: InstanceId::from_bytes([7; 16]), boot: [9; 16] };

pub(crate) fn id(n: u64) -> PayloadId {
    PayloadId::from_words(0x0190_0000_0000_7000 + n, 0x8000_0000_0000_0000 | n)
}

pub(crate) fn index(n: u32) -> EntryIndex {
    EntryIndex::new(n).unwrap()
}
