//! Listings: newest first, and stable while payloads come and go.

use std::collections::BTreeSet;

use payload_manager_types::{PayloadId, Tier};

use crate::world::{World, id, request};

#[test]
fn pages_of_any_size_are_the_same_list() {
    let mut w = World::new([100, 100, 100, 100]);
    for (n, tier) in (1..=12).zip(Tier::ALL.into_iter().cycle()) {
        w.create(n, 1, tier);
        // Three in the same millisecond.
        w.tick(u64::from(n % 3 == 0));
    }
    w.lose(5, Tier::Gpu);
    w.settle();
    let all: Vec<PayloadId> = (1..=12).rev().map(id).collect();
    for size in 1..=13 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = w.ledger.page(None, size, after, w.now);
            assert_eq!(page.total, 12);
            seen.extend(page.rows.into_iter().map(|row| row.descriptor.facts.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "pages of {size}, what is lost among them");
    }
    assert_eq!(w.ledger.page(Some(Tier::Gpu), 10, None, w.now).total, 2);
}

#[test]
fn rows_that_exist_throughout_are_listed_once_while_others_come_and_go() {
    let mut w = World::new([0, 1_000, 1_000, 0]);
    for n in 1..=20 {
        w.create(n, 1, if n % 2 == 0 { Tier::Ram } else { Tier::Disk });
        w.tick(1);
    }
    let stay: BTreeSet<PayloadId> = (1..=20).filter(|n| n % 4 != 0).map(id).collect();
    let (mut seen, mut after, mut next) = (Vec::new(), None, 100);
    loop {
        let page = w.ledger.page(None, 3, after, w.now);
        seen.extend(page.rows.into_iter().map(|row| row.descriptor.facts.id).filter(|id| stay.contains(id)));
        after = page.next;
        let Some(cursor) = after else { break };
        // The row that the cursor names goes, one comes, one moves to another list.
        let n = cursor.id.to_words().1;
        if n % 4 == 0 {
            w.delete(n, false).unwrap();
        } else if n % 2 == 0 {
            w.spill(n, Tier::Disk).unwrap();
        }
        w.create(next, 1, Tier::Ram);
        next += 1;
        w.settle();
    }
    assert_eq!(seen, stay.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn a_row_counts_the_leases_on_all_blocks_of_its_payload() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    w.allocate(request(2, 10, Tier::Ram)).unwrap();
    w.settle();
    w.lease(1);
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.lease(1);
    let leases: Vec<u32> = w.listed(None).into_iter().map(|row| row.leases).collect();
    assert_eq!(leases, [0, 2], "what is only allocated has none");
}

#[test]
fn a_page_of_nothing_is_empty() {
    let mut w = World::new([0, 100, 0, 0]);
    assert_eq!(w.ledger.page(None, 10, None, w.now), payload_manager_core::ledger::Page::default());
}

#[test]
fn leases_are_listed_with_the_copy_they_keep_though_their_payload_has_moved_or_gone() {
    let mut w = World::new([0, 100, 100, 0]);
    w.create(1, 10, Tier::Ram);
    w.create(2, 20, Tier::Ram);
    w.lease_for(1, 5_000).unwrap();
    w.spill(1, Tier::Disk).unwrap();
    w.settle();
    w.lease_for(1, 9_000).unwrap();
    w.lease_for(2, 5_000).unwrap();
    w.delete(2, true).unwrap();
    w.settle();
    let mut list = |of: Option<u64>| {
        let (mut rows, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let page = w.ledger.leases(of.map(id), 1, at, w.now);
            rows.extend(
                page.rows.into_iter().map(|r| (r.payload, r.tier, r.size, r.expires.0 - w.now.wall.0, r.revoked)),
            );
            from = page.next;
        }
        rows
    };
    let of_one = [(id(1), Tier::Ram, 10, 5_000, false), (id(1), Tier::Disk, 10, 9_000, false)];
    let of_two = [(id(2), Tier::Ram, 20, 5_000, true)];
    assert_eq!((list(Some(1)), list(Some(2))), (of_one.to_vec(), of_two.to_vec()));
    assert_eq!((list(None), list(Some(3))), ([&of_one[..], &of_two].concat(), Vec::new()));
}
