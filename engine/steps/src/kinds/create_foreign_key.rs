//! Adds one foreign key, unchecked where the server lets it be checked later side by side.

use std::collections::BTreeSet;

use pgkedge_model::{
    Constraint, Draft, Each, Expansion, Finding, Fold, Ident, Item, Leaves, Object, QualifiedName,
    Script, Table, TableKind, Touch, Undo,
};
use pgkedge_render::Block;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_constraint::{constraint, table};
use crate::step::Step;
use crate::{archive, partitions, script};

pub(crate) struct CreateForeignKey;

/// Which foreign keys a step is about.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    #[serde(default)]
    slots: KeySlots,
}

/// Foreign keys by when the rows of their two tables are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeySlots {
    #[default]
    All,
    /// One slot carries the changes of both tables.
    Same,
    /// Different slots do, or none carries those of an unlogged table: the key can only be there
    /// once all slots have drained.
    Crossing,
}

impl Params {
    /// Whether the step is about this key.
    pub(crate) fn takes(self, expansion: &Expansion<'_>, key: &Constraint) -> bool {
        match self.slots {
            KeySlots::All => true,
            KeySlots::Same => !crosses(expansion, key),
            KeySlots::Crossing => crosses(expansion, key),
        }
    }
}

/// Whether the changes of a key's two tables do not come through one slot.
pub(crate) fn crosses(expansion: &Expansion<'_>, key: &Constraint) -> bool {
    let tables = [Some(&key.table), key.references.as_ref()];
    let slots: BTreeSet<Option<&Ident>> =
        tables.into_iter().flatten().flat_map(|table| slots_of(expansion, table)).collect();
    !expansion.capture.is_empty() && (slots.len() > 1 || slots.contains(&None))
}

/// The slots that carry the changes of a table; for a partitioned one, of all its partitions.
fn slots_of<'a>(expansion: &Expansion<'a>, table: &QualifiedName) -> Vec<Option<&'a Ident>> {
    let slot = |table: &Table| {
        let slot = expansion.capture.slot_of(&table.name, expansion.selection);
        slot.filter(|_| !table.unlogged).map(|slot| &slot.name)
    };
    let leaves: Vec<_> = partitions::leaves(expansion, table).map(slot).collect();
    if leaves.is_empty() {
        return expansion.source.tables_by_name.get(table).copied().map(slot).into_iter().collect();
    }
    leaves
}

impl Step for CreateForeignKey {
    const KIND: &'static str = "create_foreign_key";
    const ABOUT: &'static str =
        "Adds a foreign key without checking the rows, where the server can check them later.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::ForeignKey];
    type Params = Params;

    fn expand(params: &Params, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Entry(entry) = expansion.item else { return Ok(Vec::new()) };
        let Some((key, table)) =
            constraint(expansion, entry).and_then(|key| Some((key, table(expansion, key)?)))
        else {
            return Err(vec![unknown(entry)]);
        };
        if !params.takes(expansion, key) {
            return Ok(Vec::new());
        }
        let not_valid = is_validated_later(expansion, key, table);
        let context = json!({
            "statements": entry.statements,
            "not_valid": not_valid,
            "table": table.name,
            "constraint": key.name,
        });
        let mut touches = archive::touches(entry);
        touches.extend(data_of_both(key));
        Ok(vec![Draft {
            key: archive::item_key(entry, expansion.source),
            params: Value::Null,
            touches,
            script: Script {
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                undo: Undo::Statements(script::guarded(Self::KIND, Block::Undo, &context)?),
                ..Script::default()
            },
            cost: if not_valid { 0 } else { table.bytes },
            // Each locks two tables: side by side they would deadlock.
            fold: Fold::Chain,
            stops: None,
        }])
    }
}

/// A foreign key that the catalog's queries and the archive do not agree on.
pub(crate) fn unknown(entry: &pgkedge_model::Entry) -> Finding {
    let message = format!("foreign key `{}` is in the archive but not in the catalog", entry.name);
    Finding::error("steps::unknown_foreign_key", message)
        .at(archive::place(entry))
        .help("the schema changed while it was read: run the command again")
}

/// Whether `validate_foreign_key` checks the rows of this one. A key that the source itself has not
/// validated stays so. One of a partitioned table, or to one, is checked as it is added, before 18:
/// the first cannot be added unchecked, and of the second only the key itself would be validated
/// later, not its offspring for each partition.
pub(crate) fn is_validated_later(
    expansion: &Expansion<'_>,
    key: &Constraint,
    table: &Table,
) -> bool {
    let is_partitioned = |table: &Table| table.kind == TableKind::Partitioned;
    let referenced =
        key.references.as_ref().and_then(|name| expansion.source.tables_by_name.get(name));
    let is_whole = !is_partitioned(table) && !referenced.is_some_and(|table| is_partitioned(table));
    key.validated && (is_whole || expansion.facts.target_version().major() >= 18)
}

/// A foreign key reads the rows of both its tables.
pub(crate) fn data_of_both(key: &Constraint) -> Vec<Touch> {
    let tables = [Some(&key.table), key.references.as_ref()];
    tables.into_iter().flatten().map(|table| Touch::read(Object::new("data", table))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    fn run(sample: &Sample) -> Vec<String> {
        shown(&sample.expand_entry::<CreateForeignKey>(11, json!({})).unwrap()[0].script.run)
    }

    #[test]
    fn a_foreign_key_is_checked_later() {
        let sample = Sample::with_foreign_key();
        assert_eq!(
            run(&sample),
            ["ALTER TABLE ONLY public.child ADD CONSTRAINT \"f k\" FOREIGN KEY (p) REFERENCES \
             public.parent(id) DEFERRABLE not valid"]
        );
        let drafts = sample.expand_entry::<CreateForeignKey>(11, json!({})).unwrap();
        assert!(drafts[0].touches.contains(&Touch::read(Object::new("data", "public.parent"))));
        assert_eq!(drafts[0].fold, Fold::Chain);
    }

    #[test]
    fn one_that_the_source_has_not_validated_stays_as_it_is() {
        let mut sample = Sample::with_foreign_key();
        sample.facts.source.constraints[0].validated = false;
        assert!(run(&sample)[0].ends_with("DEFERRABLE"));
    }

    /// How many drafts a step makes of the key: `same`, then `crossing`.
    fn taken(sample: &Sample) -> [usize; 2] {
        ["same", "crossing"].map(|slots| {
            let params = json!({ "slots": slots });
            sample.expand_entry::<CreateForeignKey>(11, params).unwrap().len()
        })
    }

    #[test]
    fn a_key_between_two_slots_is_another_steps() {
        let mut sample = Sample::with_foreign_key();
        assert_eq!(taken(&sample), [1, 0]);
        sample.on_slots(&[("one", &["child", "parent"])]);
        assert_eq!(taken(&sample), [1, 0]);
        sample.on_slots(&[("one", &["child"]), ("two", &["parent"])]);
        assert_eq!(taken(&sample), [0, 1]);
    }

    #[test]
    fn a_key_of_a_partitioned_table_goes_by_its_partitions() {
        let mut sample = Sample::with_foreign_key();
        sample.facts.source.tables[0].kind = TableKind::Partitioned;
        let root = sample.facts.source.tables[0].name.clone();
        for (oid, leaf) in [(21, "leaf_1"), (22, "leaf_2")] {
            sample.table(oid, "public", leaf).partition = Some(pgkedge_model::PartitionFacts {
                parent: root.clone(),
                root: root.clone(),
                through_root: false,
            });
        }
        sample.on_slots(&[("one", &["child", "leaf_1", "leaf_2", "parent"])]);
        assert_eq!(taken(&sample), [1, 0]);
        sample.on_slots(&[("one", &["child", "leaf_1", "parent"]), ("two", &["leaf_2"])]);
        assert_eq!(taken(&sample), [0, 1]);
    }

    #[test]
    fn rows_of_an_unlogged_table_come_after_the_drain_and_so_does_its_key() {
        let mut sample = Sample::with_foreign_key();
        sample.facts.source.tables[0].unlogged = true;
        sample.on_slots(&[("one", &["child", "parent"])]);
        assert_eq!(taken(&sample), [0, 1]);
    }

    #[test]
    fn one_of_a_partitioned_table_or_to_one_is_checked_at_once_before_18() {
        for partitioned in [0, 1] {
            let mut sample = Sample::with_foreign_key();
            sample.facts.source.tables[partitioned].kind = TableKind::Partitioned;
            assert!(run(&sample)[0].ends_with("DEFERRABLE"));
            sample.target().server.version = pgkedge_model::ServerVersion(180_000);
            assert!(run(&sample)[0].ends_with("not valid"));
        }
    }
}
