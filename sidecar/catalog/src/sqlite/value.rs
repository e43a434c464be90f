//! Values, there and back: what a column holds for what the vocabulary says.

use std::collections::BTreeMap;
use std::fmt;

use payload_manager_types::Tier;
use rusqlite::types::{FromSql, Type};
use rusqlite::{Result, Row};

/// A number without sign, bit for bit: SQLite's numbers have one.
pub(super) const fn stored(n: u64) -> i64 {
    n.cast_signed()
}

/// A lower or upper bound for a comparison with stored numbers that are all below 2^63.
pub(super) fn bound(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The inverse of [`stored`].
pub(super) fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The inverse of [`stored`], for a column that may be empty.
pub(super) fn optional(row: &Row<'_>, column: usize) -> Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
}

/// A column whose number must be one that `make` knows.
pub(super) fn known<N: FromSql + Copy + fmt::Display, T>(
    row: &Row<'_>,
    column: usize,
    make: impl FnOnce(N) -> Option<T>,
) -> Result<T> {
    let n: N = row.get(column)?;
    make(n).ok_or_else(|| {
        let name = row.as_ref().column_name(column).unwrap_or("?");
        bad(column, Type::Integer, format!("{name} is {n}, which this program does not know"))
    })
}

/// A column that holds a tier.
pub(super) fn tier(row: &Row<'_>, column: usize) -> Result<Tier> {
    known(row, column, |n: u8| Tier::try_from(n).ok())
}

/// Tags as a JSON object; nothing if there are none.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Result<Option<String>> {
    if tags.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(tags).map(Some).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The inverse of [`tags`].
pub(super) fn read_tags(row: &Row<'_>, column: usize) -> Result<BTreeMap<String, String>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map_or(Ok(BTreeMap::new()), |text| {
        serde_json::from_str(text).map_err(|error| bad(column, Type::Text, format!("tags are no tags: {error}")))
    })
}

fn bad(column: usize, kind: Type, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.into())
}
