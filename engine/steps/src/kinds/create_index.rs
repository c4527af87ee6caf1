//! Creates one index of the archive, or attaches it to its partitioned index.

use pgkedge_model::{
    Draft, Each, Entry, Expansion, Finding, Fold, Index, Item, Leaves, Object, Script, Server,
    Table, Touch, Undo, quote_literal,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::step::{NoParams, Step};
use crate::{archive, script};

/// `pg_class`.
const CLASS: u32 = 1259;

pub(crate) struct CreateIndex;

impl Step for CreateIndex {
    const KIND: &'static str = "create_index";
    const ABOUT: &'static str = "Creates an index once the rows of its table are in.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::Index];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Entry(entry) = expansion.item else { return Ok(Vec::new()) };
        let index = index(expansion, entry);
        let table = index.and_then(|index| expansion.source.tables.get(&index.table_oid)).copied();
        let draft = after_rows(Self::KIND, expansion, entry, table, &undo(index, table))?;
        Ok(vec![if entry.kind == "INDEX ATTACH" { in_turn(draft) } else { draft }])
    }
}

/// Each takes locks on the partitioned index and on those above it, and only for a moment: side by
/// side they would run into deadlocks.
fn in_turn(mut draft: Draft) -> Draft {
    draft.touches.push(Touch::write(Object::new("index_partitions", Server::Target)));
    draft.fold = Fold::Chain;
    draft
}

fn index<'a>(expansion: &Expansion<'a>, entry: &Entry) -> Option<&'a Index> {
    let is_index = entry.kind == "INDEX" && entry.class == CLASS;
    expansion.source.indexes.get(&entry.oid).copied().filter(|_| is_index)
}

fn undo(index: Option<&Index>, table: Option<&Table>) -> Vec<String> {
    let (Some(index), Some(table)) = (index, table) else { return Vec::new() };
    let drop = format!("drop index if exists {}", index.name);
    let name = quote_literal(&index.name.to_string());
    let attached = format!(
        "select from pg_catalog.pg_inherits \
         where inhrelid = pg_catalog.to_regclass({name})"
    );
    vec![if is_partition(table) { unless(&attached, &drop) } else { drop }]
}

pub(crate) fn is_partition(table: &Table) -> bool {
    table.partition.is_some()
}

/// What is attached to the partitioned table's cannot be dropped by itself: it goes with that.
pub(crate) fn unless(attached: &str, drop: &str) -> String {
    let body = format!("begin if not exists ({attached}) then {drop}; end if; end");
    format!("do {}", quote_literal(&body))
}

/// A draft of an entry that waits for the rows of its table.
pub(crate) fn after_rows(
    kind: &str,
    expansion: &Expansion<'_>,
    entry: &Entry,
    table: Option<&Table>,
    undo: &[String],
) -> Result<Draft, Vec<Finding>> {
    let context = json!({
        "settings": archive::settings(entry, expansion.facts.target_version().major()),
        "statements": entry.statements,
        "undo": undo,
    });
    let mut touches = archive::touches(entry);
    touches.extend(table.map(|table| Touch::read(Object::new("data", &table.name))));
    let cost = table.map_or(0, |table| table.bytes);
    Ok(Draft {
        key: archive::item_key(entry, expansion.source),
        params: Value::Null,
        touches,
        script: Script {
            run: script::guarded(kind, Block::Run, &context)?,
            undo: match script::guarded(kind, Block::Undo, &context)? {
                statements if statements.is_empty() => Undo::Nothing,
                statements => Undo::Statements(statements),
            },
            ..Script::default()
        },
        cost,
        fold: fold(expansion, cost),
        stops: None,
    })
}

/// Work on small tables is done many at a time.
pub(crate) fn fold(expansion: &Expansion<'_>, cost: u64) -> Fold {
    if cost <= expansion.settings.load.bundle_below.0 { Fold::Small } else { Fold::Alone }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::PartitionFacts;

    use super::*;
    use crate::testing::{Sample, entry, shown};

    fn sample() -> Sample {
        let mut sample = Sample::default();
        sample.table(10, "public", "or\"ders").bytes = 5;
        sample.index(20, "public", "by;day", 10);
        let mut index = entry(
            7,
            "INDEX",
            "by;day",
            &[
                "CREATE INDEX \"by;day\" ON public.\"or\"\"ders\" USING btree (day)",
                "ALTER TABLE public.\"or\"\"ders\" CLUSTER ON \"by;day\"",
            ],
        );
        (index.class, index.oid, index.depends) = (CLASS, 20, vec![3]);
        index.settings = vec![("default_tablespace".into(), "fast \"disk".into())];
        sample.facts.source.entries.push(index);
        sample
    }

    #[test]
    fn an_index_waits_for_its_tables_rows_and_takes_its_tablespace_along() {
        let drafts = sample().expand_entry::<CreateIndex>(7, json!({})).unwrap();
        let draft = &drafts[0];
        assert_eq!(
            shown(&draft.script.run),
            [
                "set local default_tablespace = 'fast \"disk'",
                "CREATE INDEX \"by;day\" ON public.\"or\"\"ders\" USING btree (day)",
                "ALTER TABLE public.\"or\"\"ders\" CLUSTER ON \"by;day\"",
                "reset default_tablespace",
            ]
        );
        assert_eq!(
            draft.touches,
            [
                Touch::read(Object::new("entry", 3)),
                Touch::write(Object::new("entry", 7)),
                Touch::read(Object::new("data", "public.\"or\"\"ders\"")),
            ]
        );
        assert_eq!((draft.cost, draft.fold), (5, Fold::Small));
    }

    #[test]
    fn indexes_are_attached_one_after_the_other() {
        let mut sample = sample();
        let attach = "ALTER INDEX public.of_all ATTACH PARTITION public.\"by;day\"";
        sample.facts.source.entries.push(entry(8, "INDEX ATTACH", "by;day", &[attach]));
        let drafts = sample.expand_entry::<CreateIndex>(8, json!({})).unwrap();
        assert_eq!(drafts[0].fold, Fold::Chain);
        let turn = Touch::write(Object::new("index_partitions", Server::Target));
        assert!(drafts[0].touches.contains(&turn));
    }

    #[test]
    fn an_index_is_dropped_and_one_that_is_attached_goes_with_its_parents() {
        let mut sample = sample();
        let drafts = sample.expand_entry::<CreateIndex>(7, json!({})).unwrap();
        let Undo::Statements(undo) = &drafts[0].script.undo else { panic!("no undo") };
        assert_eq!(shown(undo), ["drop index if exists public.\"by;day\""]);
        let root = sample.table(11, "public", "all").name.clone();
        let partition = PartitionFacts { parent: root.clone(), root, through_root: false };
        sample.facts.source.tables[0].partition = Some(partition);
        let drafts = sample.expand_entry::<CreateIndex>(7, json!({})).unwrap();
        let Undo::Statements(undo) = &drafts[0].script.undo else { panic!("no undo") };
        let undo = shown(undo);
        assert!(undo[0].starts_with("do 'begin if not exists (select from "), "{undo:?}");
    }
}
