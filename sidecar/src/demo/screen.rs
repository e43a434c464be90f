//! What the person who looks on sees while the demo runs: sentences, and a progress bar for each stage where standard
//! error is a terminal. Results are not shown here: they go to standard output.

use std::collections::BTreeMap;
use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::Stage;

/// Sentences and bars on standard error.
pub(super) struct Screen {
    bars: MultiProgress,
    of: BTreeMap<Stage, ProgressBar>,
}

impl Screen {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { bars: MultiProgress::new(), of: BTreeMap::new() }
    }

    /// Says it above the bars. That nobody can see it is no reason to stop.
    pub(super) fn say(&self, sentence: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{sentence}");
        });
    }

    /// Starts a stage's bar, of so many bytes.
    pub(super) fn begin(&mut self, stage: Stage, bytes: u64) {
        let style = ProgressStyle::with_template("  {prefix:<26} {bar:32} {bytes:>11} of {total_bytes:<11} {elapsed}");
        let bar = self.bars.add(ProgressBar::new(bytes));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(match stage {
            Stage::Put => "put and append",
            Stage::Check => "follow, lease and check",
            Stage::Spill => "spill",
            Stage::Recheck => "promote and check again",
        });
        self.of.insert(stage, bar);
    }

    /// So many bytes of a stage are done.
    pub(super) fn advance(&self, stage: Stage, bytes: u64) {
        if let Some(bar) = self.of.get(&stage) {
            bar.inc(bytes);
        }
    }

    /// Leaves the bars as they are and draws them no more.
    pub(super) fn close(&self) {
        self.of.values().for_each(ProgressBar::abandon);
    }
}
