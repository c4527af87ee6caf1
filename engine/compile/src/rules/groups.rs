//! Every table is in exactly one group.

use std::collections::BTreeMap;

use pgkedge_model::{Finding, QualifiedName};
use pgkedge_plan::GroupPlan;

use super::{at_plan, listed};

/// Tables by the first two groups that name them.
pub(crate) fn tables_in_two_groups(
    plans: &[GroupPlan],
    claimed_twice: &BTreeMap<(usize, usize), Vec<&QualifiedName>>,
    findings: &mut Vec<Finding>,
) {
    for ((first, second), tables) in claimed_twice {
        let (first, second) = (&plans[*first], &plans[*second]);
        let message = format!(
            "groups `{}` and `{}` both name {}",
            first.name,
            second.name,
            listed_all(tables)
        );
        let mut finding = Finding::error("compile::table_in_two_groups", message)
            .help("narrow one of the patterns; `*` takes what no other group has named");
        for group in [second, first] {
            let pattern = group.tables.patterns.iter().find(|p| p.matches(tables[0]));
            let pointer = pattern.and_then(|pattern| pattern.pointer.as_ref());
            finding = at_plan(finding, pointer, &format!("named by `{}`", group.name));
        }
        findings.push(finding);
    }
}

pub(crate) fn tables_in_no_group(
    plans: &[GroupPlan],
    homeless: &[&QualifiedName],
    findings: &mut Vec<Finding>,
) {
    if homeless.is_empty() {
        return;
    }
    let message = format!("no group takes {}", listed_all(homeless));
    let finding = Finding::error("compile::table_in_no_group", message)
        .help("add a last group with `tables: [\"*\"]`, or leave them out with `tables.exclude`");
    let groups = plans.first().and_then(|group| group.pointer.as_deref());
    let groups = groups.and_then(|pointer| pointer.rsplit_once('/')).map(|(all, _)| all.to_owned());
    findings.push(match groups {
        Some(pointer) => finding.at_key(pointer, "none of these takes them"),
        None => finding,
    });
}

/// A group that takes the rest may find nothing left; one that describes its tables was meant to have some.
pub(crate) fn groups_without_tables(
    plans: &[GroupPlan],
    tables: &[Vec<QualifiedName>],
    findings: &mut Vec<Finding>,
) {
    for (plan, tables) in plans.iter().zip(tables) {
        if !tables.is_empty() || plan.tables.having.is_empty() {
            continue;
        }
        let message = format!("no table has all the properties of group `{}`", plan.name);
        let finding = Finding::warning("compile::group_without_tables", message)
            .help("take the group out, or ask for less; a group above may have claimed its tables");
        findings.push(at_plan(finding, plan.tables.having_pointer.as_ref(), "no table has these"));
    }
}

fn listed_all(tables: &[&QualifiedName]) -> String {
    listed(tables.iter().copied())
}
