//! Compares the rows of tables on both sides. Only reads.

use std::collections::BTreeSet;

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, QualifiedName,
    Script, Server, Table, TableKind, Touch,
};
use pgkedge_verify::{compare_materialized_views, compare_tables};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::comparing::{Readers, outcome};
use crate::context::StepContext;
use crate::partitions::{is_first_leaf, leaves};
use crate::step::{NoParams, Step};

pub(crate) struct Verify;

/// A member of the step.
#[derive(Serialize, Deserialize)]
struct VerifyMember {
    table: QualifiedName,
}

impl Step for Verify {
    const KIND: &'static str = "verify";
    const ABOUT: &'static str =
        "Compares the rows of a table on both sides, by count and a hash of every row.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Table, Each::MaterializedView];
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Table(table) = expansion.item else { return Ok(Vec::new()) };
        let through_root = table.partition.as_ref().filter(|partition| partition.through_root);
        let Some(partition) = through_root else {
            return Ok(vec![draft(expansion, &table.name, &[table])]);
        };
        // A row may be in another leaf on the target: only the whole tree can be compared.
        if !is_first_leaf(expansion, table) {
            return Ok(Vec::new());
        }
        let leaves: Vec<&Table> = leaves(expansion, &partition.root).collect();
        Ok(vec![draft(expansion, &partition.root, &leaves)])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let mut names = BTreeSet::new();
        for member in &call.node.members {
            names.insert(context.member::<VerifyMember>(&call.node, member)?.table);
        }
        let source = &context.facts().source;
        let (views, tables): (Vec<&Table>, Vec<&Table>) = source
            .tables
            .iter()
            .filter(|table| names.contains(&table.name))
            .partition(|table| table.kind == TableKind::MaterializedView);
        let readers = Readers::open(context).await?;
        let all: Vec<&Table> = tables.iter().chain(&views).copied().collect();
        let plan = readers.plan(context, &all, context.settings().verify.method).await?;
        let sides = readers.sides();
        let mut found = compare_tables(sides, &tables, &source.types, &plan).await?;
        found.absorb(compare_materialized_views(sides, &views, &source.types, &plan).await?);
        outcome("rows", &found)
    }
}

fn draft(expansion: &Expansion<'_>, name: &QualifiedName, tables: &[&Table]) -> Draft {
    let cost = tables.iter().map(|table| table.bytes).sum();
    let is_small = cost <= expansion.settings.load.bundle_below.0;
    let read = |table: &&Table| Touch::read(Object::new("data", &table.name));
    Draft {
        key: name.to_string(),
        params: json!({ "table": name }),
        touches: tables.iter().map(read).collect(),
        script: Script::default(),
        cost,
        fold: if is_small { Fold::Small } else { Fold::Alone },
        stops: None,
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::PartitionFacts;

    use super::*;
    use crate::testing::{Sample, name};

    fn keys(sample: &Sample) -> Vec<String> {
        let drafts =
            sample.facts.source.tables.iter().flat_map(|table| {
                sample.expand_item::<Verify>(Item::Table(table), json!({})).unwrap()
            });
        drafts.map(|draft| draft.key).collect()
    }

    #[test]
    fn leaves_are_compared_one_by_one_unless_their_rows_may_be_in_another_leaf() {
        let mut sample = Sample::default();
        for (oid, leaf) in [(10, "a"), (11, "b")] {
            let root = name("public", "root");
            sample.table(oid, "public", leaf).partition =
                Some(PartitionFacts { parent: root.clone(), root, through_root: false });
        }
        assert_eq!(keys(&sample), ["public.a", "public.b"]);
        for table in &mut sample.facts.source.tables {
            table.partition.as_mut().unwrap().through_root = true;
        }
        assert_eq!(keys(&sample), ["public.root"]);
    }

    #[test]
    fn small_tables_share_a_step_and_large_ones_do_not() {
        let mut sample = Sample::default();
        sample.table(10, "public", "small");
        sample.table(11, "public", "large").bytes = 1 << 30;
        let fold = |place: usize| {
            let item = Item::Table(&sample.facts.source.tables[place]);
            sample.expand_item::<Verify>(item, json!({})).unwrap().remove(0).fold
        };
        assert_eq!([fold(0), fold(1)], [Fold::Small, Fold::Alone]);
    }
}
