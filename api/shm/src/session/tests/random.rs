//! Two sessions, a daemon and a model of who holds what, through random moves.

use std::collections::HashMap;

use super::*;
use crate::layout::mix;

const PAYLOADS: u64 = 20;

fn random(state: &mut u64, below: u64) -> u64 {
    *state = mix(*state, &[1]);
    (*state >> 16) % below
}

/// What the daemon must find: for each payload, claims and pins.
fn expected(held: &[(u64, bool, Lease)]) -> HashMap<u64, (u32, u32)> {
    let mut counts = HashMap::new();
    for (n, live, _) in held {
        let (claims, pins) = counts.entry(*n).or_insert((0, 0));
        *claims += u32::from(*live);
        *pins += 1;
    }
    counts
}

#[test]
fn stable_lease_the_daemon_sees_what_clients_hold_through_any_moves() {
    let mut daemon = Daemon::new(PAYLOADS);
    let tables: Vec<_> = (0..2).map(|_| daemon.session().1).collect();
    let mut held: Vec<(u64, bool, Lease)> = Vec::new();
    let mut state = 3;
    for step in 0..6_000 {
        let n = random(&mut state, PAYLOADS);
        match random(&mut state, 40) {
            0..20 => match tables[usize::from(random(&mut state, 2) == 1)].take(id(n), RAM) {
                Ok(lease) => held.push((n, true, lease)),
                Err(why) => assert!(held.len() > 500 && why == Fallback::NoSlot, "{why:?} with {}", held.len()),
            },
            20..37 if !held.is_empty() => {
                let at = usize::try_from(random(&mut state, held.len() as u64)).unwrap();
                let (_, live, lease) = held.swap_remove(at);
                assert_eq!(lease.is_valid(), live);
            }
            37 if random(&mut state, 10) == 0 => {
                let index = daemon.block(n).index;
                daemon.directory.close(index);
                let lost = held.iter_mut().filter(|(of, live, _)| *of == n && *live);
                let lost = lost.map(|(_, live, _)| *live = false).count();
                assert_eq!(daemon.pages.revoke(index) as usize, lost);
                daemon.directory.publish(index, &face(n));
            }
            38 if random(&mut state, 20) == 0 => assert!(daemon.restart().is_empty()),
            _ => {}
        }
        if step % 50 == 0 {
            let expected = expected(&held);
            let blocks: Vec<_> = (0..PAYLOADS).map(|n| daemon.block(n)).collect();
            let found = daemon.pages.holders(&blocks, monotonic_ms());
            for (n, found) in (0..PAYLOADS).zip(found) {
                let wanted = expected.get(&n).copied().unwrap_or_default();
                assert_eq!((found.live, found.pinning), wanted, "payload {n} at step {step}");
            }
        }
    }
    drop(held);
    assert_eq!(daemon.pages.all(monotonic_ms()).count(), 0);
}
