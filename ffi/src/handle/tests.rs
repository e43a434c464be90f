//! Handles by themselves: what is behind them is here as long as it must be, and dropped once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

struct Thing(Arc<AtomicUsize>);
struct Handle;
struct Other;
struct OtherHandle;

handles!(Thing => Handle, 30);
handles!(Other => OtherHandle, 31);

impl Drop for Thing {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn thing() -> (*mut Handle, Arc<AtomicUsize>) {
    let drops = Arc::new(AtomicUsize::new(0));
    (open(Thing(drops.clone())).unwrap(), drops)
}

#[test]
fn what_was_closed_is_closed_for_good() {
    let (handle, drops) = thing();
    assert!(enter::<Thing>(handle).is_ok());
    assert_eq!(close::<Thing>(handle), Ok(()));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(close::<Thing>(handle), Err(Miss::Invalid));
    assert!(matches!(enter::<Thing>(handle), Err(Miss::Invalid)));
    // The slot is used again, and the old handle is still not the new one.
    let (again, drops) = thing();
    assert_ne!(again, handle);
    assert_eq!(close::<Thing>(handle), Err(Miss::Invalid));
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    assert_eq!(close::<Thing>(again), Ok(()));
}

#[test]
fn nothing_made_up_leads_anywhere() {
    // The only handle of its type, so that no other test's bears the bits of one made up.
    let handle = open(Other).unwrap();
    let near = (0..64).map(|bit| ptr::without_provenance_mut::<OtherHandle>(handle.addr() ^ 1 << bit));
    let far = [0, 1, 31, 4096, usize::MAX].map(ptr::without_provenance_mut::<OtherHandle>);
    let local = 0u64;
    for bad in near.chain(far).chain([ptr::from_ref(&local).cast_mut().cast()]) {
        assert!(matches!(enter::<Other>(bad), Err(Miss::Invalid)), "{bad:?}");
        assert_eq!(close::<Other>(bad), Err(Miss::Invalid));
    }
    assert_eq!(close::<Thing>(handle.cast()), Err(Miss::Invalid));
    assert_eq!(close::<Other>(handle), Ok(()));
}

#[test]
fn what_is_in_a_call_is_kept_until_the_call_is_over() {
    let (handle, drops) = thing();
    let inside = enter::<Thing>(handle).unwrap();
    assert!(matches!(take::<Thing>(handle), Err(Miss::Busy)));
    assert_eq!(close::<Thing>(handle), Ok(()));
    assert!(enter::<Thing>(handle).is_err() && close::<Thing>(handle).is_err());
    assert_eq!(inside.0.load(Ordering::SeqCst), 0);
    drop(inside);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn threads_that_race_to_close_close_once() {
    for _ in 0..200 {
        let (handle, drops) = thing();
        let at = handle.addr();
        let closed: usize = std::thread::scope(|scope| {
            let race = move || {
                let handle = ptr::without_provenance::<Handle>(at);
                let seen = enter::<Thing>(handle).map(|inside| inside.0.load(Ordering::SeqCst));
                assert!(seen.is_err() || seen == Ok(0), "seen after it was dropped");
                usize::from(close::<Thing>(handle).is_ok())
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!((closed, drops.load(Ordering::SeqCst)), (1, 1));
    }
}

#[test]
fn every_index_has_its_own_place() {
    let mut last = None;
    for index in (0..100_000).chain((1 << INDEX_BITS) - 3..1 << INDEX_BITS) {
        let (chunk, at) = place(index);
        assert!(chunk < CHUNKS && at < (FIRST as usize) << chunk);
        assert!(last < Some((chunk, at)));
        last = Some((chunk, at));
    }
}
