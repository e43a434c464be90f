//! The end of the demo: its results as a table for people, or as JSON for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::measure::{Figures, Measured};
use super::plan::Measure;
use crate::config::units::size_for_people;

/// All that was found out.
#[derive(Debug, Clone, Default)]
pub(super) struct Results {
    /// Files that were to be put.
    pub(super) files: usize,
    /// Payloads that were put.
    pub(super) payloads: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Payloads that were checked after everything had been on DISK: the second time.
    pub(super) checked_twice: u64,
    /// What RAM could hold, in bytes.
    pub(super) ram: u64,
    /// Payloads that had left RAM for DISK, to make room, when all were put.
    pub(super) made_room: u64,
    /// Payloads larger than RAM.
    pub(super) never_in_ram: u64,
    /// Files that were not put, and why.
    pub(super) skipped: BTreeMap<String, String>,
    /// Files that changed after they were put.
    pub(super) changed: Vec<String>,
    /// What is wrong, with the file.
    pub(super) wrong: Vec<String>,
    /// What was measured.
    pub(super) measured: Measured,
    /// How long it took from the first put to the last check.
    pub(super) took: Duration,
    /// Why it did not come to its end, if it did not.
    pub(super) failed: Option<String>,
}

impl Results {
    /// Whether every byte of every payload was right, twice.
    pub(super) fn all_right(&self) -> bool {
        self.wrong.is_empty()
            && self.failed.is_none()
            && self.checked_twice == self.payloads
            && self.payloads > 0
            && self.payloads + self.skipped.len() as u64 == self.files as u64
    }

    /// The table, without a line break at its end.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["", "payloads", "bytes", "p50", "p99", "slowest", "rate"]);
        for what in Measure::ALL {
            if let Some(figures) = self.measured.figures(what) {
                table.add_row(row(what, &figures));
            }
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n{}", self.summary())
    }

    fn summary(&self) -> String {
        let (payloads, bytes, ram) = (self.payloads, size_for_people(self.bytes), size_for_people(self.ram));
        let mut lines = vec![format!(
            "{payloads} payloads, {bytes}, through {ram} of RAM in {}; {} of them had to make room there for others.",
            time(self.took),
            self.made_room
        )];
        lines.extend(self.difference());
        if self.never_in_ram > 0 {
            lines.push(format!("{} are larger than RAM and were on DISK only.", self.never_in_ram));
        }
        lines.extend(self.skipped.iter().map(|(file, why)| format!("Not put: {file}: {why}.")));
        let changed = |file| format!("Changed since it was put, checked by its checksum instead: {file}.");
        lines.extend(self.changed.iter().map(changed));
        lines.extend(self.wrong.iter().take(MOST_WRONG).map(|what| format!("WRONG: {what}")));
        if self.wrong.len() > MOST_WRONG {
            lines.push(format!("WRONG: {} more.", self.wrong.len() - MOST_WRONG));
        }
        lines.join("\n")
    }

    /// What shared memory is worth.
    fn difference(&self) -> Option<String> {
        let median = |what| Some(self.measured.figures(what)?.p50);
        let (again, by_call) = (median(Measure::LeaseAgain)?, median(Measure::LeaseByCall)?);
        let times = by_call.as_nanos().checked_div(again.as_nanos())?;
        Some(format!(
            "A lease on a payload at hand, taken and given back in shared memory: {}; by a call each: {} ({times} times).",
            time(again),
            time(by_call)
        ))
    }

    /// The same for programs. Times are in nanoseconds.
    pub(super) fn json(&self) -> Value {
        let figures = |what: Measure| {
            let name = serde_json::to_value(what).ok()?.as_str()?.to_owned();
            Some((name, json_of(&self.measured.figures(what)?)))
        };
        json!({
            "ok": self.all_right(),
            "failed": self.failed,
            "files": self.files,
            "payloads": self.payloads,
            "bytes": self.bytes,
            "checked_twice": self.checked_twice,
            "ram_bytes": self.ram,
            "made_room": self.made_room,
            "never_in_ram": self.never_in_ram,
            "skipped": self.skipped,
            "changed": self.changed,
            "wrong": self.wrong,
            "took_ns": nanos(self.took),
            "measured": Measure::ALL.into_iter().filter_map(figures).collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// How many wrong payloads the table names.
const MOST_WRONG: usize = 10;

fn name(what: Measure) -> &'static str {
    match what {
        Measure::Put => "put",
        Measure::Append => "append",
        Measure::Lease => "lease",
        Measure::LeaseAgain => "lease again",
        Measure::LeaseByCall => "lease again, by call",
        Measure::FirstByteRam => "first byte, RAM",
        Measure::FirstByteDisk => "first byte, DISK",
        Measure::Spill => "spill",
        Measure::Promote => "promote",
    }
}

fn row(what: Measure, figures: &Figures) -> [String; 7] {
    let rate = figures.rate().filter(|_| what.moves_bytes());
    [
        name(what).to_owned(),
        figures.count.to_string(),
        size_for_people(figures.bytes),
        time(figures.p50),
        time(figures.p99),
        time(figures.slowest),
        rate.map(|rate| format!("{}/s", size_for_people(rate))).unwrap_or_default(),
    ]
}

fn json_of(figures: &Figures) -> Value {
    json!({
        "count": figures.count,
        "bytes": figures.bytes,
        "p50_ns": nanos(figures.p50),
        "p99_ns": nanos(figures.p99),
        "slowest_ns": nanos(figures.slowest),
        "total_ns": nanos(figures.total),
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A time in three figures, or in whole seconds: `310 ns`, `812 µs`, `4.07 ms`, `31.2 s`.
fn time(time: Duration) -> String {
    let (value, unit) = match time.as_nanos() {
        0..1000 => (time.as_secs_f64() * 1e9, "ns"),
        1000..1_000_000 => (time.as_secs_f64() * 1e6, "µs"),
        1_000_000..1_000_000_000 => (time.as_secs_f64() * 1e3, "ms"),
        _ => (time.as_secs_f64(), "s"),
    };
    let decimals = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests;
