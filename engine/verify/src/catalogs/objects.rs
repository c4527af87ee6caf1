//! Facts that stand in no statement of the archive, or that a version writes in its own way.

use std::collections::BTreeMap;

use pgkedge_model::{Catalog, Column, ConstraintKind, QualifiedName, Table};

use crate::catalogs::{Scope, is_own_schema, majors_differ};
use crate::difference::{Comparison, Difference};

pub(super) fn compare(
    source: &Catalog,
    target: &Catalog,
    scope: Scope<'_>,
    found: &mut Comparison,
) {
    compare_tables(source, target, scope, found);
    compare_indexes(source, target, scope, found);
    compare_constraints(source, target, scope, found);
    compare_extensions(source, target, found);
}

fn compare_tables(source: &Catalog, target: &Catalog, scope: Scope<'_>, found: &mut Comparison) {
    let theirs = by_name(target);
    for table in source.tables.iter().filter(|table| is_in_scope(&table.name, scope)) {
        found.count("tables", 1);
        match theirs.get(&table.name) {
            Some(other) => compare_table(table, other, found),
            // Tables of extensions are no entries of the archive.
            None => found.found(
                Difference::new(&table.name, "the table", Some("there".to_owned()), None),
                false,
            ),
        }
    }
    let ours = by_name(source);
    for table in &target.tables {
        let is_known = ours.contains_key(&table.name) || !is_in_scope(&table.name, scope);
        let was_there =
            scope.before.is_some_and(|before| before.table_named(&table.name).is_some());
        if !is_known && !is_own_schema(table.name.schema.as_str()) {
            let extra = Difference::new(&table.name, "the table", None, Some("there".to_owned()));
            found.found(extra, was_there);
        }
    }
}

fn compare_table(source: &Table, target: &Table, found: &mut Comparison) {
    let name = &source.name;
    found.equal(name, "kind", &format!("{:?}", source.kind), &format!("{:?}", target.kind));
    found.equal(name, "owner", &source.owner, &target.owner);
    found.equal(name, "unlogged", &source.unlogged, &target.unlogged);
    found.equal(name, "populated", &source.populated, &target.populated);
    found.equal(name, "row security", &source.row_security, &target.row_security);
    let forced = [source.force_row_security, target.force_row_security];
    found.equal(name, "forced row security", &forced[0], &forced[1]);
    let columns = [columns(source), columns(target)];
    for (column, facts) in &columns[0] {
        let title = format!("{name}.{column}");
        match columns[1].get(column) {
            Some(other) => found.equal(title, "column", facts, other),
            None => {
                found.found(Difference::new(title, "the column", Some(facts.clone()), None), false);
            }
        }
    }
    for (column, facts) in columns[1].iter().filter(|(column, _)| !columns[0].contains_key(*column))
    {
        let title = format!("{name}.{column}");
        found.found(Difference::new(title, "the column", None, Some(facts.clone())), false);
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

fn compare_indexes(source: &Catalog, target: &Catalog, scope: Scope<'_>, found: &mut Comparison) {
    let theirs: BTreeMap<_, _> = target.indexes.iter().map(|index| (&index.name, index)).collect();
    let across = majors_differ(source, target);
    for index in source.indexes.iter().filter(|index| is_in_scope(&index.table, scope)) {
        found.count("indexes", 1);
        let name = &index.name;
        let Some(other) = theirs.get(name) else {
            let definition = Some(index.definition.clone());
            found.found(Difference::new(name, "the index", definition, None), false);
            continue;
        };
        found.equal(name, "table", &index.table, &other.table);
        found.equal(name, "unique", &index.unique, &other.unique);
        found.equal(name, "primary key", &index.primary, &other.primary);
        // An index that was broken at the source may well be whole on the target.
        if index.valid != other.valid {
            let difference = Difference::between(name, "validity", index.valid, other.valid);
            found.found(difference, other.valid);
        }
        if index.definition != other.definition {
            let (ours, theirs) = (&index.definition, &other.definition);
            found.found(Difference::between(name, "definition", ours, theirs), across);
        }
    }
}

fn compare_constraints(
    source: &Catalog,
    target: &Catalog,
    scope: Scope<'_>,
    found: &mut Comparison,
) {
    let theirs: BTreeMap<_, _> = target
        .constraints
        .iter()
        .map(|constraint| ((&constraint.table, &constraint.name), constraint))
        .collect();
    let across = majors_differ(source, target);
    for constraint in source.constraints.iter().filter(|one| is_in_scope(&one.table, scope)) {
        // A key to a table that the plan leaves out is left out with it.
        let reaches_out = constraint.references.as_ref().is_some_and(|to| !is_in_scope(to, scope));
        // Constraints of their own since 18; columns say it in every version.
        if reaches_out || constraint.kind == ConstraintKind::NotNull {
            continue;
        }
        found.count("constraints", 1);
        let title = format!("{} on {}", constraint.name, constraint.table);
        let Some(other) = theirs.get(&(&constraint.table, &constraint.name)) else {
            let definition = Some(constraint.definition.clone());
            found.found(Difference::new(title, "the constraint", definition, None), false);
            continue;
        };
        found.equal(&title, "validated", &constraint.validated, &other.validated);
        if constraint.definition != other.definition {
            let (ours, theirs) = (&constraint.definition, &other.definition);
            found.found(Difference::between(title, "definition", ours, theirs), across);
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

fn by_name(catalog: &Catalog) -> BTreeMap<&QualifiedName, &Table> {
    catalog.tables.iter().map(|table| (&table.name, table)).collect()
}

fn is_in_scope(table: &QualifiedName, scope: Scope<'_>) -> bool {
    !scope.excluded.contains(table)
}
