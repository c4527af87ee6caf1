//! Collects the planner's statistics on the target, of whole partition trees at once.

use pgkedge_model::{
    Draft, Each, Expansion, Finding, Fold, Item, Leaves, Object, QualifiedName, Script, Server,
    Table, Touch, Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::partitions::{is_first_leaf, leaves};
use crate::script;
use crate::step::{NoParams, Step};

pub(crate) struct Analyze;

impl Step for Analyze {
    const KIND: &'static str = "analyze";
    const ABOUT: &'static str = "Collects statistics, so that the target plans its queries well.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Table, Each::MaterializedView];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Table(table) = expansion.item else { return Ok(Vec::new()) };
        // The other server may be out of reach, and its rows are no part of the move.
        if table.reaches_foreign {
            return Ok(Vec::new());
        }
        let root = table.partition.as_ref().map(|partition| &partition.root);
        let Some(root) = root.filter(|root| !reaches_foreign(expansion, root)) else {
            return Ok(vec![draft(expansion, &table.name, &[table])?]);
        };
        // The root's statistics are its own, and analyzing it analyzes every partition as well.
        if !is_first_leaf(expansion, table) {
            return Ok(Vec::new());
        }
        let leaves: Vec<&Table> = leaves(expansion, root).collect();
        Ok(vec![draft(expansion, root, &leaves)?])
    }
}

fn reaches_foreign(expansion: &Expansion<'_>, root: &QualifiedName) -> bool {
    expansion.source.tables_by_name.get(root).is_some_and(|root| root.reaches_foreign)
}

fn draft(
    expansion: &Expansion<'_>,
    name: &QualifiedName,
    tables: &[&Table],
) -> Result<Draft, Vec<Finding>> {
    let cost = tables.iter().map(|table| table.bytes).sum();
    let is_small = cost <= expansion.settings.load.bundle_below.0;
    let read = |table: &&Table| Touch::read(Object::new("data", &table.name));
    let context = json!({ "table": name });
    Ok(Draft {
        key: name.to_string(),
        params: Value::Null,
        touches: tables.iter().map(read).collect(),
        script: Script {
            run: script::alone(Server::Target, Analyze::KIND, Block::Run, &context)?,
            undo: Undo::Nothing,
            ..Script::default()
        },
        cost,
        fold: if is_small { Fold::Small } else { Fold::Alone },
        stops: None,
    })
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{PartitionFacts, TableKind};

    use super::*;
    use crate::testing::{Sample, name, shown};

    fn analyzed(sample: &Sample, place: usize) -> Vec<String> {
        let item = Item::Table(&sample.facts.source.tables[place]);
        let drafts = sample.expand_item::<Analyze>(item, json!({})).unwrap();
        drafts.iter().flat_map(|draft| shown(&draft.script.run)).collect()
    }

    #[test]
    fn a_partition_tree_is_analyzed_once_through_its_root() {
        let mut sample = Sample::default();
        for (oid, leaf) in [(10, "a"), (11, "b")] {
            let root = name("public", "root");
            sample.table(oid, "public", leaf).partition =
                Some(PartitionFacts { parent: root.clone(), root, through_root: false });
        }
        sample.table(12, "public", "alone");
        assert_eq!(analyzed(&sample, 0), ["analyze public.root"]);
        assert_eq!(analyzed(&sample, 1), Vec::<String>::new());
        assert_eq!(analyzed(&sample, 2), ["analyze public.alone"]);
    }
    #[test]
    fn what_would_ask_another_server_is_left_out() {
        let mut sample = Sample::default();
        let root = name("public", "root");
        sample.table(9, "public", "root").kind = TableKind::Partitioned;
        sample.facts.source.tables[0].reaches_foreign = true;
        for (oid, leaf) in [(10, "a"), (11, "b")] {
            sample.table(oid, "public", leaf).partition = Some(PartitionFacts {
                parent: root.clone(),
                root: root.clone(),
                through_root: false,
            });
        }
        sample.table(12, "public", "parent").reaches_foreign = true;
        assert_eq!(analyzed(&sample, 1), ["analyze public.a"]);
        assert_eq!(analyzed(&sample, 2), ["analyze public.b"]);
        assert_eq!(analyzed(&sample, 3), Vec::<String>::new());
    }
}
