//! The moves one after another; what happens when they race is `loom`'s.

use payload_manager_types::{BlockName, LeaseDeadline};

use super::*;
use crate::sync::AtomicU64;

fn block(index: u32, generation: u8) -> BlockName {
    BlockName { index: EntryIndex::new(index).unwrap(), generation }
}

fn at(ms: u64) -> Tick {
    Tick::new(LeaseDeadline(ms), 0)
}

fn live(index: u32, until: u64) -> Word {
    Word::live(block(index, 5), at(until))
}

#[test]
fn a_word_keeps_the_name_through_every_change() {
    let highest = block(EntryIndex::LIMIT - 1, 255);
    let word = Word::live(highest, at(123_456));
    for state in [SlotState::Live, SlotState::Expired, SlotState::Revoked] {
        let changed = word.with_state(state).with_deadline(at(7));
        assert_eq!((changed.block(), changed.state(), changed.deadline()), (highest, state, at(7)));
        assert_eq!(Word::from_bits(changed.bits()), Some(changed));
    }
    assert_eq!(u64::from(word.name()), word::block_bits(highest));
    assert_eq!(Word::from_bits(0), None);
    assert_eq!(Word::from_bits(0xffff_ffff_0000_0001), None, "no state: nothing that a legal move makes");
}

#[test]
fn deadlines_are_compared_by_half_range_across_the_wrap() {
    let days = |n: u64| n * 24 * 3600 * 1000;
    for start in [0, 5, (1 << 30) - 10, days(30)] {
        let tick = |ms| Tick::new(LeaseDeadline(1_000 + ms), 1_000);
        let (now, later) = (tick(start), tick(start + days(6)));
        assert!(now.is_before(later) && !later.is_before(now) && !now.is_before(now));
        assert!(now.is_over_at(later) && now.is_over_at(now) && !later.is_over_at(now));
        assert_eq!(later.to_deadline(1_000, 1_000 + start), LeaseDeadline(1_000 + start + days(6)));
        assert_eq!(now.to_deadline(1_000, 1_000 + start + days(6)), LeaseDeadline(1_000 + start));
    }
}

#[test]
fn a_take_holds_only_if_entry_and_page_are_as_seen() {
    let (slot, seq, page) = (AtomicU64::new(0), AtomicU64::new(4), AtomicU64::new(PAGE_OPEN));
    assert_eq!(take(&slot, &seq, &page, live(1, 10), 4), Ok(()));
    assert_eq!(look(&slot), Some(live(1, 10)));
    give_back(&slot);
    assert_eq!(take(&slot, &seq, &page, live(1, 10), 2), Err(NotTaken::EntryMoved));
    assert_eq!(look(&slot), None);
    close_page(&page);
    assert_eq!(take(&slot, &seq, &page, live(1, 10), 4), Err(NotTaken::PageClosed));
    assert_eq!(look(&slot), None);
}

#[test]
fn a_lease_that_is_over_is_not_renewed() {
    let (slot, page) = (AtomicU64::new(0), AtomicU64::new(PAGE_OPEN));
    assert_eq!(renew(&slot, &page, at(20)), Err(NotRenewed::Free));
    slot.store(live(1, 10).bits(), Ordering::Relaxed);
    assert_eq!(renew(&slot, &page, at(20)), Ok(live(1, 20)));
    assert_eq!(expire(&slot, at(19)), None);
    assert_eq!(expire(&slot, at(20)).map(Word::state), Some(SlotState::Expired));
    assert_eq!(renew(&slot, &page, at(30)), Err(NotRenewed::Over(SlotState::Expired)));
    slot.store(live(1, 10).bits(), Ordering::Relaxed);
    close_page(&page);
    assert_eq!(renew(&slot, &page, at(20)), Err(NotRenewed::PageClosed));
}

#[test]
fn revoking_takes_the_leases_of_one_entry_and_leaves_their_names() {
    let (mine, other) = (AtomicU64::new(live(1, 10).bits()), AtomicU64::new(live(2, 10).bits()));
    let index = EntryIndex::new(1).unwrap();
    assert_eq!(revoke(&mine, index), Some(live(1, 10).with_state(SlotState::Revoked)));
    assert_eq!(revoke(&mine, index), None, "once");
    assert_eq!(revoke(&other, index), None);
    assert_eq!(expire(&mine, at(11)), None, "revoked stays revoked");
    assert!(!clear(&mine, live(1, 10)) && clear(&mine, live(1, 10).with_state(SlotState::Revoked)));
    assert_eq!((look(&mine), look(&other)), (None, Some(live(2, 10))));
}

#[test]
fn a_deadline_beyond_the_maximum_is_lowered_once() {
    let slot = AtomicU64::new(live(1, 1_000).bits());
    assert_eq!(lower_deadline(&slot, at(500)), Some(live(1, 500)));
    assert_eq!(lower_deadline(&slot, at(500)), None);
    assert_eq!(lower_deadline(&slot, at(600)), None, "never raised");
}
