//! One payload down to DISK and up again, against a plain program that writes and reads the same bytes.
//!
//! The plain program opens a new file, writes from memory and calls fsync; reading, it fills memory that nobody has
//! touched. It passes the page cache by wherever that is possible, as the daemon does. It makes no checksum, gives the
//! file no second name and tells no catalog.

use std::time::Instant;

use super::Ground;
use crate::daemon::Daemon;
use crate::row::{Row, Target};
use crate::sample::{Beside, millis};
use crate::{Result, floor};

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let (copy, copies) = (ground.scale.copy, ground.scale.copies);
    let room = 4 * copy as u64;
    let daemon = Daemon::start_new(ground.base, room, room).await?;
    let mut rpc = daemon.rpc().await?;
    let bytes = floor::noise(copy);
    let (mut down, mut up) = (Beside::default(), Beside::default());
    for round in 0..=copies {
        let id = rpc.put(&bytes).await?;
        let path = daemon.beside().join(format!("plain-{round}"));
        let begun = Instant::now();
        rpc.spill(vec![id.clone()]).await?;
        let spilled = begun.elapsed();
        let wrote = floor::write(&path, &bytes)?;
        let begun = Instant::now();
        rpc.promote(&id).await?;
        let promoted = begun.elapsed();
        let read = floor::read(&path, copy)?;
        rpc.delete(Some(id)).await?;
        std::fs::remove_file(&path)?;
        // The first one warms up.
        if round > 0 {
            down.ours.add(millis(spilled));
            down.floor.add(millis(wrote));
            up.ours.add(millis(promoted));
            up.floor.add(millis(read));
        }
    }
    ground.tell(Row::beside("spill.64m", "ms", &down, "write and fsync, plain program", Target::Times(1.25)))?;
    ground.tell(Row::beside("promote.64m", "ms", &up, "read into memory, plain program", Target::Times(1.25)))
}
