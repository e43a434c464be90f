//! The suite over each back end, whole and faulty, and the back ends against each other.

use std::sync::atomic::{AtomicU64, Ordering};

use payload_manager_types::InstanceId;
use tempfile::TempDir;

use crate::conformance::{self, Subject};
use crate::faulty::{Call, Faulty};
use crate::{Memory, Sqlite, Store, StoreError};

const INSTANCE: InstanceId = InstanceId::from_bytes([7; 16]);

impl Subject for Memory {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }
}

impl Subject for TempDir {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Sqlite::open_or_create(&self.path().join("catalog.db"), INSTANCE).unwrap().0)
    }
}

/// Fails every other call.
struct Limping<T>(T);

impl<T: Subject> Subject for Limping<T> {
    fn open(&self) -> Box<dyn Store> {
        let calls = AtomicU64::new(0);
        let faults = move |_: &Call<'_>| {
            let odd = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            odd.then(|| StoreError::Unavailable("on purpose".to_owned()))
        };
        Box::new(Faulty::new(self.0.open(), faults))
    }
}

#[test]
fn memory_conforms() {
    conformance::run(&|| Box::new(Memory::new(INSTANCE)));
}

#[test]
fn memory_conforms_when_every_other_call_fails() {
    conformance::run(&|| Box::new(Limping(Memory::new(INSTANCE))));
}

#[test]
fn sqlite_conforms() {
    conformance::run(&|| Box::new(tempfile::tempdir().unwrap()));
}

#[test]
fn sqlite_conforms_when_every_other_call_fails() {
    conformance::run(&|| Box::new(Limping(tempfile::tempdir().unwrap())));
}
