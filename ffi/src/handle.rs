//! Handles: what C holds instead of pointers to our memory. One that is null, closed or made up is found out.
//!
//! A handle is no address. It has the type it is of, the index of a slot and the slot's generation:
//!
//! ```text
//! 63            27 26            5 4    0
//! generation (37)   index (22)     kind (5), never 0
//! ```
//!
//! The highest bit is always 1, so that no address of a program and no small number is a handle, and following one crashes
//! at once.
//!
//! Slots are never given back to the allocator, so looking at one is always legal. A slot's word says which generation is
//! in it, whether that is open, and how many threads are in a call with it:
//!
//! ```text
//! generation (37) | CLOSING | OPEN | users (25)
//!
//! free ──open──► OPEN ──close, nobody in a call──► free, one generation on
//!                  └──close, somebody is──► CLOSING ──the last one leaves──► free, one generation on
//! ```
//!
//! Nothing here blocks: a child that was forked while another thread had a lock finds it locked for ever.

use std::cell::{RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::thread::LocalKey;

use parking_lot::Mutex;

const KIND_BITS: u32 = 5;
const INDEX_BITS: u32 = 22;
const GENERATION_SHIFT: u32 = KIND_BITS + INDEX_BITS;

const OPEN: u64 = 1 << 25;
const CLOSING: u64 = 1 << 26;
const USERS: u64 = OPEN - 1;

/// The generation that every slot begins with.
const FIRST_GENERATION: u64 = 1 << (64 - GENERATION_SHIFT - 1);
/// The first chunk's slots; each has twice as many as the one before.
const FIRST: u32 = 64;
/// So many that every index has a place.
const CHUNKS: usize = 17;
/// Free slots that a thread keeps for itself.
const SPARE: usize = 64;

const _: () = assert!(usize::BITS == 64, "a handle has 64 bits");
const _: () = assert!(CLOSING << 1 == 1 << GENERATION_SHIFT);

/// A type that C has handles of.
pub(crate) trait Kind: Sized + Send + Sync + 'static {
    /// What C calls it.
    type Handle;
    /// Told apart by this number, from 1 to 31.
    const NUMBER: u64;

    fn pool() -> &'static Pool<Self>;
    fn spare() -> &'static LocalKey<Spare<Self>>;
}

/// Makes `$inside` the type behind the handles `$outside`.
macro_rules! handles {
    ($inside:ty => $outside:ty, $number:literal) => {
        impl $crate::handle::Kind for $inside {
            type Handle = $outside;
            const NUMBER: u64 = $number;

            fn pool() -> &'static $crate::handle::Pool<Self> {
                static POOL: $crate::handle::Pool<$inside> = $crate::handle::Pool::new();
                &POOL
            }

            fn spare() -> &'static std::thread::LocalKey<$crate::handle::Spare<Self>> {
                thread_local! {
                    static SPARE: $crate::handle::Spare<$inside> = const { $crate::handle::Spare::new() };
                }
                &SPARE
            }
        }
    };
}
pub(crate) use handles;

/// Why a handle does not lead anywhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Null, closed, of another type, or never given out.
    Invalid,
    /// Another thread is in a call with it.
    Busy,
}

#[repr(align(64))]
struct Slot<T> {
    word: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// All slots of one type.
pub(crate) struct Pool<T> {
    chunks: [AtomicPtr<Slot<T>>; CHUNKS],
    fresh: AtomicU32,
    free: Mutex<Vec<u32>>,
}

// SAFETY: A slot's value is only reached through its word, which lets `&T` to many threads (T: Sync) while it is open, and
// the value itself to the one (T: Send) that closed it.
unsafe impl<T: Send + Sync> Sync for Pool<T> {}

/// Free slots of one thread, which go to the pool when it ends.
pub(crate) struct Spare<T: Kind>(RefCell<Vec<u32>>, std::marker::PhantomData<T>);

impl<T: Kind> Spare<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()), std::marker::PhantomData)
    }
}

impl<T: Kind> Drop for Spare<T> {
    fn drop(&mut self) {
        if let Some(mut free) = T::pool().free.try_lock() {
            free.append(self.0.get_mut());
        }
    }
}

impl<T: Kind> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            fresh: AtomicU32::new(0),
            free: Mutex::new(Vec::new()),
        }
    }

    /// The slot of that index, if it was ever used.
    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, at) = place(index);
        let first = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: a chunk that is there has `FIRST << chunk` slots, more than `at`, and is never freed.
        Some(unsafe { &*first.add(at) })
    }

    /// The slot of that index, in a new chunk if need be.
    fn slot_or_new(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, _) = place(index);
        let home = self.chunks.get(chunk)?;
        if home.load(Ordering::Acquire).is_null() {
            let slot = || Slot {
                word: AtomicU64::new(FIRST_GENERATION << GENERATION_SHIFT),
                value: UnsafeCell::new(MaybeUninit::uninit()),
            };
            let slots: Box<[Slot<T>]> = (0..FIRST << chunk).map(|_| slot()).collect();
            let mine = Box::into_raw(slots);
            let put = home.compare_exchange(ptr::null_mut(), mine.cast(), Ordering::AcqRel, Ordering::Acquire);
            if put.is_err() {
                // SAFETY: `mine` came from `into_raw` just now, and nobody else has seen it.
                drop(unsafe { Box::from_raw(mine) });
            }
        }
        self.slot(index)
    }

    /// A free slot: this thread's, the pool's, or one that never was used.
    fn take_index(&self) -> Option<u32> {
        let mine = T::spare().try_with(|spare| {
            let mut spare = spare.0.borrow_mut();
            spare.pop().or_else(|| {
                let mut free = self.free.try_lock()?;
                let keep = free.len().saturating_sub(SPARE / 2);
                spare.extend(free.drain(keep..));
                spare.pop()
            })
        });
        if let Ok(Some(index)) = mine {
            return Some(index);
        }
        let next = |fresh: u32| (fresh < 1 << INDEX_BITS).then_some(fresh + 1);
        self.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    fn give_index(&self, index: u32) {
        // A thread that is ending, or whose pool is locked for ever, leaves its slot unused.
        let _ = T::spare().try_with(|spare| {
            let mut spare = spare.0.borrow_mut();
            spare.push(index);
            if spare.len() > SPARE
                && let Some(mut free) = self.free.try_lock()
            {
                free.extend(spare.drain(SPARE / 2..));
            }
        });
    }

    /// The slot that a handle names, its index, and its word less users and flags.
    #[inline]
    fn find(&self, handle: *const T::Handle) -> Result<(&Slot<T>, u32, u64), Miss> {
        let bits = handle.addr() as u64;
        if bits & ((1 << KIND_BITS) - 1) != T::NUMBER {
            return Err(Miss::Invalid);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the index is taken out on purpose")]
        let index = (bits >> KIND_BITS) as u32 & ((1 << INDEX_BITS) - 1);
        let slot = self.slot(index).ok_or(Miss::Invalid)?;
        Ok((slot, index, bits >> GENERATION_SHIFT << GENERATION_SHIFT))
    }

    /// Takes the value out of a slot whose word this thread has made free, and lets it be used again.
    fn empty(&self, slot: &Slot<T>, index: u32) -> T {
        // SAFETY: the value was written when the slot was opened; this thread alone closed it, nobody is in a call with it,
        // and nobody opens it before `give_index`.
        let value = unsafe { (*slot.value.get()).assume_init_read() };
        self.give_index(index);
        value
    }

    /// The same where the value is not wanted: it is dropped where it lies. Should its drop panic, the slot stays unused.
    fn clear(&self, slot: &Slot<T>, index: u32) {
        // SAFETY: as in `empty`.
        unsafe { (*slot.value.get()).assume_init_drop() };
        self.give_index(index);
    }
}

/// Which chunk an index is in, and where.
#[inline]
fn place(index: u32) -> (usize, usize) {
    let chunk = (index + FIRST).ilog2() - FIRST.ilog2();
    (chunk as usize, (index + FIRST - (FIRST << chunk)) as usize)
}

/// A free slot that is this thread's alone, for a value that is still to be had: so it is moved once, and what can't have a
/// handle is not asked for.
pub(crate) struct Room<T: Kind> {
    slot: &'static Slot<T>,
    index: u32,
}

impl<T: Kind> Room<T> {
    /// One, unless there are too many handles of the type.
    #[inline]
    pub(crate) fn take() -> Option<Self> {
        let index = T::pool().take_index()?;
        T::pool().slot_or_new(index).map(|slot| Self { slot, index })
    }

    /// Gives `value` a handle.
    #[inline]
    pub(crate) fn open(self, value: T) -> *mut T::Handle {
        let Self { slot, index } = *std::mem::ManuallyDrop::new(self);
        // SAFETY: the slot is free and its index is this thread's alone, so nobody else reaches its value.
        unsafe { (*slot.value.get()).write(value) };
        let generation = slot.word.load(Ordering::Relaxed);
        slot.word.store(generation | OPEN, Ordering::Release);
        let bits = generation | u64::from(index) << KIND_BITS | T::NUMBER;
        #[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits")]
        ptr::without_provenance_mut(bits as usize)
    }
}

impl<T: Kind> Drop for Room<T> {
    fn drop(&mut self) {
        T::pool().give_index(self.index);
    }
}

/// Gives `value` a handle, unless there are too many.
pub(crate) fn open<T: Kind>(value: T) -> Option<*mut T::Handle> {
    Room::take().map(|room| room.open(value))
}

/// A thread that is in a call with a handle: until then what is behind it stays.
pub(crate) struct Inside<T: Kind> {
    slot: &'static Slot<T>,
    index: u32,
}

/// Enters a handle.
#[inline]
pub(crate) fn enter<T: Kind>(handle: *const T::Handle) -> Result<Inside<T>, Miss> {
    let (slot, index, generation) = T::pool().find(handle)?;
    let mut word = slot.word.load(Ordering::Relaxed);
    loop {
        if word & !USERS != generation | OPEN || word & USERS == USERS {
            return Err(Miss::Invalid);
        }
        match slot.word.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Ok(Inside { slot, index }),
            Err(now) => word = now,
        }
    }
}

impl<T: Kind> Deref for Inside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot was open when it was entered, and is not emptied before the last one has left.
        unsafe { (*self.slot.value.get()).assume_init_ref() }
    }
}

impl<T: Kind> Drop for Inside<T> {
    fn drop(&mut self) {
        let before = self.slot.word.fetch_sub(1, Ordering::AcqRel);
        if before & CLOSING != 0 && before & USERS == 1 {
            self.slot.word.store(next(before), Ordering::Release);
            T::pool().clear(self.slot, self.index);
        }
    }
}

/// The word of a slot that is free, one generation on.
fn next(word: u64) -> u64 {
    ((word >> GENERATION_SHIFT).wrapping_add(1) | FIRST_GENERATION) << GENERATION_SHIFT
}

/// Closes a handle and gives what was behind it, unless a call is under way with it.
pub(crate) fn take<T: Kind>(handle: *const T::Handle) -> Result<T, Miss> {
    free(handle).map(|(slot, index)| T::pool().empty(slot, index))
}

/// Makes the word of a handle's slot free, unless a call is under way with it. Its value is still there.
#[inline]
fn free<T: Kind>(handle: *const T::Handle) -> Result<(&'static Slot<T>, u32), Miss> {
    let (slot, index, generation) = T::pool().find(handle)?;
    let free = next(generation);
    match slot.word.compare_exchange(generation | OPEN, free, Ordering::AcqRel, Ordering::Relaxed) {
        Ok(_) => Ok((slot, index)),
        Err(word) if word & !USERS == generation | OPEN => Err(Miss::Busy),
        Err(_) => Err(Miss::Invalid),
    }
}

/// Closes a handle. What is behind it is dropped now, or when the last call with it is over.
pub(crate) fn close<T: Kind>(handle: *const T::Handle) -> Result<(), Miss> {
    match free(handle) {
        Err(Miss::Busy) => {}
        done => return done.map(|(slot, index)| T::pool().clear(slot, index)),
    }
    let inside = enter::<T>(handle)?;
    let mut word = inside.slot.word.load(Ordering::Relaxed);
    loop {
        if word & OPEN == 0 {
            return Err(Miss::Invalid);
        }
        match inside.slot.word.compare_exchange_weak(word, word ^ OPEN ^ CLOSING, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(now) => word = now,
        }
    }
}

#[cfg(test)]
mod tests;
