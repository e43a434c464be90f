//! What a payload costs the ledger in memory, and whether a page of the listing costs the same among very many: run by
//! hand, with the number of payloads as argument.
//!
//! ```text
//! cargo run --release -p payload-manager-core --example scale -- 1000000
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers")]
#![allow(unreachable_pub, dead_code, reason = "shared with the tests")]

#[path = "../tests/rules/plain.rs"]
mod plain;

use std::time::{Duration, Instant};

use payload_manager_core::Ledger;
use payload_manager_core::facts::Labels;
use payload_manager_core::ledger::{AllocateRequest, Cursor, Limits, Watermarks};
use payload_manager_core::payload::Payload;
use payload_manager_types::{EvictionPolicy, PayloadId, Place, Protection, Tier};

use plain::{NOW, PlainBoard};

fn limits() -> Limits {
    Limits {
        capacity: [None, Some(1 << 50), Some(1 << 50), None],
        max_payload: 1 << 40,
        max_payloads: 1 << 24,
        lease_default_ms: 20_000,
        lease_max_ms: 120_000,
        watermarks: Watermarks::default(),
        page: 4096,
    }
}

fn request(n: u64) -> AllocateRequest {
    AllocateRequest {
        id: PayloadId::from_words(n, !n),
        size: 4096,
        tier: Tier::Ram,
        place: Place::OWN,
        ttl_ms: 0,
        no_evict: false,
        policy: EvictionPolicy::default(),
        protection: Protection::Shared,
        reclaim_after_ms: 600_000,
        labels: Labels::default(),
    }
}

fn filled(count: u64) -> Ledger<PlainBoard> {
    let mut ledger = plain::ledger(limits());
    (0..count).for_each(|n| plain::create(&mut ledger, request(n)));
    ledger
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The median of a page of 50 rows in the middle of a listing.
fn page(ledger: &mut Ledger<PlainBoard>, count: u64) -> Duration {
    let middle = Cursor { created: NOW.wall, id: PayloadId::from_words(count / 2, !(count / 2)) };
    let mut times: Vec<Duration> = (0..2_001)
        .map(|_| {
            let begin = Instant::now();
            assert_eq!(ledger.page(None, 50, Some(middle), NOW).rows.len(), 50);
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut small = filled(1_000);
    let few = page(&mut small, 1_000);
    let before = resident();
    let mut ledger = filled(count);
    let bytes = resident() - before;
    println!("a payload is {} bytes; {count} of them take {} bytes each", size_of::<Payload>(), bytes / count);
    println!("a page of 50: {few:?} of 1,000 payloads, {:?} of {count}", page(&mut ledger, count));
}
