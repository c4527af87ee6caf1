//! What a plan's capture is checked against.

use std::collections::BTreeSet;

use pgkedge_model::{
    Capture, CatalogIndex, Each, Facts, Finding, Operation, QualifiedName, Slot, TableKind,
    UnloggedPolicy,
};

use super::{at_plan, crossing, identity, listed, trees};
use crate::compile::Request;
use crate::passes::{Chosen, holds_rows};

/// A capture with what it was made from.
pub(crate) struct Captured<'a> {
    pub(crate) request: Request<'a>,
    pub(crate) facts: &'a Facts,
    pub(crate) source: &'a CatalogIndex<'a>,
    pub(crate) chosen: &'a Chosen,
    pub(crate) capture: &'a Capture,
    /// Partitions are published as their roots where that is possible.
    pub(crate) through_roots: bool,
}

/// `keyless` are tables whose updates and deletes find no row.
pub(crate) fn check_capture(
    captured: &Captured<'_>,
    keyless: &BTreeSet<QualifiedName>,
    findings: &mut Vec<Finding>,
) {
    identity::tables_without_identity(captured, keyless, findings);
    identity::generated_identities(captured, keyless, findings);
    trees::check(captured, findings);
    crossing::check(captured, findings);
    truncates_that_are_not_published(captured, findings);
    partitions_published_by_leaf(captured, findings);
    unlogged_at_cutover(captured, findings);
}

pub(crate) fn slots_without_tables(
    request: Request<'_>,
    empty: &[Slot],
    findings: &mut Vec<Finding>,
) {
    for slot in empty {
        let plan = request.capture.slots.iter().find(|plan| plan.name == slot.name);
        let message =
            format!("slot `{}` is not created: its groups have no table that is logged", slot.name);
        let finding = Finding::warning("compile::slot_without_tables", message)
            .help("take it out, or give its groups tables");
        findings.push(at_plan(finding, plan.and_then(|plan| plan.pointer.as_ref()), "for nothing"));
    }
}

/// Before 11 a publication has no TRUNCATE.
fn truncates_that_are_not_published(captured: &Captured<'_>, findings: &mut Vec<Finding>) {
    let sets = &captured.request.capture.sets;
    let carried = captured.capture.sets().any(|set| set.operations.contains(&Operation::Truncate));
    if carried || !sets.iter().any(|set| set.operations.contains(&Operation::Truncate)) {
        return;
    }
    if captured.capture.is_empty() {
        return;
    }
    let message = format!(
        "PostgreSQL {} publishes no TRUNCATE: tables that are truncated while the run goes on will differ",
        captured.facts.source.server.version.major()
    );
    findings.push(
        Finding::warning("compile::truncate_not_published", message)
            .help("see to it that nobody truncates a table until the cutover: DELETE is captured"),
    );
}

/// A partition that is created meanwhile is captured only where the root is published.
fn partitions_published_by_leaf(captured: &Captured<'_>, findings: &mut Vec<Finding>) {
    let published: BTreeSet<&QualifiedName> =
        captured.capture.sets().flat_map(|set| &set.tables).collect();
    let tables = captured.source.tables.values();
    let by_leaf: BTreeSet<&QualifiedName> = tables
        .filter(|table| published.contains(&table.name))
        .filter_map(|table| Some(&table.partition.as_ref()?.root))
        .collect();
    if by_leaf.is_empty() {
        return;
    }
    let message = format!(
        "each partition is published by itself, not as its root, of {}: one that is created while the \
         run goes on is not captured",
        listed(by_leaf.into_iter())
    );
    let why = if captured.through_roots {
        "a root is published where all of its partitions move and none is a foreign table"
    } else {
        "roots are published from PostgreSQL 13 on, with `partitions: root`"
    };
    findings.push(Finding::note("compile::partitions_by_leaf", message).help(why));
}

/// Their rows are copied while nobody may write.
fn unlogged_at_cutover(captured: &Captured<'_>, findings: &mut Vec<Finding>) {
    let tables = captured.source.tables.values().filter(|table| {
        table.unlogged
            && table.kind != TableKind::MaterializedView
            && holds_rows(table)
            && captured.chosen.selected.contains(&table.oid)
    });
    let tables: Vec<_> = tables.collect();
    if tables.is_empty() || captured.request.settings.unlogged == UnloggedPolicy::SchemaOnly {
        return;
    }
    let bytes: u64 = tables.iter().map(|table| table.bytes).sum();
    let names: Vec<&QualifiedName> = tables.iter().map(|table| &table.name).collect();
    let declared = captured.request.phases.iter().flat_map(|phase| &phase.steps);
    if !declared.into_iter().any(|step| step.each == Some(Each::UnloggedPart)) {
        let message = format!(
            "no slot carries unlogged tables, and no step copies them: {}",
            listed(names.into_iter())
        );
        findings.push(Finding::error("compile::unlogged_left_out", message).help(
            "to leave their rows as they are on both sides: `unlogged: schema_only`; or leave the \
             tables out of the plan",
        ));
        return;
    }
    let message = format!(
        "no slot carries unlogged tables: {} ({bytes} bytes) are copied while the source is closed",
        listed(names.into_iter())
    );
    findings.push(
        Finding::note("compile::unlogged_at_cutover", message)
            .help("to leave their rows behind instead: `unlogged: schema_only`"),
    );
}
