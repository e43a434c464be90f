//! What is printed: tables for people, one JSON object a line for programs. Standard output may close at any time.

use std::io::{self, Write};

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
    writeln!(io::stdout().lock(), "{text}").map_err(Failure::output)
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
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_have_no_tail() {
        let rows = [vec!["a".to_owned(), "5 B".to_owned()], vec!["bcd".to_owned(), "10 KiB".to_owned()]];
        assert_eq!(table(&["ID", "SIZE"], &[1], rows), "ID     SIZE\na       5 B\nbcd  10 KiB");
    }
}
