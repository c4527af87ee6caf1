//! A partition moves with its parent.

use pgkedge_model::{Finding, Table};
use pgkedge_plan::TablePatterns;

use super::at_plan;

/// Partitions that the plan names although it leaves their parents out.
pub(crate) fn partitions_without_parent(
    tables: &TablePatterns,
    left_out: &[&Table],
    findings: &mut Vec<Finding>,
) {
    for table in left_out {
        let Some(partition) = &table.partition else { continue };
        let named = |pattern: &&pgkedge_plan::Pattern| pattern.matches(&table.name);
        let Some(pattern) = tables.include.iter().find(named) else { continue };
        let wanted_out = |name| tables.exclude.iter().any(|pattern| pattern.matches(name));
        if wanted_out(&table.name) || wanted_out(&partition.parent) || wanted_out(&partition.root) {
            continue;
        }
        let message = format!(
            "`{}` is a partition of `{}`, which the plan leaves out",
            table.name, partition.parent
        );
        let finding = Finding::error("compile::partition_without_parent", message)
            .help(format!("include `{}` as well: its partitions move with it", partition.root));
        findings.push(at_plan(finding, pattern.pointer.as_ref(), "matches the partition alone"));
    }
}
