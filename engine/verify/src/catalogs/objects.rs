//! What no statement of the archive says; and, where major versions differ, what it says in other
//! words: then the archive's text is only noted, and the facts decide.

use std::collections::BTreeMap;

use pgkedge_model::{Catalog, Column, Constraint, ConstraintKind, QualifiedName, Table};

use crate::catalogs::{Scope, majors_differ};
use crate::difference::{Comparison, Difference};

pub(super) fn compare(
    source: &Catalog,
    target: &Catalog,
    scope: Scope<'_>,
    found: &mut Comparison,
) {
    let pair = Pair { source, target, scope, across: majors_differ(source, target) };
    compare_tables(pair, found);
    compare_indexes(pair, found);
    compare_constraints(pair, found);
    compare_extensions(source, target, found);
}

#[derive(Clone, Copy)]
struct Pair<'a> {
    source: &'a Catalog,
    target: &'a Catalog,
    scope: Scope<'a>,
    /// The major versions differ.
    across: bool,
}

/// That a table is missing is told by its archive entry, or by its extension's.
fn compare_tables(pair: Pair<'_>, found: &mut Comparison) {
    let theirs: BTreeMap<&QualifiedName, &Table> =
        pair.target.tables.iter().map(|table| (&table.name, table)).collect();
    for table in pair.source.tables.iter().filter(|table| is_in_scope(&table.name, pair.scope)) {
        found.count("tables", 1);
        let Some(other) = theirs.get(&table.name) else { continue };
        if !pair.scope.pending.is_some_and(|pending| pending.views) {
            found.equal(&table.name, "populated", &table.populated, &other.populated);
        }
        if pair.across {
            compare_properties(table, other, found);
            compare_columns(table, other, found);
        }
    }
}

fn compare_properties(source: &Table, target: &Table, found: &mut Comparison) {
    let name = &source.name;
    let kinds = [format!("{:?}", source.kind), format!("{:?}", target.kind)];
    let forced = [source.force_row_security, target.force_row_security];
    found.equal(name, "kind", &kinds[0], &kinds[1]);
    found.equal(name, "owner", &source.owner, &target.owner);
    found.equal(name, "unlogged", &source.unlogged, &target.unlogged);
    found.equal(name, "row security", &source.row_security, &target.row_security);
    found.equal(name, "forced row security", &forced[0], &forced[1]);
}

fn compare_columns(source: &Table, target: &Table, found: &mut Comparison) {
    let (ours, theirs) = (columns(source), columns(target));
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    for column in names {
        let sides = (ours.get(column).cloned(), theirs.get(column).cloned());
        if sides.0 != sides.1 {
            let title = format!("{}.{column}", source.name);
            found.found(Difference::new(title, "column", sides.0, sides.1), false);
        }
    }
}

fn columns(table: &Table) -> BTreeMap<String, String> {
    let facts = |column: &Column| {
        let not_null = if column.not_null { " not null" } else { "" };
        let generated = if column.generated { " generated" } else { "" };
        format!("{}{not_null}{generated}", column.type_name)
    };
    table.columns.iter().map(|column| (column.name.to_string(), facts(column))).collect()
}

/// Every index has an archive entry, alone or as a constraint; whether it is valid does not show.
fn compare_indexes(pair: Pair<'_>, found: &mut Comparison) {
    let theirs: BTreeMap<_, _> =
        pair.target.indexes.iter().map(|index| (&index.name, index)).collect();
    for index in pair.source.indexes.iter().filter(|one| is_in_scope(&one.table, pair.scope)) {
        found.count("indexes", 1);
        let Some(other) = theirs.get(&index.name) else { continue };
        // An index that was broken at the source may well be whole on the target.
        if index.valid != other.valid {
            let validity = Difference::between(&index.name, "validity", index.valid, other.valid);
            found.found(validity, other.valid);
        }
    }
}

fn compare_constraints(pair: Pair<'_>, found: &mut Comparison) {
    let key = |constraint: &Constraint| (constraint.table.clone(), constraint.name.clone());
    let theirs: BTreeMap<_, _> =
        pair.target.constraints.iter().map(|constraint| (key(constraint), constraint)).collect();
    let ours = pair.source.constraints.iter().filter(|one| is_in_scope(&one.table, pair.scope));
    for constraint in ours {
        // A key to a table that the plan leaves out is left out with it.
        let reaches_out =
            constraint.references.as_ref().is_some_and(|to| !is_in_scope(to, pair.scope));
        // Constraints of their own since 18; columns say it in every version.
        if reaches_out || constraint.kind == ConstraintKind::NotNull {
            continue;
        }
        let pending = pair.scope.pending.map(|pending| {
            let (table, name) = (&constraint.table, &constraint.name);
            (pending.lacks_key(table, name), pending.lacks_validation(table, name))
        });
        let (is_absent, is_unvalidated) = pending.unwrap_or_default();
        if is_absent {
            continue;
        }
        found.count("constraints", 1);
        let title = format!("{} on {}", constraint.name, constraint.table);
        match theirs.get(&key(constraint)) {
            Some(_) if is_unvalidated => {}
            Some(other) => {
                found.equal(&title, "validated", &constraint.validated, &other.validated);
            }
            None if pair.across => {
                let definition = Some(constraint.definition.clone());
                found.found(Difference::new(title, "the constraint", definition, None), false);
            }
            // The table's archive entry, or its own, says so.
            None => {}
        }
    }
}

fn compare_extensions(source: &Catalog, target: &Catalog, found: &mut Comparison) {
    for extension in &source.extensions {
        found.count("extensions", 1);
        let title = format!("extension {}", extension.name);
        let version = &extension.version;
        let Some(other) = target.extensions.iter().find(|other| other.name == extension.name)
        else {
            let missing = Difference::new(title, "the extension", Some(version.clone()), None);
            found.found(missing, false);
            continue;
        };
        found.equal(&title, "schema", &extension.schema, &other.schema);
        if version != &other.version {
            found.found(Difference::between(title, "version", version, &other.version), true);
        }
    }
}

fn is_in_scope(table: &QualifiedName, scope: Scope<'_>) -> bool {
    !scope.excluded.contains(table)
}
