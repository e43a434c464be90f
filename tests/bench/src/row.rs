//! A row: one figure, its floor, its target, and whether it holds; as a line of a table or as JSON.

use serde::Serialize;

use crate::Result;
use crate::sample::{Beside, Samples};

/// What a figure is held to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At most so many times the floor.
    Times(f64),
    /// At most so many times the floor, at the 99th percentile of both.
    TimesP99(f64),
    /// At most so much of the figure's unit beyond the floor.
    Beyond(f64),
    /// At least this share of the floor.
    Share(f64),
    /// At most so much of its own unit.
    AtMost(f64),
}

/// What a figure is measured against.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Floor {
    /// What it is.
    pub(crate) name: String,
    /// Its median, in the figure's unit.
    pub(crate) p50: f64,
    /// Its 99th percentile.
    pub(crate) p99: f64,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its median.
    pub(crate) p50: f64,
    /// Its 99th percentile.
    pub(crate) p99: f64,
    /// The unit of both.
    pub(crate) unit: &'static str,
    /// What it is measured against, if it is against something.
    pub(crate) floor: Option<Floor>,
    /// What it is held to.
    pub(crate) target: Target,
    /// Whether it was measured with `--quick`, which is not the figure that the name promises.
    pub(crate) quick: bool,
}

/// A row as programs read it. The keys are fixed.
#[derive(Serialize)]
struct Json<'a> {
    name: String,
    p50: Option<f64>,
    p99: Option<f64>,
    unit: &'a str,
    floor: Option<&'a str>,
    floor_p50: Option<f64>,
    ratio: Option<f64>,
    target: String,
    holds: bool,
}

impl Row {
    /// A figure measured beside its floor, both in `unit`.
    pub(crate) fn beside(name: &'static str, unit: &'static str, beside: &Beside, floor: &str, target: Target) -> Self {
        let Beside { ours, floor: samples } = beside;
        let floor = Floor { name: floor.to_owned(), p50: samples.p50(), p99: samples.p99() };
        Self { floor: Some(floor), ..Self::alone(name, unit, ours, target) }
    }

    /// A figure that stands alone.
    pub(crate) fn alone(name: &'static str, unit: &'static str, ours: &Samples, target: Target) -> Self {
        Self { name, p50: ours.p50(), p99: ours.p99(), unit, floor: None, target, quick: false }
    }

    /// How many times the floor it is: of the medians, unless the target speaks of the 99th percentile.
    fn ratio(&self) -> Option<f64> {
        let floor = self.floor.as_ref()?;
        Some(match self.target {
            Target::TimesP99(_) => self.p99 / floor.p99,
            Target::Times(_) | Target::Beyond(_) | Target::Share(_) | Target::AtMost(_) => self.p50 / floor.p50,
        })
    }

    /// Whether the target is met. What could not be measured meets none.
    fn holds(&self) -> bool {
        match self.target {
            Target::Times(most) | Target::TimesP99(most) => self.ratio().is_some_and(|ratio| ratio <= most),
            Target::Beyond(most) => self.floor.as_ref().is_some_and(|floor| self.p50 <= floor.p50 + most),
            Target::Share(least) => self.ratio().is_some_and(|ratio| ratio >= least),
            Target::AtMost(most) => self.p50 <= most,
        }
    }

    fn target(&self) -> String {
        match self.target {
            Target::Times(most) => format!("<= {most} x"),
            Target::TimesP99(most) => format!("p99 <= {most} x, reported"),
            Target::Beyond(most) => format!("<= + {most} {}", self.unit),
            Target::Share(least) => format!(">= {least} x"),
            Target::AtMost(most) => format!("<= {most} {}", self.unit),
        }
    }

    fn name(&self) -> String {
        if self.quick { format!("{}.quick", self.name) } else { self.name.to_owned() }
    }

    /// One JSON object in one line. What could not be measured is null.
    pub(crate) fn json(&self) -> Result<String> {
        let number = |value: f64| value.is_finite().then_some(value);
        Ok(serde_json::to_string(&Json {
            name: self.name(),
            p50: number(self.p50),
            p99: number(self.p99),
            unit: self.unit,
            floor: self.floor.as_ref().map(|floor| floor.name.as_str()),
            floor_p50: self.floor.as_ref().and_then(|floor| number(floor.p50)),
            ratio: self.ratio().and_then(number),
            target: self.target(),
            holds: self.holds(),
        })?)
    }

    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        let ratio = self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{} x", digits(ratio)));
        let (floor, p50) = match &self.floor {
            Some(floor) => (floor.name.as_str(), digits(floor.p50)),
            None => ("-", "-".to_owned()),
        };
        let holds = if self.holds() { "holds" } else { "MISSED" };
        line([
            &self.name(),
            &digits(self.p50),
            &digits(self.p99),
            self.unit,
            floor,
            &p50,
            &ratio,
            &self.target(),
            holds,
        ])
    }
}

/// The head of the table.
pub(crate) fn heading() -> String {
    line(["name", "p50", "p99", "unit", "floor", "its p50", "ratio", "target", ""])
}

fn line([name, p50, p99, unit, floor, floor_p50, ratio, target, holds]: [&str; 9]) -> String {
    format!("{name:<23} {p50:>9} {p99:>9} {unit:<9} {floor:<38} {floor_p50:>9} {ratio:>8}  {target:<24} {holds}")
        .trim_end()
        .to_owned()
}

/// Three digits or so, however large.
fn digits(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "-".to_owned(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(p50: f64, p99: f64, target: Target) -> Row {
        let floor = Some(Floor { name: "a floor".into(), p50: 10.0, p99: 20.0 });
        Row { name: "x", p50, p99, unit: "us", floor, target, quick: false }
    }

    #[test]
    fn a_target_is_met_at_its_bound_and_missed_beyond_it() {
        assert!(row(13.0, 99.0, Target::Times(1.3)).holds() && !row(13.1, 0.0, Target::Times(1.3)).holds());
        assert!(row(99.0, 30.0, Target::TimesP99(1.5)).holds() && !row(0.0, 30.1, Target::TimesP99(1.5)).holds());
        assert!(row(2.0, 0.0, Target::Share(0.2)).holds() && !row(1.9, 0.0, Target::Share(0.2)).holds());
        assert!(row(5.0, 0.0, Target::AtMost(5.0)).holds() && !row(5.1, 0.0, Target::AtMost(5.0)).holds());
        assert!(!row(f64::NAN, f64::NAN, Target::Times(1.3)).holds(), "what was not measured holds nothing");
    }

    #[test]
    fn json_has_the_keys_that_programs_count_on() {
        let alone = Row { floor: None, ..row(1.0, f64::NAN, Target::AtMost(5.0)) };
        assert_eq!(
            alone.json().unwrap(),
            r#"{"name":"x","p50":1.0,"p99":null,"unit":"us","floor":null,"floor_p50":null,"ratio":null,"target":"<= 5 us","holds":true}"#
        );
        let quick = Row { quick: true, ..row(13.0, 14.0, Target::Times(1.3)) };
        assert!(quick.json().unwrap().contains(r#""name":"x.quick""#), "a small figure has another name");
    }

    #[test]
    fn the_table_lines_up() {
        let found = row(1234.5, 14.0, Target::Times(1.3)).line();
        assert_eq!(heading().find("its p50").map(|at| at + "its p50".len()), found.find("10.0").map(|at| at + 4));
        assert!(found.ends_with("MISSED") && found.contains(" 1234 "), "{found}");
    }
}
