//! What the person who looks on sees while the demo runs: sentences, and a progress bar for each stage where standard
//! error is a terminal. Results are not shown here: they go to standard output.

use std::collections::BTreeMap;
use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        let Some(bar) = self.of.get(&stage) else { return };
        bar.inc(bytes);
        if Some(bar.position()) >= bar.length() {
            // Its clock stops.
            bar.abandon();
        }
    }

    /// Leaves the bars as they are and draws them no more: what is written from here on stands below them.
    pub(super) fn close(&self) {
        self.of.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        if !self.bars.is_hidden() && !self.of.is_empty() {
            // The cursor stands at the end of the last one.
            let _ = writeln!(std::io::stderr());
        }
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }
}
