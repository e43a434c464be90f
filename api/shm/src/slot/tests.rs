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

/// A slot whose holder moves at the worst moment: between the daemon's look and its swap.
struct Interrupted {
    word: AtomicU64,
    meanwhile: std::cell::Cell<Option<u64>>,
}

impl Interrupted {
    fn new(word: Word, meanwhile: u64) -> Self {
        Self { word: AtomicU64::new(word.bits()), meanwhile: Some(meanwhile).into() }
    }
}

impl Atomic64 for Interrupted {
    fn load(&self, order: Ordering) -> u64 {
        let seen = self.word.load(order);
        if let Some(word) = self.meanwhile.take() {
            self.word.store(word, Ordering::Release);
        }
        seen
    }

    fn store(&self, value: u64, order: Ordering) {
        self.word.store(value, order);
    }

    fn compare_exchange(&self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.word.compare_exchange(current, new, success, failure)
    }

    fn fence(order: Ordering) {
        AtomicU64::fence(order);
    }
}

#[test]
fn stable_lease_a_mark_never_brings_back_what_was_given_back_meanwhile() {
    type Mark = fn(&Interrupted) -> Option<Word>;
    let marks: [Mark; 4] = [
        |slot| expire(slot, at(20)),
        |slot| lower_deadline(slot, at(5)),
        |slot| revoke(slot, EntryIndex::new(1).unwrap()),
        |slot| prolong(slot, slot, live(1, 10), at(30)).ok(),
    ];
    let next = live(2, 4);
    for (mark, then) in marks.into_iter().flat_map(|mark| [(mark, 0), (mark, next.bits())]) {
        let slot = Interrupted::new(live(1, 10), then);
        if then == 0 {
            assert_eq!(mark(&slot), None);
        } else {
            mark(&slot);
        }
        let left = slot.word.load(Ordering::Relaxed);
        assert_eq!(Word::from_bits(left).map(Word::block), Word::from_bits(then).map(Word::block));
    }
}

#[test]
fn who_keeps_rewriting_its_slot_holds_nobody_up() {
    /// Never the same twice.
    struct Restless(std::cell::Cell<u64>);
    impl Atomic64 for Restless {
        fn load(&self, _: Ordering) -> u64 {
            live(1, self.0.replace(self.0.get() + 1)).bits()
        }
        fn store(&self, _: u64, _: Ordering) {}
        fn compare_exchange(&self, _: u64, _: u64, _: Ordering, order: Ordering) -> Result<u64, u64> {
            Err(self.load(order))
        }
        fn fence(_: Ordering) {}
    }
    assert_eq!(revoke(&Restless(0.into()), EntryIndex::new(1).unwrap()), None);
}
