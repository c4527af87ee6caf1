//! Names, in SQL, the objects that an archive's entries create.

use std::collections::BTreeMap;

use pgkedge_model::{Entry, Failure};
use serde::Deserialize;

use super::rows::Reader;

/// Entries that change or belong to an object which another entry creates.
const CREATE_NOTHING: &[&str] = &[
    "ACL",
    "COMMENT",
    "DEFAULT",
    "DEFAULT ACL",
    "INDEX ATTACH",
    "ROW SECURITY",
    "SECURITY LABEL",
    "SEQUENCE OWNED BY",
    "TABLE ATTACH",
];

#[derive(Deserialize)]
struct ObjectRow {
    class: u32,
    oid: u32,
    kind: Option<String>,
    identity: Option<String>,
}

/// Fills in `Entry.object`.
pub(crate) async fn identify(reader: &Reader<'_>, entries: &mut [Entry]) -> Result<(), Failure> {
    let creates = |entry: &Entry| {
        entry.class != 0 && entry.oid != 0 && !CREATE_NOTHING.contains(&entry.kind.as_str())
    };
    let creating: Vec<&Entry> = entries.iter().filter(|entry| creates(entry)).collect();
    if creating.is_empty() {
        return Ok(());
    }
    let rows: Vec<ObjectRow> =
        reader.rows("the names of the archive's objects", &query(&creating)).await?;
    let objects: BTreeMap<(u32, u32), (String, String)> = rows
        .into_iter()
        .filter_map(|row| Some(((row.class, row.oid), (row.kind?, row.identity?))))
        .collect();
    for entry in entries.iter_mut().filter(|entry| creates(entry)) {
        entry.object = objects.get(&(entry.class, entry.oid)).cloned();
    }
    Ok(())
}

fn query(entries: &[&Entry]) -> String {
    let list = |number: fn(&Entry) -> u32| {
        entries.iter().map(|entry| number(entry).to_string()).collect::<Vec<_>>().join(",")
    };
    format!(
        "select e.class::int8 as class, e.oid::int8 as oid, o.type as kind, o.identity
         from rows from (pg_catalog.unnest('{{{}}}'::pg_catalog.oid[]),
             pg_catalog.unnest('{{{}}}'::pg_catalog.oid[])) e (class, oid)
           cross join lateral pg_catalog.pg_identify_object(e.class, e.oid, 0) o",
        list(|entry| entry.class),
        list(|entry| entry.oid),
    )
}
