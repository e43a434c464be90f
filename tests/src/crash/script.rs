//! Short scripts that bring a daemon to a named point: what one witness does, step by step, with one payload.

use payload_manager_api::core::v1::Tier;

use super::belief::Stage;
use super::witness::{Dead, Wish, Witness};

/// One step. All but [`Do::Allocate`] and [`Do::Another`] are about the payload that was allocated first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Do {
    /// Allocates and writes it.
    Allocate(Tier),
    /// As above, with labels, which only the catalog holds.
    Labelled(Tier),
    /// As [`Do::Allocate`], smaller, to be committed by a copy.
    Strict(Tier),
    /// As above, in RAM, with labels.
    LabelledStrict,
    /// As [`Do::Allocate`]; eviction deletes it rather than moves it.
    Fleeting,
    /// Commits it.
    Commit,
    /// Takes a lease.
    Lease,
    /// Gives the last lease back.
    Release,
    /// Copies it to DISK and drops it from RAM.
    Spill,
    /// Copies it to OBJECT and drops it from RAM and DISK.
    SpillFar,
    /// Copies it to RAM.
    Promote,
    /// Deletes it.
    Delete,
    /// Deletes it whoever reads it.
    Force,
    /// Appends it to the stream.
    Append,
    /// Allocates another payload, for which the first has to make room.
    Another,
}

/// More than half of [`RAM`].
const SIZE: usize = 600 << 10;
/// Fits twice, as a commit by a copy needs it, and takes several reads.
const STRICT_SIZE: usize = 400 << 10;
/// The RAM of a daemon that scripts run on.
pub const RAM: &str = "1MiB";

/// A script, cut in two by the death of the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// What it is about.
    pub name: &'static str,
    /// Done before, undisturbed.
    pub before: &'static [Do],
    /// The daemon dies in the middle of this.
    pub act: &'static [Do],
    /// At these points, each in a run of its own.
    pub points: &'static [&'static str],
}

impl Witness {
    /// Carries out a script.
    ///
    /// # Errors
    /// [`Dead`]: the rest was not done.
    pub async fn play(&mut self, script: &[Do]) -> Result<(), Dead> {
        for step in script {
            self.step(*step).await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: Do) -> Result<(), Dead> {
        let wish = |tier| Wish { tier, size: SIZE, labelled: false, fleeting: false, strict: false };
        let strict = |tier| Wish { strict: true, size: STRICT_SIZE, ..wish(tier) };
        match step {
            Do::Allocate(tier) => self.allocate(wish(tier)).await.map(drop),
            Do::Labelled(tier) => self.allocate(Wish { labelled: true, ..wish(tier) }).await.map(drop),
            Do::Strict(tier) => self.allocate(strict(tier)).await.map(drop),
            Do::LabelledStrict => self.allocate(Wish { labelled: true, ..strict(Tier::Ram) }).await.map(drop),
            Do::Fleeting => self.allocate(Wish { fleeting: true, ..wish(Tier::Ram) }).await.map(drop),
            Do::Another => self.allocate(wish(Tier::Ram)).await.map(drop),
            Do::Commit => self.commit(0).await,
            Do::Lease => self.lease(0).await,
            Do::Release => self.release(0).await,
            Do::Spill => self.spill(0).await,
            Do::SpillFar => self.spill_to(0, Tier::Object).await,
            Do::Promote => self.promote(0).await,
            Do::Delete => self.delete(0, false).await,
            Do::Force => self.delete(0, true).await,
            Do::Append => self.append(&[0]).await,
        }
    }

    /// Gives every lease back and deletes everything.
    ///
    /// # Errors
    /// [`Dead`].
    pub async fn clear(&mut self) -> Result<(), Dead> {
        for at in 0..self.payloads.len() {
            while !self.payloads[at].claims.is_empty() {
                self.release(at).await?;
            }
            if self.payloads[at].stage != Stage::Gone {
                self.delete(at, true).await?;
            }
        }
        Ok(())
    }
}
