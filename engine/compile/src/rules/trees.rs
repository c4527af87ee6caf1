//! Trees of tables stay together: rows go from one partition to another, and commands reach them all.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Entry, Finding, Ident, Place, QualifiedName, Server, Table};
use pgkedge_plan::GroupPlan;

use super::capture::Captured;

pub(super) fn check(captured: &Captured<'_>, findings: &mut Vec<Finding>) {
    for (root, members) in partition_trees(captured) {
        let slots = slots_of(captured, members.iter().copied());
        if slots.len() > 1 {
            findings.push(on_two_slots(root, "partitions", &slots));
        } else if captured.through_roots && groups_apart(captured, &members) {
            findings.push(in_two_sets(root));
        }
    }
    for (child, parent) in inheritance(captured) {
        let slots = slots_of(captured, [child, parent]);
        if slots.len() > 1 {
            findings.push(on_two_slots(&parent.name, "children", &slots));
        }
    }
}

/// Tables that move, by the root of their tree.
fn partition_trees<'a>(captured: &Captured<'a>) -> BTreeMap<&'a QualifiedName, Vec<&'a Table>> {
    let mut trees: BTreeMap<&QualifiedName, Vec<&Table>> = BTreeMap::new();
    let tables = captured.source.tables.values().copied();
    for table in tables.filter(|table| captured.chosen.selected.contains(&table.oid)) {
        if let Some(partition) = &table.partition {
            trees.entry(&partition.root).or_default().push(table);
        }
    }
    for (root, members) in &mut trees {
        members.extend(captured.source.tables_by_name.get(*root));
    }
    trees
}

/// What inherits from what, as the archive says: a table that needs another one to be created.
fn inheritance<'a>(captured: &Captured<'a>) -> Vec<(&'a Table, &'a Table)> {
    let source = captured.source;
    let table_of = |entry: &Entry| {
        let own = (entry.kind == "TABLE").then(|| source.tables.get(&entry.oid).copied()).flatten();
        own.filter(|table| captured.chosen.selected.contains(&table.oid))
    };
    let inherits = |entry: &&&Entry| {
        entry.statements.iter().any(|statement| statement.contains("\nINHERITS ("))
    };
    let mut pairs = Vec::new();
    for entry in source.entries.values().filter(inherits) {
        let Some(child) = table_of(entry) else { continue };
        let parents = entry.depends.iter().filter_map(|needed| source.entries.get(needed));
        pairs.extend(parents.filter_map(|parent| table_of(parent)).map(|parent| (child, parent)));
    }
    pairs
}

fn slots_of<'a>(
    captured: &Captured<'a>,
    tables: impl IntoIterator<Item = &'a Table>,
) -> BTreeSet<&'a Ident> {
    let slot = |table: &Table| {
        let set = group_of(captured, table)?.sets.first()?;
        let set = captured.request.capture.sets.iter().find(|plan| plan.name == *set)?;
        Some(&set.slot)
    };
    tables.into_iter().filter_map(slot).collect()
}

/// A slot that carries nothing is none of the capture, but it was meant.
fn group_of<'a>(captured: &Captured<'a>, table: &Table) -> Option<&'a GroupPlan> {
    let group = captured.chosen.selection.group_of(&table.name)?;
    captured.request.groups.iter().find(|plan| plan.name == group.name)
}

/// Whether parts of a tree are in other sets than the rest of it.
fn groups_apart(captured: &Captured<'_>, members: &[&Table]) -> bool {
    let sets =
        |table: &&Table| Some(group_of(captured, table)?.sets.iter().collect::<BTreeSet<_>>());
    members.iter().map(sets).collect::<BTreeSet<_>>().len() > 1
}

fn on_two_slots(root: &QualifiedName, what: &str, slots: &BTreeSet<&Ident>) -> Finding {
    let slots: Vec<String> = slots.iter().map(|slot| format!("`{slot}`")).collect();
    let message = format!(
        "`{root}` and its {what} are on several slots, {}, which are applied in no common order",
        slots.join(" and ")
    );
    Finding::error("compile::tree_on_two_slots", message)
        .at(Place::Object { server: Server::Source, object: root.to_string() })
        .help(format!(
            "put all of them into groups of one slot: name `{root}` and its {what} in one group"
        ))
}

fn in_two_sets(root: &QualifiedName) -> Finding {
    let message = format!(
        "`{root}` is published as a whole, but its partitions are in groups with different replication \
         sets"
    );
    Finding::error("compile::tree_in_two_sets", message)
        .at(Place::Object { server: Server::Source, object: root.to_string() })
        .help(
            "give these groups the same replication sets, put the tree into one group, or publish each \
             partition by itself: `partitions: leaf`",
        )
}
