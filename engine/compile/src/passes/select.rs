//! Which tables move, and that each is in exactly one group.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{CatalogIndex, Facts, Finding, QualifiedName, Selection, Table, TableGroup};
use pgkedge_plan::{GroupPlan, Pattern, Property, TablePatterns};

use crate::compile::Request;
use crate::rules;

/// The tables that move.
pub(crate) struct Chosen {
    pub(crate) selection: Selection,
    /// OIDs of the tables that move.
    pub(crate) selected: BTreeSet<u32>,
}

/// A partition moves with its parent unless it is excluded itself, and into its parent's group
/// unless another group names it.
pub(crate) fn select(
    request: Request<'_>,
    facts: &Facts,
    source: &CatalogIndex<'_>,
    findings: &mut Vec<Finding>,
) -> Chosen {
    let mut moving = Moving { tables: request.tables, source, known: BTreeMap::new() };
    let (selected, excluded): (Vec<&Table>, Vec<&Table>) =
        facts.source.tables.iter().partition(|table| moving.moves(table));
    rules::unmatched_patterns(request, facts, &selected, findings);
    rules::partitions_without_parent(request.tables, &excluded, findings);

    let groups = assign(request.groups, source, &selected, findings);
    let mut excluded: Vec<QualifiedName> = excluded.iter().map(|t| t.name.clone()).collect();
    excluded.sort();
    Chosen {
        selection: Selection { groups, excluded },
        selected: selected.iter().map(|table| table.oid).collect(),
    }
}

/// Whether a table moves, asked once per table.
struct Moving<'a> {
    tables: &'a TablePatterns,
    source: &'a CatalogIndex<'a>,
    known: BTreeMap<u32, bool>,
}

impl Moving<'_> {
    fn moves(&mut self, table: &Table) -> bool {
        if let Some(known) = self.known.get(&table.oid) {
            return *known;
        }
        let matches = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(&table.name));
        let moves = !matches(&self.tables.exclude)
            && match parent(self.source, table) {
                Some(parent) => self.moves(parent),
                None => matches(&self.tables.include),
            };
        self.known.insert(table.oid, moves);
        moves
    }
}

fn parent<'a>(source: &CatalogIndex<'a>, table: &Table) -> Option<&'a Table> {
    source.tables_by_name.get(&table.partition.as_ref()?.parent).copied()
}

/// Puts every table into its group. A group that names a table goes before one that describes it by
/// properties or takes the rest; among the latter the first one wins.
fn assign(
    plans: &[GroupPlan],
    source: &CatalogIndex<'_>,
    selected: &[&Table],
    findings: &mut Vec<Finding>,
) -> Vec<TableGroup> {
    let mut tables: Vec<Vec<QualifiedName>> = vec![Vec::new(); plans.len()];
    let facts = TableProperties::of(source);
    let mut homeless = Vec::new();
    let mut claimed_twice: BTreeMap<(usize, usize), Vec<&QualifiedName>> = BTreeMap::new();
    for table in selected {
        let mut naming = (0..plans.len()).filter(|at| names_it(&plans[*at], &table.name));
        if let (Some(first), Some(second)) = (naming.next(), naming.next()) {
            claimed_twice.entry((first, second)).or_default().push(&table.name);
        }
        match home(plans, source, &facts, table) {
            Some(at) => tables[at].push(table.name.clone()),
            None => homeless.push(&table.name),
        }
    }
    rules::tables_in_two_groups(plans, &claimed_twice, findings);
    rules::tables_in_no_group(plans, &homeless, findings);
    rules::groups_without_tables(plans, &tables, findings);
    plans
        .iter()
        .zip(tables)
        .map(|(plan, mut tables)| {
            tables.sort();
            TableGroup { name: plan.name.clone(), tables }
        })
        .collect()
}

fn home(
    plans: &[GroupPlan],
    source: &CatalogIndex<'_>,
    facts: &TableProperties,
    table: &Table,
) -> Option<usize> {
    let mut tree = vec![table];
    while let Some(above) = tree.last().and_then(|table| parent(source, table)) {
        tree.push(above);
    }
    let named = |table: &&Table| plans.iter().position(|plan| names_it(plan, &table.name));
    let root = tree.last().copied().unwrap_or(table);
    tree.iter().find_map(named).or_else(|| {
        plans.iter().position(|plan| {
            // A group that asks for partitions means them themselves, any other means whole trees.
            let itself = plan.tables.having.contains(&Property::Partitioned);
            describes_it(plan, facts, if itself { table } else { root })
        })
    })
}

/// Whether a group names a table, rather than describing it or taking what is left.
pub(crate) fn names_it(plan: &GroupPlan, table: &QualifiedName) -> bool {
    let named = |pattern: &Pattern| !pattern.is_everything() && pattern.matches(table);
    plan.tables.having.is_empty() && plan.tables.patterns.iter().any(named)
}

fn describes_it(plan: &GroupPlan, facts: &TableProperties, table: &Table) -> bool {
    plan.tables.patterns.iter().any(|pattern| pattern.matches(&table.name))
        && plan.tables.having.iter().all(|property| facts.has(table, *property))
}

/// What the properties of a plan's groups look at, by the table's OID.
struct TableProperties {
    primary_key: BTreeSet<u32>,
    other_unique_index: BTreeSet<u32>,
}

impl TableProperties {
    fn of(source: &CatalogIndex<'_>) -> Self {
        let of = |wanted: fn(&pgkedge_model::Index) -> bool| {
            source.indexes.values().filter(|i| wanted(i)).map(|index| index.table_oid).collect()
        };
        Self {
            primary_key: of(|index| index.primary),
            other_unique_index: of(|index| index.unique && !index.primary),
        }
    }

    fn has(&self, table: &Table, property: Property) -> bool {
        match property {
            Property::PrimaryKey => self.primary_key.contains(&table.oid),
            Property::NoPrimaryKey => !self.primary_key.contains(&table.oid),
            Property::OtherUniqueIndex => self.other_unique_index.contains(&table.oid),
            Property::Partitioned => table.partition.is_some(),
            Property::Unlogged => table.unlogged,
        }
    }
}
