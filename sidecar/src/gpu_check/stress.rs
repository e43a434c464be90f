//! Many payloads of many sizes, made, moved, read by the second process and deleted, for as long as was asked.

use std::time::{Duration, Instant};

use payload_manager_client::{PayloadId, Tier};
use serde_json::{Value, json};

use super::steps::Check;

/// Payloads at once.
const MOST: usize = 24;

/// Throws that are the same for everybody (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed >> 32).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16) % most.max(1)
    }
}

/// Runs for so long.
///
/// # Errors
/// The first thing that went wrong.
pub(super) fn run(check: &mut Check<'_>, time: Duration) -> Result<Value, String> {
    let until = Instant::now() + time;
    let (mut dice, mut ids, mut done) = (Dice(1), Vec::<PayloadId>::new(), 0u64);
    while Instant::now() < until {
        if ids.len() < MOST && dice.below(3) == 0 || ids.is_empty() {
            let magnitude = 8 + dice.below(15);
            let size = 1 + dice.below(1 << magnitude);
            ids.push(check.put(size, dice.below(4) == 0)?);
        }
        let at = usize::try_from(dice.below(ids.len() as u64)).unwrap_or(0);
        let Some(id) = ids.get(at).copied() else { continue };
        match dice.below(8) {
            0 => check.move_to(id, Tier::Ram).or_else(|_| check.move_to(id, Tier::Disk))?,
            1 => check.move_to(id, Tier::Disk)?,
            2 => {
                check.client.delete(id).map_err(|error| error.to_string())?;
                ids.swap_remove(at);
            }
            place => {
                check.second.view(id, if place < 5 { "gpu" } else { "any" })?;
                check.second.ask(&format!("drop {id}"))?;
            }
        }
        done += 1;
    }
    for id in ids {
        check.client.delete(id).map_err(|error| error.to_string())?;
    }
    Ok(json!({ "operations": done }))
}
