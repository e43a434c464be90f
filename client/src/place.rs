//! Opens what a descriptor points at and maps it; the only file that knows what a location means.

use std::fs::{File, OpenOptions};
use std::io;

use payload_manager_shm::{ReadMap, WriteMap, object};

use crate::descriptor::{Descriptor, Location, Tier};
use crate::error::{Error, Result};

/// Maps the bytes of a payload that its producer may fill.
pub(crate) fn writable(descriptor: &Descriptor) -> Result<WriteMap> {
    let place = Place::of(descriptor)?;
    let file = match place.kind {
        Kind::Shared => object::open(place.name),
        Kind::File => OpenOptions::new().read(true).write(true).open(place.name),
    };
    file.and_then(|file| WriteMap::of_file(&file, place.offset, place.len)).map_err(|e| place.cannot(e))
}

/// Maps the bytes of a payload that its producer may fill, of which it was given a descriptor.
pub(crate) fn passed(descriptor: &Descriptor, file: &File) -> Result<WriteMap> {
    let place = Place::of(descriptor)?;
    WriteMap::of_file(file, place.offset, place.len).map_err(|e| place.cannot(e))
}

/// Maps the bytes of a committed payload, which a lease keeps where they are.
pub(crate) fn readable(descriptor: &Descriptor) -> Result<ReadMap> {
    let place = Place::of(descriptor)?;
    let file = match place.kind {
        Kind::Shared => object::open_read_only(place.name),
        Kind::File => OpenOptions::new().read(true).open(place.name),
    };
    file.and_then(|file| ReadMap::of_file(&file, place.offset, place.len)).map_err(|e| place.cannot(e))
}

enum Kind {
    Shared,
    File,
}

struct Place<'a> {
    kind: Kind,
    name: &'a str,
    offset: u64,
    len: usize,
}

impl<'a> Place<'a> {
    fn of(descriptor: &'a Descriptor) -> Result<Self> {
        let (kind, name, offset, len) = match (&descriptor.location, descriptor.tier) {
            (Some(Location::File { path, .. }), Tier::Object) => return Err(unmappable(path)),
            (Some(Location::Gpu { .. }), _) => {
                return Err(unmappable(&format!("payload {} on a GPU", descriptor.id)));
            }
            (Some(Location::Ram { name, offset, length, .. }), _) => (Kind::Shared, name, *offset, *length),
            (Some(Location::File { path, offset, length }), _) => (Kind::File, path, *offset, *length),
            (None, tier) => return Err(unmappable(&format!("payload {} in tier {tier}", descriptor.id))),
        };
        let len = usize::try_from(len).map_err(|_| Error::bad("a length beyond this machine's memory"))?;
        Ok(Self { kind, name, offset, len })
    }

    fn cannot(&self, error: io::Error) -> Error {
        let place = match self.kind {
            Kind::Shared => format!("the shared-memory object {}", self.name),
            Kind::File => format!("the file {}", self.name),
        };
        Error::Place { place, source: error }
    }
}

fn unmappable(place: &str) -> Error {
    let source = io::Error::new(
        io::ErrorKind::Unsupported,
        "only what is in RAM or on DISK is mapped; read what is on a GPU with `on_device`, or Spill it to RAM",
    );
    Error::Place { place: place.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::descriptor::{EvictionPolicy, PayloadId, PayloadState, Protection, TierSet, UnixMillis};

    fn at(tier: Tier, location: Option<Location>) -> Descriptor {
        Descriptor {
            id: PayloadId::from_bytes([1; 16]),
            tier,
            state: PayloadState::Active,
            location,
            version: 1,
            created: UnixMillis(0),
            expires: None,
            policy: EvictionPolicy::default(),
            size: 4,
            checksum: None,
            copies: TierSet::EMPTY,
            protection: Protection::Shared,
            dies_with_daemon: false,
        }
    }

    fn kind(result: Result<ReadMap>) -> ErrorKind {
        match result {
            Err(Error::Place { source, .. }) => source.kind(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_read_from_its_offset_and_never_beyond_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin").display().to_string();
        std::fs::write(&path, b"0123456789").unwrap();
        let file = |offset, length| Some(Location::File { path: path.clone(), offset, length });
        assert_eq!(&*readable(&at(Tier::Disk, file(2, 4))).unwrap(), b"2345");
        assert_eq!(kind(readable(&at(Tier::Disk, file(2, 9)))), ErrorKind::UnexpectedEof);
        assert_eq!(kind(readable(&at(Tier::Disk, file(u64::MAX, 9)))), ErrorKind::InvalidInput);
        writable(&at(Tier::Disk, file(0, 10))).unwrap()[0] = b'x';
        assert_eq!(std::fs::read(&path).unwrap(), b"x123456789");
    }

    #[test]
    fn what_is_not_there_or_not_mappable_is_an_error_with_its_name() {
        let ram = Location::Ram { name: "/pm-client-test-none".into(), unit: 0, offset: 0, segment: 4, length: 4 };
        let error = readable(&at(Tier::Ram, Some(ram))).unwrap_err();
        assert!(error.to_string().contains("/pm-client-test-none"), "{error}");
        let object = Location::File { path: "s3://bucket/x.bin".into(), offset: 0, length: 4 };
        assert_eq!(kind(readable(&at(Tier::Object, Some(object)))), ErrorKind::Unsupported);
        assert_eq!(kind(readable(&at(Tier::Object, None))), ErrorKind::Unsupported);
    }
}
