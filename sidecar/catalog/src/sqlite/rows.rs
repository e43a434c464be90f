//! Answers of a statement, row by row: all of them, or a page.

use rusqlite::{Connection, Params, Result, Row};

use crate::page::{Filling, Limit, Page};

/// Makes a value of a row.
pub(super) type Read<T> = fn(&Row<'_>) -> Result<T>;

/// Calls `each` with every row of `sql`'s answer until it says no.
pub(super) fn each<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: Read<T>,
    each: &mut dyn FnMut(T) -> bool,
) -> Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if !each(read(row)?) {
            break;
        }
    }
    Ok(())
}

/// Every row of `sql`'s answer.
pub(super) fn all<T>(connection: &Connection, sql: &str, params: impl Params, read: Read<T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    each(connection, sql, params, read, &mut |row| {
        all.push(row);
        true
    })?;
    Ok(all)
}

/// The rows of `sql`'s answer that fit `limit`; later ones are not computed.
pub(super) fn page<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: Read<T>,
    (limit, weigh): (Limit, impl Fn(&T) -> usize),
) -> Result<Page<T>> {
    let mut filling = Filling::new(limit);
    each(connection, sql, params, read, &mut |row| {
        let weight = weigh(&row);
        filling.take(row, weight)
    })?;
    Ok(filling.page())
}
