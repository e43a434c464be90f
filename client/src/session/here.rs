//! Whether the thread that runs right now may wait: a blocking client's caller, which then fetches its answer by itself.

use std::cell::Cell;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, one poll of a future, on a thread that has nothing else to do.
pub(crate) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    let before = set(true);
    let done = work();
    set(before);
    done
}

/// Whether it may. One that panicked meanwhile is taken to wait still, until its next call says otherwise.
pub(super) fn may_wait() -> bool {
    MAY_WAIT.try_with(Cell::get).unwrap_or(false)
}

fn set(may: bool) -> bool {
    MAY_WAIT.try_with(|flag| flag.replace(may)).unwrap_or(false)
}
