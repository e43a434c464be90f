//! How SQLite goes about it: nothing that grows is looked through from end to end.

use rusqlite::Connection;

use super::folder::Folder;
use crate::sqlite::{entries, lineage, metadata, payloads, stale, stale_logs, streams};

/// How SQLite would run `sql`, step by step.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>();
    steps.unwrap()
}

/// Reads a whole table, or keeps a whole answer to sort it. What a search has just found may be read whole.
fn is_greedy(step: &str) -> bool {
    let of_a_table = !["SCAN above", "SCAN below"].contains(&step);
    step.starts_with("SCAN") && of_a_table || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
}

#[test]
fn what_is_looked_for_is_found_by_an_index() {
    let folder = Folder::new();
    let store = folder.create();
    let all = [
        payloads::SEARCHES,
        metadata::SEARCHES,
        lineage::SEARCHES,
        stale::SEARCHES,
        stale_logs::SEARCHES,
        streams::SEARCHES,
        entries::SEARCHES,
    ];
    for sql in all.into_iter().flatten() {
        let steps = plan(&store.connection, sql);
        assert!(steps.iter().any(|step| step.contains("SEARCH")), "{sql}: {steps:?}");
        assert!(!steps.iter().any(|step| is_greedy(step)), "{sql}: {steps:?}");
    }
}

/// SQLite goes through what refers to a removed row; without an index, through everything that might.
#[test]
fn what_goes_with_a_row_is_found_by_an_index() {
    let folder = Folder::new();
    let store = folder.create();
    let referring = "SELECT m.name, k.\"from\" FROM sqlite_schema m, pragma_foreign_key_list(m.name) k";
    let mut statement = store.connection.prepare(referring).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    let found: Vec<_> = rows.map(Result::unwrap).collect();
    assert_eq!(found.len(), 6, "{found:?}");
    for (table, column) in found {
        let steps = plan(&store.connection, &format!("DELETE FROM {table} WHERE {column} = ?1"));
        assert!(steps.iter().all(|step| step.contains("SEARCH")), "{table}.{column}: {steps:?}");
    }
}
