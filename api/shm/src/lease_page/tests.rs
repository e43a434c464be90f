//! Leases of RPC callers, with time as an argument.

use super::*;
use crate::testing::{Names, US, index};

const NOW: u64 = 10_000_000;

fn block(n: u32, generation: u8) -> BlockName {
    BlockName { index: index(n), generation }
}

fn at(ms: u64) -> LeaseDeadline {
    LeaseDeadline(NOW + ms)
}

fn open(names: &Names, max: u32, now: u64) -> RpcLeases {
    RpcLeases::open(names.base(), &US, 1_000, max, now, LeaseDeadline(now + 120_000)).unwrap()
}

#[test]
fn a_lease_pins_its_block_until_it_is_released() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    let lease = leases.grant(block(1, 3), at(20)).unwrap();
    let longer = leases.grant(block(1, 3), at(50)).unwrap();
    let asked = [block(1, 3), block(1, 2), block(2, 3), block(1, 3)];
    let two = Holders { live: 2, pinning: 2, latest: Some(at(50)) };
    assert_eq!(leases.holders(&asked, NOW), [two, Holders::default(), Holders::default(), two]);
    assert_eq!(leases.count_by_entry(&[index(2), index(1)], NOW), [0, 2]);
    assert_eq!(leases.release(longer), Some(block(1, 3)));
    assert_eq!(leases.release(longer), None, "released once");
    let one = Holders { live: 1, pinning: 1, latest: Some(at(20)) };
    assert_eq!(leases.holders(&asked[..1], NOW), [one]);
    assert_eq!(leases.holders(&asked[..1], NOW + 20), [Holders::default()], "over at its deadline");
    assert_eq!((leases.release(lease), leases.live_count()), (Some(block(1, 3)), 0));
}

#[test]
fn an_id_that_was_not_given_out_releases_nothing() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    let lease = leases.grant(block(1, 3), at(20)).unwrap();
    let (place, nonce) = lease.to_words();
    let wrong =
        [(place, nonce ^ 1), (place, 0), (place + 1, nonce), (place + 1, 0), (1 << 32, nonce), (u64::MAX, nonce)];
    for (place, nonce) in wrong {
        let id = LeaseId::from_words(place, nonce);
        assert_eq!((leases.release(id), leases.renew(id, at(99), NOW)), (None, None), "{id}");
    }
    assert_eq!(leases.live_count(), 1);
}

#[test]
fn a_lease_is_renewed_while_it_is_live_and_never_shortened() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    let lease = leases.grant(block(1, 3), at(20)).unwrap();
    assert_eq!(leases.renew(lease, at(100), NOW + 19), Some((block(1, 3), at(100))));
    assert_eq!(leases.renew(lease, at(50), NOW + 19), Some((block(1, 3), at(100))));
    assert_eq!(leases.expire_due(NOW + 99), [], "the first deadline was put off");
    assert_eq!(leases.next_due(), Some(at(100)));
    assert_eq!(leases.renew(lease, at(200), NOW + 100), None, "over");
    let other = leases.grant(block(2, 1), at(300)).unwrap();
    assert_eq!(leases.revoke(index(2)), 1);
    assert_eq!(leases.renew(other, at(400), NOW), None, "revoked");
}

#[test]
fn released_leases_do_not_pile_up_until_their_deadlines() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    leases.grant(block(1, 1), at(200)).unwrap();
    let kept = leases.grant(block(2, 1), at(100)).unwrap();
    leases.renew(kept, at(300), NOW).unwrap();
    for _ in 0..3 * RELEASED {
        let lease = leases.grant(block(3, 1), at(1_000)).unwrap();
        leases.release(lease).unwrap();
        assert!(leases.due.len() <= RELEASED + 6);
    }
    assert_eq!(leases.expire_due(NOW + 299), [block(1, 1)], "those that are held come at their time");
    assert_eq!(leases.expire_due(NOW + 300), [block(2, 1)]);
}

#[test]
fn the_due_are_freed_and_no_others() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    let first = leases.grant(block(1, 1), at(10)).unwrap();
    leases.grant(block(2, 1), at(20)).unwrap();
    let third = leases.grant(block(3, 1), at(20)).unwrap();
    leases.release(third);
    assert_eq!(leases.expire_due(NOW + 9), []);
    assert_eq!(leases.expire_due(NOW + 10), [block(1, 1)]);
    assert_eq!((leases.release(first), leases.live_count()), (None, 1));
    assert_eq!(leases.expire_due(NOW + 1_000), [block(2, 1)], "and not what was released");
    assert_eq!((leases.live_count(), leases.next_due()), (0, None));
}

#[test]
fn a_slot_used_again_does_not_end_at_the_deadline_of_the_lease_before() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    let before = leases.grant(block(1, 1), at(10)).unwrap();
    leases.release(before);
    let after = leases.grant(block(1, 1), at(50)).unwrap();
    assert_eq!(before.to_words().0, after.to_words().0, "the same slot");
    assert_eq!(leases.expire_due(NOW + 10), []);
    assert_eq!((leases.release(before), leases.release(after)), (None, Some(block(1, 1))));
}

#[test]
fn a_revoked_lease_claims_nothing_and_pins_its_block_until_its_deadline() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    leases.grant(block(1, 1), at(50)).unwrap();
    leases.grant(block(1, 2), at(60)).unwrap();
    leases.grant(block(2, 1), at(70)).unwrap();
    assert_eq!((leases.revoke(index(1)), leases.revoke(index(1)), leases.live_count()), (2, 0, 1));
    let pinned = Holders { live: 0, pinning: 1, latest: Some(at(50)) };
    assert_eq!(leases.holders(&[block(1, 1)], NOW), [pinned]);
    assert_eq!(leases.count_by_entry(&[index(1)], NOW), [0]);
    assert_eq!(leases.expire_due(NOW + 60), [block(1, 1), block(1, 2)]);
    assert_eq!(leases.live_count(), 1);
}

#[test]
fn leases_outlive_the_daemon() {
    let names = Names::new();
    let mut leases = open(&names, 10_000, NOW);
    let given: Vec<_> = (0..5_000).map(|n| leases.grant(block(n, 1), at(1_000)).unwrap()).collect();
    assert_eq!(leases.release(given[17]), Some(block(17, 1)));
    leases.revoke(index(18));
    let before = leases.all(NOW);
    drop(leases);

    let mut leases = open(&names, 10_000, NOW + 500);
    assert_eq!((leases.live_count(), leases.all(NOW + 500)), (4_998, before));
    assert_eq!(leases.release(given[17]), None);
    assert_eq!(leases.release(given[4_999]), Some(block(4_999, 1)));
    assert_eq!(leases.renew(given[0], at(2_000), NOW + 500), Some((block(0, 1), at(2_000))));
    assert_eq!(leases.expire_due(NOW + 1_000).len(), 4_997);
    assert_eq!(leases.live_count(), 1);
}

#[test]
fn a_daemon_that_was_away_for_days_does_not_take_old_leases_for_new_ones() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    leases.grant(block(1, 1), at(1_000)).unwrap();
    drop(leases);
    // Seven days: more than half the range of a slot's clock, so that the old deadline seems to lie ahead.
    let later = NOW + 7 * 24 * 3600 * 1000;
    let mut leases = open(&names, 10, later);
    assert!(leases.next_due() <= Some(LeaseDeadline(later + 120_000)));
    assert_eq!(leases.expire_due(later + 120_000), [block(1, 1)]);
}

#[test]
fn leases_run_out_with_a_number_and_grow_page_by_page() {
    let names = Names::new();
    let mut leases = open(&names, 4_097, NOW);
    let pages = || object::list(names.base()).unwrap().len();
    for n in 0..4_096 {
        leases.grant(block(n, 1), at(10)).unwrap();
    }
    assert_eq!(pages(), 1);
    let last = leases.grant(block(9, 1), at(10)).unwrap();
    assert_eq!(pages(), 2);
    assert!(matches!(leases.grant(block(9, 1), at(10)), Err(Full::Limit { max: 4_097, .. })));
    leases.release(last);
    assert!(leases.grant(block(9, 1), at(10)).is_ok());
}

#[test]
fn a_kill_between_nonce_and_slot_leaves_nothing_that_stays() {
    let names = Names::new();
    let mut leases = open(&names, 10, NOW);
    let lease = leases.grant(block(1, 1), at(10)).unwrap();
    let slot = parts_of(lease).0.slot;
    leases.pages[0].nonce(slot).unwrap().store(0, Ordering::Relaxed);
    drop(leases);
    let mut leases = open(&names, 10, NOW);
    assert_eq!(leases.release(lease), None);
    assert_eq!(leases.expire_due(NOW + 10), [block(1, 1)]);

    let slot = leases.pages[0].slot(99).unwrap();
    slot.store(0xffff_ffff_0000_0001, Ordering::Relaxed);
    let leases = open(&names, 10, NOW);
    assert_eq!((leases.all(NOW), leases.live_count()), (vec![], 0), "no legal move made this");
}

#[test]
fn a_page_that_is_gone_takes_no_other_with_it() {
    let names = Names::new();
    let mut leases = open(&names, 10_000, NOW);
    let given: Vec<_> = (0..4_097).map(|n| leases.grant(block(n, 1), at(10)).unwrap()).collect();
    drop(leases);
    object::unlink(&names.name("lease-0")).unwrap();
    let mut leases = open(&names, 10_000, NOW);
    assert_eq!(leases.live_count(), 1);
    assert_eq!(leases.release(given[4_096]), Some(block(4_096, 1)));
    assert_eq!(leases.release(given[0]), None);
}

#[test]
fn a_page_that_a_kill_left_half_made_goes() {
    let names = Names::new();
    object::create(&names.name("lease-7.new"), 100, 0o600).unwrap();
    open(&names, 10, NOW);
    let left: Vec<_> = object::list(names.base()).unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(left, [names.name("lease-0")]);
}

#[test]
fn a_listing_goes_by_slots_and_looks_at_no_more_than_it_may() {
    let names = Names::new();
    let mut leases = open(&names, 10_000, NOW);
    let given: Vec<_> = (0..4_200).map(|n| leases.grant(block(n % 3, 1), at(1_000)).unwrap()).collect();
    leases.grant(block(1, 1), at(5)).unwrap();
    let all = Listing { on: None, from: 0, most: 100, look: 1_000, now_ms: NOW + 10 };
    let (first, next) = leases.page(all);
    assert_eq!((first.len(), next), (100, Some(100)));
    // What is listed already may go; the rest keeps its place.
    assert!(leases.release(first[7].id).is_some());
    let walk = |leases: &RpcLeases, listing: Listing| {
        let (mut seen, mut from, mut calls) = (Vec::new(), Some(listing.from), 0);
        while let Some(at) = from {
            let (page, next) = leases.page(Listing { from: at, ..listing });
            seen.extend(page.into_iter().map(|view| view.id));
            (from, calls) = (next, calls + 1);
        }
        (seen, calls)
    };
    let (rest, _) = walk(&leases, Listing { from: 100, ..all });
    assert_eq!(rest, given[100..]);
    let (of_one, calls) = walk(&leases, Listing { on: Some(index(1)), most: usize::MAX, ..all });
    assert_eq!((of_one.len(), calls), (1_399, 9), "one of them was given back, another is over");
    assert_eq!(leases.page(Listing { from: u64::MAX, ..all }), (Vec::new(), None));
}

#[test]
fn a_page_without_leases_is_passed_over_in_one_look() {
    let names = Names::new();
    let mut leases = open(&names, 10_000, NOW);
    let given: Vec<_> = (0..4_097).map(|n| leases.grant(block(n, 1), at(1_000)).unwrap()).collect();
    given[..4_096].iter().for_each(|id| assert!(leases.release(*id).is_some()));
    let (found, next) = leases.page(Listing { on: None, from: 0, most: 10, look: 2, now_ms: NOW });
    assert_eq!((found.len(), next), (1, Some(4_097)));
}
