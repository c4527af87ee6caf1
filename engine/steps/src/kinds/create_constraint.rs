//! Adds one constraint of post-data that is no foreign key: primary keys, unique, exclusion, check.

use pgkedge_model::{Constraint, Draft, Each, Entry, Expansion, Finding, Item, Leaves, Table};

use super::create_index::{after_rows, is_partitioning};
use crate::step::{NoParams, Step};

/// `pg_constraint`.
pub(crate) const CLASS: u32 = 2606;

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
        Ok(vec![after_rows(Self::KIND, expansion, entry, table, &undo(constraint, table))?])
    }
}

/// The constraint of an entry; none for one that belongs to a domain.
pub(crate) fn constraint<'a>(expansion: &Expansion<'a>, entry: &Entry) -> Option<&'a Constraint> {
    let found = expansion.source.constraints.get(&entry.oid).copied();
    found.filter(|_| entry.class == CLASS)
}

pub(crate) fn table<'a>(expansion: &Expansion<'a>, of: &Constraint) -> Option<&'a Table> {
    expansion.source.tables.get(&of.table_oid).copied()
}

/// A constraint of a partition cannot be dropped by itself: it goes with its table.
fn undo(constraint: Option<&Constraint>, table: Option<&Table>) -> Vec<String> {
    match (constraint, table) {
        (Some(constraint), Some(table)) if !is_partitioning(table) => vec![format!(
            "alter table if exists {} drop constraint if exists {}",
            table.name, constraint.name
        )],
        _ => Vec::new(),
    }
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
}
