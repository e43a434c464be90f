//! The bytes of the shared pages: what stands where, checked when this is compiled.
//!
//! All words are in the byte order of the host: these pages never leave it. Every object starts with a header of one
//! page (4,096 bytes), of which 128 bytes are in use:
//!
//! | byte | size | what |
//! | ---: | ---: | --- |
//! | 0 | 8 | magic `PAYLOADM` |
//! | 8 | 8 | layout version (low 32 bits), kind of page (high 32 bits) |
//! | 16 | 16 | instance id, big-endian halves |
//! | 32 | 16 | boot id, big-endian halves |
//! | 48 | 8 | epoch: `CLOCK_MONOTONIC` in ms when the page was made |
//! | 56 | 8 | max: how many items there can be |
//! | 64 | 8 | grown: how many of them have memory behind them |
//! | 72 | 8 | state of a lease page: 1 open, 2 closed; else 0 |
//! | 80 | 8 | reach of a session's lease page: no slot at or beyond line `reach` (8 slots each) was ever used; else 0 |
//! | 88 | 40 | zero |
//!
//! **Directory** (kind 1): header · buckets · entries.
//!
//! A bucket is 4 bytes: entry index + 1 (low 24 bits; 0 = empty) and a tag, the top 8 bits of the id's hash. Their
//! number is the power of two that is at least twice `max`; probing is linear from `hash & (buckets - 1)`. They are padded to a
//! whole page. An entry is 128 bytes, of which a lookup reads the first 64:
//!
//! | byte | what |
//! | ---: | --- |
//! | 0 | sequence number: odd while written; never reset |
//! | 8 | payload id, high half (both 0: vacant) |
//! | 16 | payload id, low half |
//! | 24 | version |
//! | 32 | offset in the unit |
//! | 40 | length |
//! | 48 | unit (low 32 bits) · block generation of the copy in GPU, RAM, DISK, OBJECT (8 bits each, from bit 32) |
//! | 56 | expires, Unix ms (low 48 bits; 0: never) · tier (4) · state (4; 9 = closed) · last generation given (8) |
//! | 64 | created, Unix ms |
//! | 72 | policy (16) · protection (8) · checksum known (1) · 0 (39) |
//! | 80 | XXH3-128, two halves |
//! | 96 | zero |
//!
//! **Records** (kind 2): header · records of 128 bytes:
//!
//! | byte | what |
//! | ---: | --- |
//! | 0 | state: 0 free, 1 reserved, 2 live, 3 retired, 4 deleting; stored last |
//! | 8 | payload id, two halves |
//! | 24 | length |
//! | 32 | created, Unix ms |
//! | 40 | expires, Unix ms; 0: never |
//! | 48 | policy (16) · protection (8) · flags (8; 1 = no evict) · preferred tier (8) · 0 (24) |
//! | 56 | check of bytes 8 to 55 |
//! | 64 | unit (32) · 0 (32) |
//! | 72 | offset in the unit |
//! | 80 | entry index (24) · generation (8) · has that name (1) · checksum known (1) · 0 (30) |
//! | 88 | XXH3-128, two halves |
//! | 104 | version |
//! | 112 | an allocation is abandoned at, Unix ms; 0: it is none |
//! | 120 | zero |
//!
//! **Leases of RPC callers** (kind 3): header · slots (8 bytes each, see `slot`) · nonces (8 bytes each).
//!
//! **Leases of a session** (kind 4; `max` and `grown`: its slots, a multiple of 8): header · read bits, one for each
//! entry of the directory: bit `i & 63` of word `i >> 6`, padded to a cache line · leases taken so far, a counter (8 bytes) for
//! each line of 8 slots: that of line `l` of `n` is number `(l % 8) * (n / 8) + l / 8`, so that neighbours share no cache line;
//! padded to a whole page · slots (8 bytes each, see `slot`).

#![allow(unsafe_code, reason = "says which types are made of atomics alone")]

use std::mem::offset_of;

use payload_manager_types::PayloadId;

use crate::entry::Entry;
use crate::map::Shared;
use crate::sync::AtomicU64;

/// The layout that this program writes. Raised with every change of the tables above.
pub const VERSION: u32 = 3;
pub(crate) const MAGIC: u64 = u64::from_ne_bytes(*b"PAYLOADM");
/// Where the items of a page start.
pub(crate) const HEADER_BYTES: usize = 4096;
/// Unit of what is backed by memory.
pub(crate) const PAGE_BYTES: usize = 4096;

/// The front of every page.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) version_and_kind: AtomicU64,
    pub(crate) instance: [AtomicU64; 2],
    pub(crate) boot: [AtomicU64; 2],
    pub(crate) epoch_ms: AtomicU64,
    pub(crate) max: AtomicU64,
    pub(crate) grown: AtomicU64,
    pub(crate) state: AtomicU64,
    pub(crate) reach: AtomicU64,
    zero: [AtomicU64; 5],
}

/// What a lookup reads of an entry of the directory.
pub(crate) type DirectoryEntry = Entry<AtomicU64, 7>;

/// An entry of the directory: the sequence number of its first half guards all of it.
#[repr(C, align(64))]
pub(crate) struct DirectoryItem {
    pub(crate) entry: DirectoryEntry,
    pub(crate) details: [AtomicU64; 4],
    zero: [AtomicU64; 4],
}

/// A record of the daemon's.
#[repr(C, align(64))]
pub(crate) struct RecordWords {
    pub(crate) state: AtomicU64,
    pub(crate) fixed: [AtomicU64; 6],
    pub(crate) check: AtomicU64,
    pub(crate) unit: AtomicU64,
    pub(crate) offset: AtomicU64,
    pub(crate) name: AtomicU64,
    pub(crate) hash: [AtomicU64; 2],
    pub(crate) version: AtomicU64,
    pub(crate) reclaim_at: AtomicU64,
    zero: AtomicU64,
}

// SAFETY: `repr(C)`, atomic words alone, no padding (asserted below), aligned to 8.
unsafe impl Shared for Header {}
// SAFETY: `repr(C)`, atomic words alone, no padding (asserted below), aligned to 64.
unsafe impl Shared for DirectoryItem {}
// SAFETY: `repr(C)`, atomic words alone, no padding (asserted below), aligned to 64.
unsafe impl Shared for RecordWords {}

const _: () = {
    assert!(size_of::<Header>() == 128 && size_of::<Header>() <= HEADER_BYTES);
    assert!(offset_of!(Header, magic) == 0 && offset_of!(Header, version_and_kind) == 8);
    assert!(offset_of!(Header, instance) == 16 && offset_of!(Header, boot) == 32);
    assert!(offset_of!(Header, epoch_ms) == 48 && offset_of!(Header, max) == 56);
    assert!(offset_of!(Header, grown) == 64 && offset_of!(Header, state) == 72);
    assert!(offset_of!(Header, reach) == 80 && offset_of!(Header, zero) == 88);

    assert!(size_of::<DirectoryEntry>() == 64 && align_of::<DirectoryEntry>() == 64);
    assert!(offset_of!(DirectoryEntry, seq) == 0 && offset_of!(DirectoryEntry, body) == 8);
    assert!(size_of::<DirectoryItem>() == 128 && align_of::<DirectoryItem>() == 64);
    assert!(offset_of!(DirectoryItem, entry) == 0 && offset_of!(DirectoryItem, details) == 64);
    assert!(offset_of!(DirectoryItem, zero) == 96);

    assert!(size_of::<RecordWords>() == 128 && align_of::<RecordWords>() == 64);
    assert!(offset_of!(RecordWords, state) == 0 && offset_of!(RecordWords, fixed) == 8);
    assert!(offset_of!(RecordWords, check) == 56 && offset_of!(RecordWords, unit) == 64);
    assert!(offset_of!(RecordWords, offset) == 72 && offset_of!(RecordWords, name) == 80);
    assert!(offset_of!(RecordWords, hash) == 88 && offset_of!(RecordWords, version) == 104);
    assert!(offset_of!(RecordWords, reclaim_at) == 112 && offset_of!(RecordWords, zero) == 120);
};

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Directory = 1,
    Records = 2,
    RpcLeases = 3,
    SessionLeases = 4,
}

/// How many buckets a directory of `max` entries has: at most half of them in use.
#[inline]
pub(crate) const fn bucket_count(max: u32) -> usize {
    (max as usize * 2).next_power_of_two()
}

/// Where the entries of a directory start: after the header and the buckets, at a page.
#[inline]
pub(crate) const fn entries_at(max: u32) -> usize {
    (HEADER_BYTES + bucket_count(max) * size_of::<u32>()).next_multiple_of(PAGE_BYTES)
}

/// How many words of read bits a session's page has for a directory of `entries` entries.
pub(crate) const fn read_words(entries: u32) -> usize {
    (entries as usize).div_ceil(u64::BITS as usize)
}

/// Where the counters of a session's page start: after the header and the read bits, at a cache line.
pub(crate) const fn session_counters_at(entries: u32) -> usize {
    (HEADER_BYTES + read_words(entries) * size_of::<u64>()).next_multiple_of(64)
}

/// Which counter is a line's: those of neighbours, which other threads have, lie apart.
#[inline]
pub(crate) const fn counter_of(line: usize, lines: usize) -> usize {
    (line % 8) * (lines / 8) + line / 8
}

/// Where the slots of a session's page with so many lines start: after its counters, at a page.
pub(crate) const fn session_slots_at(entries: u32, lines: usize) -> usize {
    (session_counters_at(entries) + lines * size_of::<u64>()).next_multiple_of(PAGE_BYTES)
}

/// Mixes words into one: splitmix64's finaliser over a running sum. A check against damage, not against malice.
#[inline]
pub(crate) fn mix(seed: u64, words: &[u64]) -> u64 {
    words.iter().fold(seed, |sum, word| {
        let mut z = (sum ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// The hash of a payload's id in the directory of an instance: `mix` of the id's halves, seeded with the instance's.
#[inline]
pub(crate) fn hash(seed: u64, id: PayloadId) -> u64 {
    let (high, low) = id.to_words();
    mix(seed, &[high, low])
}

/// The low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(crate) const fn low32(word: u64) -> u32 {
    word as u32
}

/// Byte `at` of a word, from the low end.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(crate) const fn byte(word: u64, at: u32) -> u8 {
    (word >> (8 * at)) as u8
}

/// 16 bytes as two big-endian words, and back.
pub(crate) const fn words_of(bytes: [u8; 16]) -> [u64; 2] {
    let (high, low) = PayloadId::from_bytes(bytes).to_words();
    [high, low]
}

/// The inverse of [`words_of`].
pub(crate) const fn bytes_of(words: [u64; 2]) -> [u8; 16] {
    *PayloadId::from_words(words[0], words[1]).as_bytes()
}
