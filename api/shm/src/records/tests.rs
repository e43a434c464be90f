//! Records through their lives, across restarts, and damaged.

use payload_manager_types::{
    BlockName, Checksum, EvictionPolicy, Place, Priority, Protection, SpillTarget, Tier, UnixMillis,
};

use super::*;
use crate::object;
use crate::testing::{Names, US, id, index};

fn record(n: u64) -> Record {
    Record {
        id: id(n),
        length: 1000 + n,
        created: UnixMillis(1_700_000_000_000),
        expires: Some(UnixMillis(1_700_000_060_000)),
        policy: EvictionPolicy {
            priority: Priority::High,
            require_durable: true,
            spill_target: Some(SpillTarget::Tier(Tier::Object)),
            min_residency: Some(Tier::Disk),
        },
        no_evict: true,
        protection: Protection::Strict,
        preferred: Tier::Gpu,
        place: Place::OWN,
        block: None,
        checksum: None,
        version: 1,
        reclaim_at: Some(UnixMillis(1_700_000_600_000)),
    }
}

fn committed(n: u64) -> Record {
    Record {
        place: Place { unit: 5, offset: 1 << 40 },
        block: Some(BlockName { index: index((1 << 24) - 1), generation: 255 }),
        checksum: Some(Checksum([0xab; 16])),
        version: 2,
        reclaim_at: None,
        ..record(n)
    }
}

fn stored(state: BlockState, record: Record) -> Result<Option<StoredRecord>, TornRecord> {
    Ok(Some(StoredRecord { state, record }))
}

#[test]
fn a_record_says_what_it_was_told_through_its_life_and_across_a_restart() {
    let names = Names::new();
    let name = names.name("records");
    let mut records = Records::create(&name, &US, 100).unwrap();
    let ix = records.reserve(&record(1)).unwrap();
    let other = records.reserve(&record(2)).unwrap();
    assert_eq!(records.read(ix), stored(BlockState::Reserved, record(1)));
    assert!(records.set_live(ix, &committed(1)));
    assert_eq!(records.read(ix), stored(BlockState::Live, committed(1)));
    drop(records);

    let mut records = Records::open(&name, &US).unwrap();
    let found: Vec<_> = records.iter().collect();
    let expected = [(ix, BlockState::Live, committed(1)), (other, BlockState::Reserved, record(2))];
    assert_eq!(found, expected.map(|(ix, state, record)| (ix, Ok(StoredRecord { state, record }))));
    assert_eq!((records.len(), records.max()), (2, 100));
    assert!(records.mark(ix, BlockState::Retired) && records.mark(ix, BlockState::Deleting));
    assert_eq!(records.read(ix), stored(BlockState::Deleting, committed(1)));
    assert!(records.free(ix) && !records.free(ix));
    assert_eq!((records.read(ix), records.len()), (Ok(None), 1));
}

#[test]
fn only_legal_moves_are_made() {
    let names = Names::new();
    let mut records = Records::create(&names.name("records"), &US, 100).unwrap();
    let ix = records.reserve(&record(1)).unwrap();
    assert!(!records.set_live(ix, &committed(2)), "another payload's");
    assert!(!records.mark(ix, BlockState::Live) && !records.mark(ix, BlockState::Free));
    assert!(records.set_live(ix, &committed(1)));
    assert!(!records.set_live(ix, &record(1)), "an older version: promise monotonic");
    assert!(records.mark(ix, BlockState::Retired) && records.set_live(ix, &Record { version: 3, ..committed(1) }));
    assert!(records.mark(ix, BlockState::Deleting) && !records.mark(ix, BlockState::Retired));
    assert!(!records.set_live(ix, &Record { version: 9, ..committed(1) }));
    assert!(records.free(ix) && !records.mark(ix, BlockState::Deleting) && !records.set_live(ix, &committed(1)));
}

#[test]
fn a_live_record_moves_on_word_by_word_and_is_never_half_of_two_checksums() {
    let names = Names::new();
    let mut records = Records::create(&names.name("records"), &US, 100).unwrap();
    let ix = records.reserve(&record(1)).unwrap();
    assert!(records.set_live(ix, &Record { checksum: None, ..committed(1) }));
    for (version, sum) in [(3, [1; 16]), (4, [2; 16]), (4, [0; 16])] {
        let told = Record { version, checksum: Some(Checksum(sum)), ..committed(1) };
        assert!(records.set_live(ix, &told));
        assert_eq!(records.read(ix), stored(BlockState::Live, told));
    }
}

#[test]
fn records_are_used_again_and_run_out_with_a_number() {
    let names = Names::new();
    let name = names.name("records");
    let mut records = Records::create(&name, &US, 2).unwrap();
    let first = records.reserve(&committed(1)).unwrap();
    records.reserve(&record(2)).unwrap();
    assert!(matches!(records.reserve(&record(3)), Err(Full::Limit { max: 2, .. })));
    records.free(first);
    let mut records = Records::open(&name, &US).unwrap();
    assert_eq!(records.reserve(&record(3)).unwrap(), first);
    assert_eq!(records.read(first), stored(BlockState::Reserved, record(3)));
}

#[test]
fn bits_that_nobody_wrote_are_reported_and_not_trusted() {
    let names = Names::new();
    let mut records = Records::create(&names.name("records"), &US, 10).unwrap();
    let damage: [fn(&RecordWords); 4] = [
        |w| w.state.store(77, Ordering::Relaxed),
        |w| w.fixed[2].store(1 << 50, Ordering::Relaxed),
        |w| w.check.store(0, Ordering::Relaxed),
        |w| w.name.store(u64::MAX, Ordering::Relaxed),
    ];
    for hit in damage {
        let ix = records.reserve(&record(1)).unwrap();
        hit(records.words(ix).unwrap());
        assert!(records.read(ix).is_err(), "{ix:?}");
        assert!(!records.set_live(ix, &committed(1)));
    }
    assert_eq!(records.iter().filter(|(_, found)| found.is_err()).count(), 4);
}

#[test]
fn a_start_that_was_killed_while_it_made_the_page_is_in_nobodys_way() {
    let names = Names::new();
    let name = names.name("records");
    object::create(&format!("{name}.new"), 100, 0o600).unwrap();
    assert!(matches!(Records::open(&name, &US), Err(OpenError::NotThere)));
    Records::create(&name, &US, 10).unwrap();
    assert_eq!(object::list(names.base()).unwrap().len(), 1);
    object::create(&format!("{name}.new"), 100, 0o600).unwrap();
    Records::open(&name, &US).unwrap();
    assert_eq!(object::list(names.base()).unwrap().len(), 1);
}
