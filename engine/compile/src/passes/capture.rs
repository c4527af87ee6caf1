//! Which slots there are, and what each of their replication sets publishes.

use std::collections::BTreeSet;

use pgkedge_model::{
    Capture, CatalogIndex, Facts, Finding, Ident, Operation, PublishedPartitions, QualifiedName,
    ReplicationSet, Slot, Table, TableKind, WithoutIdentity,
};
use pgkedge_plan::{GroupPlan, SetPlan, SlotPlan, free_name};

use super::Chosen;
use super::split::holds_rows;
use crate::compile::Request;
use crate::rules::{self, Captured};

/// From 13 on changes of partitions can be published as those of their root.
const ROOTS_SINCE: u32 = 13;
/// 10 publishes no TRUNCATE.
const TRUNCATES_SINCE: u32 = 11;

/// Operations that find no row, so that they need no identity.
const ADDING: [Operation; 2] = [Operation::Insert, Operation::Truncate];

pub(crate) fn capture(
    request: Request<'_>,
    facts: &Facts,
    source: &CatalogIndex<'_>,
    chosen: &Chosen,
    findings: &mut Vec<Finding>,
) -> Capture {
    if request.capture.slots.is_empty() {
        return Capture::default();
    }
    let mut publisher = Publisher::new(request, facts, source, chosen);
    let slots: Vec<Slot> = request.capture.slots.iter().map(|slot| publisher.slot(slot)).collect();
    let Publisher { keyless, .. } = publisher;
    let (carrying, empty): (Vec<Slot>, Vec<Slot>) =
        slots.into_iter().partition(|slot| !slot.sets.is_empty());
    rules::slots_without_tables(request, &empty, findings);
    let capture = Capture { slots: carrying };
    let captured = Captured {
        request,
        facts,
        source,
        chosen,
        capture: &capture,
        through_roots: publishes_roots(request, facts),
    };
    rules::check_capture(&captured, &keyless, findings);
    capture
}

fn publishes_roots(request: Request<'_>, facts: &Facts) -> bool {
    request.settings.partitions == PublishedPartitions::Root
        && facts.source.server.version.major() >= ROOTS_SINCE
}

struct Publisher<'a> {
    request: Request<'a>,
    chosen: &'a Chosen,
    source: &'a CatalogIndex<'a>,
    /// Roots that are published instead of their partitions.
    roots: BTreeSet<&'a QualifiedName>,
    truncates: bool,
    /// Names of sets that are taken.
    names: BTreeSet<String>,
    /// Tables whose updates and deletes were to be published, but find no row.
    keyless: BTreeSet<QualifiedName>,
}

impl<'a> Publisher<'a> {
    fn new(
        request: Request<'a>,
        facts: &'a Facts,
        source: &'a CatalogIndex<'a>,
        chosen: &'a Chosen,
    ) -> Self {
        let roots = if publishes_roots(request, facts) {
            whole_trees(facts, chosen)
        } else {
            BTreeSet::new()
        };
        let sets = request.capture.sets.iter();
        Self {
            request,
            chosen,
            source,
            roots,
            truncates: facts.source.server.version.major() >= TRUNCATES_SINCE,
            names: sets.map(|set| set.name.as_str().to_owned()).collect(),
            keyless: BTreeSet::new(),
        }
    }

    fn slot(&mut self, plan: &SlotPlan) -> Slot {
        let request = self.request;
        let sets = request.capture.sets.iter().filter(|set| set.slot == plan.name);
        let sets: Vec<&SetPlan> = sets.collect();
        let carries = |group: &&GroupPlan| sets.iter().any(|set| group.sets.contains(&set.name));
        let groups = request.groups.iter().filter(carries);
        Slot {
            name: plan.name.clone(),
            existing: plan.existing,
            groups: groups.map(|group| group.name.clone()).collect(),
            sets: sets.iter().flat_map(|set| self.published(set)).collect(),
        }
    }

    /// A set, and beside it one for the tables of which only inserts are captured.
    fn published(&mut self, plan: &SetPlan) -> Vec<ReplicationSet> {
        let mut operations = plan.operations.clone();
        if !self.truncates {
            operations.remove(&Operation::Truncate);
        }
        let finds_rows = operations.iter().any(|operation| !ADDING.contains(operation));
        let (keyed, keyless): (Vec<&Table>, Vec<&Table>) = self
            .tables_of(plan)
            .into_iter()
            .partition(|table| !finds_rows || self.without_identity(table).is_empty());
        let inserts_only =
            self.request.settings.tables_without_identity == WithoutIdentity::InsertOnly;
        // What is there already is taken as it is: a table that it adds rows to alone needs no more.
        if plan.publication.is_some() && inserts_only && keyed.is_empty() {
            operations.retain(|operation| ADDING.contains(operation));
        }
        for &table in &keyless {
            // A tree is published as one: with a partition, all of it loses its updates.
            let members = if inserts_only { vec![table] } else { self.without_identity(table) };
            self.keyless.extend(members.into_iter().map(|member| member.name.clone()));
        }
        let sets = match self.request.settings.tables_without_identity {
            WithoutIdentity::InsertOnly if !keyless.is_empty() && plan.publication.is_none() => {
                let adding = ADDING.into_iter().filter(|operation| operations.contains(operation));
                let inserts = set(self.companion(&plan.name), plan, adding.collect(), &keyless);
                vec![set(plan.name.clone(), plan, operations, &keyed), inserts]
            }
            WithoutIdentity::InsertOnly | WithoutIdentity::Full | WithoutIdentity::Refuse => {
                vec![set(plan.name.clone(), plan, operations, &[keyed, keyless].concat())]
            }
        };
        let carries = |set: &ReplicationSet| !set.tables.is_empty() && !set.operations.is_empty();
        sets.into_iter().filter(carries).collect()
    }

    /// The name of the set of inserts beside a set.
    fn companion(&mut self, set: &Ident) -> Ident {
        let name = free_name(set.as_str(), "inserts", |name| self.names.contains(name));
        self.names.insert(name.as_str().to_owned());
        name
    }

    /// What the groups of a set publish: logged tables with rows of their own, and roots instead of
    /// their partitions.
    fn tables_of(&self, set: &SetPlan) -> Vec<&'a Table> {
        let groups = self.request.groups.iter().zip(&self.chosen.selection.groups);
        let groups = groups.filter(|(plan, _)| plan.sets.contains(&set.name));
        let names = groups.flat_map(|(_, group)| &group.tables);
        let tables = names.filter_map(|name| self.source.tables_by_name.get(name).copied());
        tables.filter(|table| self.is_published(table)).collect()
    }

    fn is_published(&self, table: &Table) -> bool {
        if self.roots.contains(&table.name) {
            return true;
        }
        let by_root =
            table.partition.as_ref().is_some_and(|partition| self.roots.contains(&partition.root));
        holds_rows(table) && !table.unlogged && !by_root
    }

    /// The tables of a published one that lack an identity: itself, or the root and its partitions.
    fn without_identity(&self, table: &'a Table) -> Vec<&'a Table> {
        let members = self.source.tables.values().copied().filter(|member| {
            let below = member.partition.as_ref().is_some_and(|p| p.root == table.name);
            member.oid == table.oid || below && is_logged_member(member)
        });
        members.filter(|member| !member.identity.usable).collect()
    }
}

fn is_logged_member(table: &Table) -> bool {
    holds_rows(table) && !table.unlogged
}

/// Roots all of whose partitions move, and are tables of this database.
fn whole_trees<'a>(facts: &'a Facts, chosen: &Chosen) -> BTreeSet<&'a QualifiedName> {
    let tables = &facts.source.tables;
    let broken: BTreeSet<&QualifiedName> = tables
        .iter()
        .filter(|table| !chosen.selected.contains(&table.oid))
        .filter_map(|table| Some(&table.partition.as_ref()?.root))
        .collect();
    let roots = tables.iter().filter(|table| {
        table.kind == TableKind::Partitioned && table.partition.is_none() && !table.reaches_foreign
    });
    let moving = roots.filter(|table| chosen.selected.contains(&table.oid));
    moving.map(|table| &table.name).filter(|name| !broken.contains(name)).collect()
}

fn set(
    name: Ident,
    plan: &SetPlan,
    operations: BTreeSet<Operation>,
    tables: &[&Table],
) -> ReplicationSet {
    let through_root = tables.iter().any(|table| table.kind == TableKind::Partitioned);
    let mut tables: Vec<QualifiedName> = tables.iter().map(|table| table.name.clone()).collect();
    tables.sort();
    ReplicationSet {
        name,
        slot: plan.slot.clone(),
        publication: plan.publication.clone(),
        operations,
        tables,
        through_root,
    }
}

#[cfg(test)]
mod tests;
