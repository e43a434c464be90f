//! A client that writes what it likes, where it likes: it harms itself.

use super::*;
use crate::layout::{Header, session_slots_at};

fn whole(file: &File) -> u64 {
    file.metadata().unwrap().len()
}

/// Garbage everywhere: nothing panics, nothing hangs, and another session is not misled.
#[test]
fn garbage_all_over_a_page_harms_its_owner_alone() {
    let mut daemon = Daemon::new(100);
    let (bad, table) = daemon.session();
    let (_, honest) = daemon.session();
    let lease = honest.take(id(7), RAM).unwrap();
    let file = descriptor(daemon.pages.get(bad).unwrap());
    let mut state = 1u64;
    for round in 0u64..50 {
        let words = (0..whole(&file) / 8).map(|_| match round {
            0 => u64::MAX,
            1 => 0,
            _ => {
                state = crate::layout::mix(state, &[1]);
                state
            }
        });
        let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        file.write_all_at(&bytes, 0).unwrap();
        let now = monotonic_ms();
        let held = daemon.pages.get(bad).unwrap().held(now);
        assert!(held.len() <= SLOT_STEP as usize);
        daemon.pages.sweep(now, latest());
        let (live, pinning) = daemon.holders(7);
        assert!(live >= 1 && pinning <= 1 + SLOT_STEP);
        daemon.pages.collect_reads(|index| assert!(index.get() < ENTRIES));
        let _ = daemon.pages.count_by_entry(&[daemon.block(7).index], now);
        daemon.pages.revoke(daemon.block(8).index);
        let _ = (table.take(id(9), RAM), table.in_use(), table.is_open());
    }
    assert!(lease.is_valid());
    let (now, most) = (monotonic_ms(), latest());
    let closed = daemon.pages.get_mut(bad).unwrap().close(now, most);
    assert!(closed.iter().all(|held| held.deadline <= most), "not longer than is allowed to anyone");
    assert_eq!((daemon.pages.over(most.0), daemon.holders(7).0 >= 1), (vec![bad], true));
}

#[test]
fn what_a_client_writes_after_its_page_was_closed_pins_nothing_for_longer() {
    let mut daemon = Daemon::new(2);
    let (number, table) = daemon.session();
    let lease = table.take(id(0), RAM).unwrap();
    let now = monotonic_ms();
    let page = daemon.pages.get_mut(number).unwrap();
    page.close(now, LeaseDeadline(now + 1_000));
    let file = descriptor(page);
    file.write_all_at(&1u64.to_ne_bytes(), std::mem::offset_of!(Header, state) as u64).unwrap();
    assert!(lease.renew(MINUTE).is_ok() && table.take(id(1), RAM).is_ok(), "it fools itself, and the daemon not");
    assert_eq!((daemon.holders_at(0, now + 999), daemon.holders_at(0, now + 1_000)), ((1, 1), (0, 0)));
    let other = table.take(id(1), RAM);
    assert_eq!((daemon.holders_at(1, now), other.is_ok()), ((0, 0), true));
}

#[test]
fn a_page_that_is_cut_short_condemns_its_session_and_kills_nobody() {
    let mut daemon = Daemon::new(2);
    let (bad, table) = daemon.session();
    let (_, honest) = daemon.session();
    let (lease, mine) = (honest.take(id(0), RAM).unwrap(), table.take(id(0), RAM).unwrap());
    std::mem::forget(mine);
    assert_eq!(daemon.holders(0), (2, 2));
    assert!(daemon.pages.get(bad).unwrap().is_intact().unwrap());
    descriptor(daemon.pages.get(bad).unwrap()).set_len(0).unwrap();
    assert!(!daemon.pages.get(bad).unwrap().is_intact().unwrap());
    daemon.holders(0);
    assert_eq!(daemon.pages.get(bad).unwrap().standing(), Standing::Condemned);
    assert_eq!((daemon.holders(0), daemon.pages.over(monotonic_ms())), ((1, 1), vec![bad]));
    daemon.pages.sweep(monotonic_ms(), latest());
    daemon.pages.revoke(daemon.block(1).index);
    daemon.pages.collect_reads(|_| {});
    assert!(daemon.pages.get_mut(bad).unwrap().close(monotonic_ms(), latest()).is_empty());
    assert!(daemon.pages.remove(bad).unwrap() && lease.is_valid());
    // Its own next use of the page would be the signal that it asked for.
    std::mem::forget(table);
}

#[test]
fn pages_that_are_not_to_be_trusted_are_set_aside_after_a_restart() {
    let mut daemon = Daemon::new(1);
    let (short, _) = daemon.session();
    let (foreign, _) = daemon.session();
    let (wild, _) = daemon.session();
    let (future, _) = daemon.session();
    let (good, table) = daemon.session();
    let lease = table.take(id(0), RAM).unwrap();
    let file = |number| descriptor(daemon.pages.get(number).unwrap());
    file(short).set_len(4096).unwrap();
    file(foreign).write_all_at(&[1; 16], std::mem::offset_of!(Header, instance) as u64).unwrap();
    file(wild).write_all_at(&[0xff; 4096], 0).unwrap();
    file(future).write_all_at(&[0x7f; 8], std::mem::offset_of!(Header, epoch_ms) as u64).unwrap();
    let aside = daemon.restart();
    let mut why: Vec<_> = aside.iter().map(|found| (found.name.clone(), &found.why)).collect();
    why.sort_by_key(|(name, _)| name.clone());
    assert!(
        matches!(
            &why[..],
            [
                (_, OpenError::Torn { .. }),
                (_, OpenError::Foreign { .. }),
                (_, OpenError::Torn { .. }),
                (_, OpenError::Torn { .. })
            ]
        ),
        "{why:?}"
    );
    assert_eq!((daemon.pages.iter().count(), daemon.holders(0)), (1, (1, 1)));
    assert!(daemon.pages.get(good).is_some() && lease.is_valid());
    assert!(daemon.session().0 > good);
}

/// The slots begin where the layout says, whatever their owner writes into the header.
#[test]
fn a_header_full_of_lies_moves_no_slot() {
    let mut daemon = Daemon::new(1);
    let (number, table) = daemon.session();
    let lease = table.take(id(0), RAM).unwrap();
    let file = descriptor(daemon.pages.get(number).unwrap());
    let reach = std::mem::offset_of!(Header, reach) as u64;
    file.write_all_at(&[0xff; 72], 0).unwrap();
    file.write_all_at(&[0xff; 8], reach).unwrap();
    assert_eq!(daemon.holders(0), (1, 1));
    let mut word = [0; 8];
    file.read_exact_at(&mut word, session_slots_at(ENTRIES, SLOT_STEP as usize / 8) as u64).unwrap();
    assert_ne!(u64::from_ne_bytes(word), 0);
    drop(lease);
}
