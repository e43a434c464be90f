//! The edge: every function of the header runs its work in here. No panic crosses it, and what failed is remembered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Answer, Failure, pm_status, remember};

/// Runs `work` and answers how it went.
pub(crate) fn call(work: impl FnOnce() -> Answer) -> pm_status {
    // What a panic leaves half done is behind handles, whose values stay whole: they hold no lock of ours, and are dropped
    // when they are closed.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(status)) => status,
        Ok(Err(failure)) => remember(failure),
        Err(_) => remember(Failure::bug()),
    }
}

/// The same for functions that answer with a value, and can't fail.
pub(crate) fn value<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(call(|| std::panic::resume_unwind(Box::new("a bug"))), pm_status::PM_INTERNAL);
        assert_eq!(value(7, || std::panic::resume_unwind(Box::new("a bug"))), 7);
    }
}
