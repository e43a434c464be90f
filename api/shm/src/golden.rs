//! The bytes of each page, compared with what a release wrote: `golden/v<layout>-<kind>.txt`.
//!
//! A page is written down as its length and its words that are not zero, `offset word`, in hexadecimal. Two things are
//! tested: that the same input still makes the same page, and that pages of the oldest layout are still opened and say
//! what they said. `UPDATE_GOLDEN=1` writes the files anew; a change of one that a release has is a new layout.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use payload_manager_types::{
    BlockName, Checksum, EvictionPolicy, LeaseDeadline, PayloadState, Place, Priority, Protection, SpillTarget, Tier,
    UnixMillis,
};

use crate::layout::VERSION;
use crate::slot::{Tick, Word};
use crate::testing::{Names, US, id, index};
use crate::{
    BlockState, Clock, Details, Directory, DirectoryReader, EntryState, Face, LeaseTable, Record, Records, RpcLeases,
    SLOT_STEP, SessionPages, Standing, StoredRecord, object,
};

const EPOCH: u64 = 1_234;
const NOW: u64 = 1_000_000;

fn path(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("v{VERSION}-{kind}.txt"))
}

/// A page as text.
fn dump(name: &str) -> String {
    let file = object::open_read_only(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let mut text = format!("length {:x}\n", bytes.len());
    for (i, word) in bytes.chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        if word != 0 {
            writeln!(text, "{:06x} {word:016x}", i * 8).unwrap();
        }
    }
    text
}

/// A page from text.
fn restore(text: &str, name: &str) -> File {
    let mut lines = text.lines();
    let number = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
    let length = number(lines.next().unwrap().strip_prefix("length ").unwrap());
    let file = object::create(name, length, 0o600).unwrap();
    for (offset, word) in lines.map(|line| line.split_once(' ').unwrap()) {
        file.write_all_at(&number(word).to_le_bytes(), number(offset)).unwrap();
    }
    file
}

/// Compares a page with the golden one, and gives the golden text.
fn compare(kind: &str, name: &str) -> String {
    let fresh = dump(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(kind), &fresh).unwrap();
    }
    let golden = fs::read_to_string(path(kind)).unwrap();
    assert_eq!(fresh, golden, "the bytes of a {kind} page changed: that is a new layout");
    golden
}

fn face(n: u64) -> Face {
    Face {
        id: id(n),
        version: 0x0102_0304,
        tier: Tier::Disk,
        place: Place { unit: 0xaabb_ccdd, offset: 0x1122_3344_5566_7788 },
        length: 0x99,
        state: EntryState::Shown(PayloadState::Durable),
        expires: Some(UnixMillis(0x0123_4567_89ab)),
        generations: [1, 2, 3, 4],
        last_generation: 5,
    }
}

#[test]
fn the_oldest_directory_is_opened_and_a_new_one_looks_like_it() {
    let names = Names::new();
    let name = names.name("dir");
    let mut directory = Directory::create_at(&name, &US, 8, EPOCH).unwrap();
    let gone = directory.insert(&face(1)).unwrap();
    let at = directory.insert(&face(2)).unwrap();
    let said = Details {
        created: UnixMillis(0x1111),
        policy: EvictionPolicy {
            priority: Priority::High,
            require_durable: true,
            spill_target: Some(SpillTarget::Tier(Tier::Object)),
            min_residency: Some(Tier::Disk),
        },
        protection: Protection::Strict,
        checksum: Some(Checksum(*b"0123456789abcdef")),
    };
    directory.describe(at, id(2), &said);
    directory.remove(gone);
    let golden = compare("directory", &name);

    let old = restore(&golden, &names.name("old"));
    let reader = DirectoryReader::of_file(old).unwrap();
    assert_eq!(reader.lookup(id(2)).map(|(at, face, _)| (at, face)), Some((index(1), face(2))));
    assert_eq!(reader.details(at, id(2)), Some(said));
    let mut opened = Directory::open(&names.name("old"), &US).unwrap();
    assert_eq!(opened.lookup(id(2)).map(|(at, face, _)| (at, face)), Some((index(1), face(2))));
    assert_eq!((opened.lookup(id(1)), opened.epoch_ms()), (None, EPOCH));
    assert_eq!(opened.next_entry().unwrap(), (index(0), 5));
}

#[test]
fn the_oldest_records_are_opened_and_new_ones_look_like_them() {
    let names = Names::new();
    let name = names.name("records");
    let record = Record {
        id: id(1),
        length: 0x99,
        created: UnixMillis(0x1111),
        expires: Some(UnixMillis(0x2222)),
        policy: EvictionPolicy { require_durable: true, ..EvictionPolicy::default() },
        no_evict: true,
        protection: Protection::Sealed,
        preferred: Tier::Ram,
        place: Place { unit: 0xaabb_ccdd, offset: 0x1122_3344_5566_7788 },
        block: Some(BlockName { index: index(0x12_3456), generation: 0x78 }),
        checksum: Some(Checksum(*b"0123456789abcdef")),
        version: 0x3333,
        reclaim_at: None,
    };
    let waiting = Record { block: None, checksum: None, reclaim_at: Some(UnixMillis(0x4444)), ..record };
    let mut records = Records::create_at(&name, &US, 8, EPOCH).unwrap();
    records.reserve(&waiting).unwrap();
    let live = records.reserve(&waiting).unwrap();
    assert!(records.set_live(live, &record));
    let golden = compare("records", &name);

    restore(&golden, &names.name("old"));
    let found: Vec<_> =
        Records::open(&names.name("old"), &US).unwrap().iter().map(|(_, found)| found.unwrap()).collect();
    let reserved = StoredRecord { state: BlockState::Reserved, record: waiting };
    assert_eq!(found, [reserved, StoredRecord { state: BlockState::Live, record }]);
}

#[test]
fn the_oldest_lease_page_is_opened_and_a_new_one_looks_like_it() {
    let names = Names::new();
    let (block, until) = (BlockName { index: index(0x12_3456), generation: 0x78 }, LeaseDeadline(NOW + 20_000));
    let open = |base: &str| RpcLeases::open(base, &US, EPOCH, 8, NOW, LeaseDeadline(NOW + 120_000)).unwrap();
    let mut leases = open(&names.name("new"));
    let id = leases.grant_as(0x0123_4567_89ab_cdef, block, until).unwrap();
    let golden = compare("leases", &names.name("new-lease-0"));

    restore(&golden, &names.name("old-lease-0"));
    let mut opened = open(&names.name("old"));
    assert_eq!(opened.renew(id, until, NOW), Some((block, until)));
    assert_eq!(opened.release(id), Some(block));
}

/// The client's part of the page is written by hand, as a deadline of its own would differ every time.
#[test]
fn the_oldest_session_page_is_opened_and_a_new_one_looks_like_it() {
    let names = Names::new();
    let (block, until) = (BlockName { index: index(70), generation: 0x78 }, LeaseDeadline(NOW + 20_000));
    let open = |base: &str| SessionPages::open(base, &US, EPOCH, 100, NOW, LeaseDeadline(NOW + 120_000)).unwrap();
    let (mut pages, aside) = open(&names.name("new"));
    assert!(aside.is_empty() && pages.create(SLOT_STEP).unwrap().standing() == Standing::Open);
    let name = names.name("new-session-0");
    let (reach, read_bits, ninth_slot) = (80, 4096 + 8, 8192 + 64);
    let word = Word::live(block, Tick::new(until, EPOCH)).bits();
    for (offset, word) in [(reach, 2), (read_bits, 1 << 6), (ninth_slot, word)] {
        object::open(&name).unwrap().write_all_at(&word.to_ne_bytes(), offset).unwrap();
    }
    let golden = compare("session", &name);

    let file = restore(&golden, &names.name("old-session-0"));
    let (opened, aside) = open(&names.name("old"));
    assert!(aside.is_empty());
    let held: Vec<_> = opened.all(NOW).map(|found| (found.held.slot, found.held.block, found.held.deadline)).collect();
    assert_eq!(held, [(8, block, until)]);
    let mut read = Vec::new();
    opened.collect_reads(|index| read.push(index.get()));
    assert_eq!(read, [70]);
    Directory::create_at(&names.name("dir"), &US, 100, EPOCH).unwrap();
    let directory = DirectoryReader::of_file(object::open(&names.name("dir")).unwrap()).unwrap();
    let table = LeaseTable::new(directory, file, Clock::with_offset(0), ()).unwrap();
    assert_eq!((table.in_use(), table.is_open()), (1, true));
}
