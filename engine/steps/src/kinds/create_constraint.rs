//! Adds one constraint of post-data that is no foreign key: primary keys, unique, exclusion, check.

use std::collections::BTreeSet;

use pgkedge_model::{
    Constraint, ConstraintKind, Draft, Each, Entry, Expansion, Finding, Item, Leaves, Object,
    Server, Table, Touch, quote_literal,
};

use super::create_index::{after_rows, is_partition, unless};
use crate::step::{NoParams, Step};

/// `pg_constraint`.
pub(crate) const CLASS: u32 = 2606;
/// `pg_class`.
const TABLE_CLASS: u32 = 1259;

pub(crate) struct CreateConstraint;

impl Step for CreateConstraint {
    const KIND: &'static str = "create_constraint";
    const ABOUT: &'static str =
        "Adds a primary key, unique, exclusion or check constraint once its table's rows are in.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::Constraint];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Entry(entry) = expansion.item else { return Ok(Vec::new()) };
        let constraint = constraint(expansion, entry);
        let table = constraint.and_then(|of| table(expansion, of));
        let heirs = constraint.map(|of| validated_heirs(expansion, of)).unwrap_or_default();
        let mut entry = entry.clone();
        entry.statements.extend(
            heirs.iter().map(|heir| {
                format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", heir.table, heir.name)
            }),
        );
        let undo = undo(constraint, table);
        let mut draft = after_rows(Self::KIND, expansion, &entry, table, &undo)?;
        let rows = |heir: &&Constraint| Touch::read(Object::new("data", &heir.table));
        draft.touches.extend(heirs.iter().map(rows));
        if constraint.is_some_and(|of| of.kind == ConstraintKind::Check) {
            // It goes to every heir and partition at once, and rows that break it must be in by then.
            draft.touches.push(Touch::read(Object::new("rows", Server::Target)));
        }
        Ok(vec![draft])
    }
}

/// What tables that inherit a check have validated, unlike the table that they have it from: they
/// were made after it. The archive does not say so.
fn validated_heirs<'a>(expansion: &Expansion<'a>, of: &Constraint) -> Vec<&'a Constraint> {
    if of.validated || of.kind != ConstraintKind::Check {
        return Vec::new();
    }
    let source = expansion.source;
    let is_heir = |one: &&Constraint| {
        one.validated
            && one.kind == ConstraintKind::Check
            && one.name == of.name
            && !source.entries_by_object.contains_key(&(CLASS, one.oid))
            && inherits(expansion, one.table_oid, of.table_oid)
    };
    source.constraints.values().copied().filter(is_heir).collect()
}

/// Whether a table was made after another one of which it needs the definition, at any distance.
fn inherits(expansion: &Expansion<'_>, table: u32, from: u32) -> bool {
    let entry = |oid| expansion.source.entries_by_object.get(&(TABLE_CLASS, oid)).copied();
    let (Some(heir), Some(from)) = (entry(table), entry(from)) else { return false };
    let mut seen = BTreeSet::new();
    let mut open = vec![heir];
    while let Some(entry) = open.pop() {
        let needs = entry.depends.iter().filter_map(|need| expansion.source.entries.get(need));
        for need in needs.copied().filter(|need| need.kind == "TABLE") {
            if need.number == from.number {
                return true;
            }
            if seen.insert(need.number) {
                open.push(need);
            }
        }
    }
    false
}

/// The constraint of an entry; none for one that belongs to a domain.
pub(crate) fn constraint<'a>(expansion: &Expansion<'a>, entry: &Entry) -> Option<&'a Constraint> {
    let found = expansion.source.constraints.get(&entry.oid).copied();
    found.filter(|_| entry.class == CLASS)
}

pub(crate) fn table<'a>(expansion: &Expansion<'a>, of: &Constraint) -> Option<&'a Table> {
    expansion.source.tables.get(&of.table_oid).copied()
}

fn undo(constraint: Option<&Constraint>, table: Option<&Table>) -> Vec<String> {
    let (Some(constraint), Some(table)) = (constraint, table) else { return Vec::new() };
    let drop = format!(
        "alter table if exists {} drop constraint if exists {}",
        table.name, constraint.name
    );
    let (of, name) =
        (quote_literal(&table.name.to_string()), quote_literal(constraint.name.as_str()));
    let attached = format!(
        "select from pg_catalog.pg_constraint \
         where conrelid = pg_catalog.to_regclass({of}) \
         and conname = {name} and coninhcount > 0"
    );
    vec![if is_partition(table) { unless(&attached, &drop) } else { drop }]
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{ConstraintKind, Object, Touch, Undo};
    use serde_json::json;

    use super::*;
    use crate::testing::{Sample, entry, shown};

    #[test]
    fn a_primary_key_waits_for_the_rows_and_is_dropped_by_name() {
        let mut sample = Sample::default();
        sample.table(10, "public", "orders");
        sample.constraint(30, "pk'ey", 10, ConstraintKind::PrimaryKey);
        let sql = "ALTER TABLE ONLY public.orders ADD CONSTRAINT \"pk'ey\" PRIMARY KEY (id)";
        let mut key = entry(9, "CONSTRAINT", "orders pk'ey", &[sql]);
        (key.class, key.oid) = (CLASS, 30);
        sample.facts.source.entries.push(key);
        let drafts = sample.expand_entry::<CreateConstraint>(9, json!({})).unwrap();
        assert_eq!(shown(&drafts[0].script.run), [sql]);
        assert!(drafts[0].touches.contains(&Touch::read(Object::new("data", "public.orders"))));
        let Undo::Statements(undo) = &drafts[0].script.undo else { panic!("no undo") };
        assert_eq!(
            shown(undo),
            ["alter table if exists public.orders drop constraint if exists \"pk'ey\""]
        );
    }
    #[test]
    fn a_check_that_an_heir_has_validated_is_validated_there() {
        let mut sample = Sample::default();
        for (oid, table, depends) in [(10, "parent", vec![]), (11, "heir", vec![10])] {
            sample.table(oid, "public", table);
            sample.constraint(oid + 20, "c k", oid, ConstraintKind::Check);
            let mut entry = entry(oid, "TABLE", table, &[]);
            (entry.class, entry.oid, entry.depends) = (TABLE_CLASS, oid, depends);
            sample.facts.source.entries.push(entry);
        }
        sample.facts.source.constraints[0].validated = false;
        let sql = "ALTER TABLE public.parent ADD CONSTRAINT \"c k\" CHECK (a > 0) NOT VALID";
        let mut check = entry(9, "CHECK CONSTRAINT", "parent c k", &[sql]);
        (check.class, check.oid) = (CLASS, 30);
        sample.facts.source.entries.push(check);
        let drafts = sample.expand_entry::<CreateConstraint>(9, json!({})).unwrap();
        assert_eq!(
            shown(&drafts[0].script.run),
            [sql, "ALTER TABLE public.heir VALIDATE CONSTRAINT \"c k\""]
        );
        assert!(drafts[0].touches.contains(&Touch::read(Object::new("data", "public.heir"))));
        assert!(drafts[0].touches.contains(&Touch::read(Object::new("rows", Server::Target))));
    }
}
