//! What will take long, and why.

use std::collections::BTreeSet;

use pgkedge_model::{Facts, Finding, QualifiedName, Settings};

use super::listed;
use crate::passes::{holds_rows, reads_ranges};

/// Before 14 the server reads a table from its start for every range of it.
pub(crate) fn tables_that_cannot_be_split(
    settings: &Settings,
    facts: &Facts,
    selected: &BTreeSet<u32>,
    findings: &mut Vec<Finding>,
) {
    if reads_ranges(facts) {
        return;
    }
    let large = facts.source.tables.iter().filter(|table| {
        selected.contains(&table.oid)
            && holds_rows(table)
            && table.bytes > settings.load.part_size.0
    });
    let large: Vec<&QualifiedName> = large.map(|table| &table.name).collect();
    if large.is_empty() {
        return;
    }
    let message = format!(
        "PostgreSQL {} cannot read a table in parts, so one COPY each moves {}",
        facts.source.server.version.major(),
        listed(large.into_iter())
    );
    findings.push(Finding::note("compile::tables_in_one_part", message));
}
