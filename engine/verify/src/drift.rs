//! What of a database has moved since a plan was compiled against it.
//!
//! Only what a move depends on counts: not sizes, estimates or values. Roles, and what pgkedge has
//! made for itself, do not either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pgkedge_model::{Catalog, Column, QualifiedName, Table, TypeFacts};

use crate::catalogs::{Pending, Scope, compare_entries};
use crate::difference::{Comparison, Difference};

/// What counts.
#[derive(Debug, Clone, Copy)]
pub struct DriftScope<'a> {
    /// Tables that the plan leaves out.
    pub excluded: &'a [QualifiedName],
    /// Tables whose replica identity the move itself has changed.
    pub identities: &'a [QualifiedName],
    /// Tables that are copied in ranges of pages: they must not be written anew.
    pub split: &'a [QualifiedName],
}

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moved {
    pub object: String,
    pub what: String,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.what)
    }
}

/// Compares a database with what it was, as far as can be told without its archive: tables and their
/// columns, types, indexes, constraints, sequences, extensions.
pub fn drift_of_facts(compiled: &Catalog, now: &Catalog, scope: DriftScope<'_>) -> Vec<Moved> {
    let mut moved = facts(compiled, now, scope);
    let is_kept = |table: &QualifiedName| !scope.excluded.contains(table);
    let definitions = |catalog: &Catalog| -> BTreeMap<String, String> {
        let indexes = catalog.indexes.iter().filter(|index| is_kept(&index.table));
        let indexes =
            indexes.map(|index| (format!("index {}", index.name), index.definition.clone()));
        let constraints = catalog.constraints.iter().filter(|one| is_kept(&one.table));
        let constraints = constraints.map(|one| {
            (format!("constraint {} on {}", one.name, one.table), one.definition.clone())
        });
        let sequences = catalog.sequences.iter();
        let sequences =
            sequences.map(|one| (format!("sequence {}", one.name), one.type_name.clone()));
        indexes.chain(constraints).chain(sequences).collect()
    };
    let (before, after) = (definitions(compiled), definitions(now));
    let objects: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for object in objects {
        match (before.get(object), after.get(object)) {
            (Some(before), Some(after)) if before != after => {
                push(&mut moved, object, &format!("was `{before}`, is `{after}`"));
            }
            (Some(_), None) => push(&mut moved, object, "is gone"),
            (None, Some(_)) => push(&mut moved, object, "is new"),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    moved.sort();
    moved.dedup();
    moved
}

fn facts(compiled: &Catalog, now: &Catalog, scope: DriftScope<'_>) -> Vec<Moved> {
    let mut moved = Vec::new();
    tables(compiled, now, scope, &mut moved);
    validity(compiled, now, scope, &mut moved);
    types(compiled, now, &mut moved);
    extensions(compiled, now, &mut moved);
    moved
}

/// Compares a database with what it was.
pub fn drift(compiled: &Catalog, now: &Catalog, scope: DriftScope<'_>) -> Vec<Moved> {
    let mut moved = facts(compiled, now, scope);
    // A table that has moved is told column by column.
    let told: BTreeSet<String> =
        moved.iter().map(|moved| format!("TABLE {}", moved.object)).collect();
    let entries = entries(compiled, now, scope);
    moved.extend(entries.into_iter().filter(|entry| !told.contains(&entry.object)));
    moved.sort();
    moved.dedup();
    moved
}

fn tables(compiled: &Catalog, now: &Catalog, scope: DriftScope<'_>, moved: &mut Vec<Moved>) {
    let by_name = |catalog: &'_ Catalog| -> BTreeMap<QualifiedName, Table> {
        let kept = catalog.tables.iter().filter(|table| !scope.excluded.contains(&table.name));
        kept.map(|table| (table.name.clone(), table.clone())).collect()
    };
    let (before, after) = (by_name(compiled), by_name(now));
    let names: BTreeSet<&QualifiedName> = before.keys().chain(after.keys()).collect();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => table(before, after, scope, moved),
            (Some(_), None) => push(moved, name, "is gone"),
            (None, Some(_)) => push(moved, name, "is new"),
            (None, None) => {}
        }
    }
}

fn table(before: &Table, after: &Table, scope: DriftScope<'_>, moved: &mut Vec<Moved>) {
    let name = &before.name;
    if before.oid != after.oid {
        push(moved, name, "was dropped and made anew");
        return;
    }
    columns(before, after, moved);
    let is_same_identity = scope.identities.contains(name) || before.identity == after.identity;
    let is_split = scope.split.contains(name);
    for (is_same, what) in [
        (before.kind == after.kind, "is of another kind"),
        (before.owner == after.owner, "has another owner"),
        (before.unlogged == after.unlogged, "was made logged or unlogged"),
        (before.partition == after.partition, "hangs on another table"),
        (before.row_security == after.row_security, "has other row security"),
        (before.force_row_security == after.force_row_security, "has other row security"),
        (before.populated == after.populated, "was filled or emptied"),
        (before.extension_rows == after.extension_rows, "belongs to an extension otherwise"),
        (before.readable == after.readable, "can be read by others"),
        (before.reaches_foreign == after.reaches_foreign, "has other foreign tables below it"),
        (is_same_identity, "has another replica identity"),
        (!is_split || before.filenode == after.filenode, "was rewritten"),
    ] {
        if !is_same {
            push(moved, name, what);
        }
    }
}

fn columns(before: &Table, after: &Table, moved: &mut Vec<Moved>) {
    let find = |table: &'_ Table, wanted: &Column| -> Option<Column> {
        table.columns.iter().find(|column| column.name == wanted.name).cloned()
    };
    let known = moved.len();
    for column in &before.columns {
        match find(after, column) {
            None => push(moved, &before.name, &format!("lost column {}", column.name)),
            Some(now) if &now != column => {
                push(moved, &before.name, &format!("has another column {}", column.name));
            }
            Some(_) => {}
        }
    }
    for column in after.columns.iter().filter(|column| find(before, column).is_none()) {
        let (name, kind) = (&column.name, &column.type_name);
        push(moved, &before.name, &format!("has a new column {name} ({kind})"));
    }
    if moved.len() == known && before.columns != after.columns {
        push(moved, &before.name, "has its columns in another order");
    }
}

/// What no entry of the archive says.
fn validity(compiled: &Catalog, now: &Catalog, scope: DriftScope<'_>, moved: &mut Vec<Moved>) {
    let is_kept = |table: &QualifiedName| !scope.excluded.contains(table);
    for index in compiled.indexes.iter().filter(|index| is_kept(&index.table)) {
        let other = now.indexes.iter().find(|other| other.name == index.name);
        if other.is_some_and(|other| other.valid != index.valid) {
            push(moved, format!("index {}", index.name), "is valid or invalid since");
        }
    }
    for constraint in compiled.constraints.iter().filter(|one| is_kept(&one.table)) {
        let other = now
            .constraints
            .iter()
            .find(|other| (&other.table, &other.name) == (&constraint.table, &constraint.name));
        if other.is_some_and(|other| other.validated != constraint.validated) {
            let title = format!("constraint {} on {}", constraint.name, constraint.table);
            push(moved, title, "was validated or invalidated");
        }
    }
}

fn types(compiled: &Catalog, now: &Catalog, moved: &mut Vec<Moved>) {
    let after: BTreeMap<&QualifiedName, &TypeFacts> =
        now.types.values().map(|facts| (&facts.name, facts)).collect();
    for before in compiled.types.values() {
        if after.get(&before.name).is_some_and(|after| *after != before) {
            push(moved, format!("type {}", before.name), "is another one");
        }
    }
}

fn extensions(compiled: &Catalog, now: &Catalog, moved: &mut Vec<Moved>) {
    for before in &compiled.extensions {
        let after = now.extensions.iter().find(|after| after.name == before.name);
        let title = format!("extension {}", before.name);
        match after {
            Some(after) if after.version != before.version => {
                push(moved, title, &format!("is of version {} now", after.version));
            }
            Some(after) if after.schema != before.schema => {
                push(moved, title, &format!("is in schema {} now", after.schema));
            }
            Some(_) | None => {}
        }
    }
}

fn entries(compiled: &Catalog, now: &Catalog, scope: DriftScope<'_>) -> Vec<Moved> {
    let identities = scope.identities.to_vec();
    let pending = Pending { identities, ..Pending::default() };
    let scope = Scope { excluded: scope.excluded, before: None, pending: Some(&pending) };
    let mut found = Comparison::default();
    compare_entries(compiled, now, scope, &mut found);
    found.differences.into_iter().map(entry).collect()
}

fn entry(difference: Difference) -> Moved {
    let Difference { object, source, target, .. } = difference;
    let what = match (source, target) {
        (Some(_), None) => "is gone".to_owned(),
        (None, Some(_)) => "is new".to_owned(),
        (before, after) => {
            format!("was `{}`, is `{}`", before.unwrap_or_default(), after.unwrap_or_default())
        }
    };
    Moved { object, what }
}

fn push(moved: &mut Vec<Moved>, object: impl fmt::Display, what: &str) {
    moved.push(Moved { object: object.to_string(), what: what.to_owned() });
}
