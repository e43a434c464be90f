//! What is printed: tables for people, one JSON object a line for programs. Standard output may close at any time, and
//! colours are left out where it does not show them.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};
use payload_manager_client::Descriptor;
use serde::Serialize;
use serde_json::json;

use crate::exit::{Failure, Outcome};

/// Which of the two is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Programs read it.
    pub(crate) json: bool,
}

impl Output {
    /// For programs, or for people.
    #[must_use]
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints one object, as one line.
    ///
    /// # Errors
    /// Standard output can't be written to.
    pub(crate) fn object(self, object: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(object).map_err(|e| Failure::output(e.into()))?;
        line(&text)
    }

    /// Prints the payload that a file became: its id, so that a script can take it as it is.
    ///
    /// # Errors
    /// Standard output can't be written to.
    pub(crate) fn stored(self, name: &str, descriptor: &Descriptor) -> Outcome {
        if !self.json {
            return line(&descriptor.id.to_string());
        }
        self.object(&json!({
            "id": descriptor.id.to_string(),
            "name": name,
            "size": descriptor.size,
            "tier": descriptor.tier.to_string(),
            "state": descriptor.state.to_string(),
        }))
    }
}

/// Prints one line.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn line(text: &str) -> Outcome {
    writeln!(anstream::stdout().lock(), "{text}").map_err(Failure::output)
}

/// Prints lines that end as lines do, in one go.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn lines(text: &str) -> Outcome {
    anstream::stdout().lock().write_all(text.as_bytes()).map_err(Failure::output)
}

/// The first line of a table.
pub(crate) const HEADING: Style = Style::new().bold();
/// What is under way.
pub(crate) const MOVING: Style = AnsiColor::Yellow.on_default();
/// What is bad.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// A column of a table whose rows are printed as they come: its width is known before they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// What stands above it.
    pub(crate) name: &'static str,
    /// Its width in characters; what is longer sticks out, for nothing is cut off.
    pub(crate) width: usize,
    /// Whether it is a number.
    pub(crate) number: bool,
}

/// A row under `columns`, each cell in its style.
pub(crate) fn row(columns: &[Column], cells: &[(String, Style)]) -> String {
    let parts = columns.iter().zip(cells).map(|(column, (text, style))| {
        let room = " ".repeat(column.width.saturating_sub(text.chars().count()));
        // Styled without its room: a heading is not to be underlined into the gap.
        let styled = format!("{style}{text}{style:#}");
        if column.number { format!("{room}{styled}") } else { format!("{styled}{room}") }
    });
    parts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// The line above the rows.
pub(crate) fn heading(columns: &[Column]) -> String {
    row(columns, &columns.iter().map(|column| (column.name.to_owned(), HEADING)).collect::<Vec<_>>())
}

/// A table for people: these columns, the numbers to the right.
pub(crate) fn table(columns: &[&str], numbers: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if !columns.is_empty() {
        table.set_header(columns.iter().copied());
    }
    table.add_rows(rows);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.trim_fmt();
    match text.split_once('\n') {
        Some((heading, rows)) if !columns.is_empty() => format!("{HEADING}{heading}{HEADING:#}\n{rows}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_one_by_one_stand_under_their_heading() {
        let columns = [Column { name: "ID", width: 4, number: false }, Column { name: "SIZE", width: 6, number: true }];
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let cells = [("a".to_owned(), Style::new()), ("5 B".to_owned(), BAD)];
        assert_eq!(plain(&heading(&columns)), "ID      SIZE");
        assert_eq!(plain(&row(&columns, &cells)), "a        5 B");
        assert!(row(&columns, &cells).ends_with(&format!("{BAD}5 B{BAD:#}")));
    }

    #[test]
    fn numbers_stand_to_the_right_and_lines_have_no_tail() {
        let rows = [vec!["a".to_owned(), "5 B".to_owned()], vec!["bcd".to_owned(), "10 KiB".to_owned()]];
        let told = table(&["ID", "SIZE"], &[1], rows);
        assert_eq!(anstream::adapter::strip_str(&told).to_string(), "ID     SIZE\na       5 B\nbcd  10 KiB");
    }
}
