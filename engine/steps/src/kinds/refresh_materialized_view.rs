//! Fills materialized views on the target, those first that others read.

use std::collections::BTreeSet;

use pgkedge_model::{
    Draft, Each, Entry, Expansion, Finding, Fold, Item, Leaves, Object, Script, Table, Touch, Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::script;
use crate::step::{NoParams, Step};

/// `pg_class`.
const CLASS: u32 = 1259;

pub(crate) struct RefreshMaterializedView;

impl Step for RefreshMaterializedView {
    const KIND: &'static str = "refresh_materialized_view";
    const ABOUT: &'static str = "Fills a materialized view from the rows of the target.";
    const LEAVES: Leaves = Leaves::Result;
    const EACH: &'static [Each] = &[Each::MaterializedView];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Table(view) = expansion.item else { return Ok(Vec::new()) };
        let context = json!({ "view": view.name });
        Ok(vec![Draft {
            key: view.name.to_string(),
            params: Value::Null,
            touches: touches(expansion, view),
            script: Script {
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                undo: Undo::Statements(script::guarded(Self::KIND, Block::Undo, &context)?),
                ..Script::default()
            },
            cost: view.bytes,
            fold: Fold::Alone,
            stops: None,
        }])
    }
}

/// Reads the rows of every table and materialized view that its query reaches, through views too.
fn touches(expansion: &Expansion<'_>, view: &Table) -> Vec<Touch> {
    let mut touches = vec![Touch::write(Object::new("data", &view.name))];
    let Some(own) = expansion.source.entries_by_object.get(&(CLASS, view.oid)) else {
        return touches;
    };
    touches.push(Touch::read(Object::new("entry", own.number)));
    let mut seen = BTreeSet::from([own.number]);
    let mut open: Vec<&Entry> = vec![own];
    while let Some(entry) = open.pop() {
        for need in entry.depends.iter().filter_map(|need| expansion.source.entries.get(need)) {
            if !seen.insert(need.number) {
                continue;
            }
            let table = expansion.source.tables.get(&need.oid).filter(|_| need.class == CLASS);
            match table {
                Some(table) => touches.push(Touch::read(Object::new("data", &table.name))),
                None => open.push(need),
            }
        }
    }
    touches
}

#[cfg(test)]
mod tests {
    use pgkedge_model::TableKind;

    use super::*;
    use crate::testing::{Sample, entry, shown};

    /// `last` reads a view that reads `first`, which reads a table.
    fn sample() -> Sample {
        let mut sample = Sample::default();
        sample.table(10, "public", "t");
        sample.table(20, "public", "first").kind = TableKind::MaterializedView;
        sample.table(30, "public", "last").kind = TableKind::MaterializedView;
        for (number, oid, kind, depends) in [
            (1, 10, "TABLE", vec![]),
            (2, 20, "MATERIALIZED VIEW", vec![1]),
            (3, 25, "VIEW", vec![2]),
            (4, 30, "MATERIALIZED VIEW", vec![3]),
        ] {
            let mut entry = entry(number, kind, "x", &[]);
            (entry.class, entry.oid, entry.depends) = (CLASS, oid, depends);
            sample.facts.source.entries.push(entry);
        }
        sample
    }

    #[test]
    fn a_view_waits_for_the_rows_that_it_reads_through_other_views() {
        let sample = sample();
        let item = Item::Table(&sample.facts.source.tables[2]);
        let draft =
            sample.expand_item::<RefreshMaterializedView>(item, json!({})).unwrap().remove(0);
        assert_eq!(
            draft.touches,
            [
                Touch::write(Object::new("data", "public.last")),
                Touch::read(Object::new("entry", 4)),
                Touch::read(Object::new("data", "public.first")),
            ]
        );
        assert_eq!(
            shown(&draft.script.run),
            [
                "set local row_security = on",
                "refresh materialized view public.last",
                "set local row_security = off",
            ]
        );
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        assert_eq!(shown(undo), ["refresh materialized view public.last with no data"]);
    }
}
