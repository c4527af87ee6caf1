//! A foreign key needs both of its tables.

use std::collections::BTreeSet;

use pgkedge_model::{CatalogIndex, ConstraintKind, Finding, Place, Server};

/// Foreign keys of tables that move to tables that stay.
pub(crate) fn to_tables_that_stay(
    source: &CatalogIndex<'_>,
    selected: &BTreeSet<u32>,
    findings: &mut Vec<Finding>,
) {
    for constraint in source.constraints.values() {
        let Some(referenced) = &constraint.references else { continue };
        let stays = source
            .tables_by_name
            .get(referenced)
            .is_some_and(|table| !selected.contains(&table.oid));
        let moves = selected.contains(&constraint.table_oid);
        if constraint.kind != ConstraintKind::ForeignKey || !stays || !moves {
            continue;
        }
        // Those of partitions come with their parent's, which is reported.
        if source.tables[&constraint.table_oid].partition.is_some() {
            continue;
        }
        let (name, table) = (&constraint.name, &constraint.table);
        let message = format!(
            "foreign key `{name}` of `{table}` needs `{referenced}`, which the plan leaves out"
        );
        findings.push(
            Finding::error("compile::foreign_key_to_excluded_table", message)
                .at(Place::Object { server: Server::Source, object: table.to_string() })
                .help(format!("include `{referenced}`, or leave out `{table}` as well")),
        );
    }
}
