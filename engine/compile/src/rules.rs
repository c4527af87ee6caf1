//! What a plan is checked against once the catalogs are known. Each rule has a code of its own.

mod archive;
mod capture;
mod crossing;
mod foreign_keys;
mod groups;
mod identity;
mod partitions;
mod patterns;
mod sizes;
mod steps;
mod trees;

use std::collections::BTreeSet;

use pgkedge_model::{CatalogIndex, Facts, Finding, QualifiedName, Settings};

pub(crate) use archive::needs_what_is_left_out;
pub(crate) use capture::{Captured, check_capture, slots_without_tables};
pub(crate) use groups::{groups_without_tables, tables_in_no_group, tables_in_two_groups};
pub(crate) use partitions::partitions_without_parent;
pub(crate) use patterns::unmatched_patterns;
pub(crate) use steps::{
    no_service, no_way_back, no_writer, services_that_nothing_stops, steps_wait_for_each_other,
    two_of_one_key, unknown_kind,
};

/// Names that a message lists before it only counts.
const MOST_NAMES: usize = 5;

/// The rules that look at the chosen tables as a whole.
pub(crate) fn check(
    settings: &Settings,
    facts: &Facts,
    source: &CatalogIndex<'_>,
    selected: &BTreeSet<u32>,
    findings: &mut Vec<Finding>,
) {
    foreign_keys::to_tables_that_stay(source, selected, findings);
    sizes::tables_that_cannot_be_split(settings, facts, selected, findings);
    if facts.target.is_none() {
        let message = format!(
            "the target was not asked, so its version is assumed to be the source's, {}",
            facts.target_version()
        );
        let help =
            "let the plan read the target's catalog: `--catalog target=FILE`, or its connection";
        findings.push(Finding::note("compile::target_assumed", message).help(help));
    }
}

/// Names for people: the first few, and how many more there are.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a QualifiedName>) -> String {
    let count = names.len();
    let shown: Vec<String> = names.take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    if count > MOST_NAMES { format!("{shown} and {} more", count - MOST_NAMES) } else { shown }
}

/// Points at the plan where the thing stands there.
fn at_plan(finding: Finding, pointer: Option<&String>, label: &str) -> Finding {
    match pointer {
        Some(pointer) => finding.at_value(pointer, label),
        None => finding,
    }
}

#[cfg(test)]
mod tests;
