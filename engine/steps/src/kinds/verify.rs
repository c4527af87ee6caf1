//! Compares the rows of tables on both sides. Only reads.

use std::collections::BTreeSet;

use pgkedge_model::{
    Call, CaptureFrom, CutoverVerify, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves,
    Object, QualifiedName, Script, Server, Session, Table, TableKind, Touch, Undo, UnloggedPolicy,
    VerifyMethod,
};
use pgkedge_verify::{compare_materialized_views, compare_tables};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::comparing::{Readers, outcome};
use crate::context::StepContext;
use crate::partitions::{is_first_leaf, leaves};
use crate::reading::{self, Reading};
use crate::step::Step;

pub(crate) struct Verify;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyParams {
    /// What the target is compared with. Unlogged tables and materialized views only with the
    /// source as it is.
    #[serde(default)]
    against: Against,
    /// Where it stands in the move: at the cutover `cutover.verify` says how, and whether at all.
    #[serde(default)]
    at: Option<Moment>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Against {
    /// The source as it is.
    #[default]
    Source,
    /// The snapshot that is held.
    Snapshot,
    /// The replica, paused.
    Replica,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Moment {
    /// Nobody writes to the source any more.
    Cutover,
}

/// A member of the step.
#[derive(Serialize, Deserialize)]
struct VerifyMember {
    table: QualifiedName,
    /// How it is compared; none as `verify.method` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<VerifyMethod>,
}

impl Step for Verify {
    const KIND: &'static str = "verify";
    const ABOUT: &'static str =
        "Compares the rows of a table on both sides, by count and a hash of every row.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Table, Each::MaterializedView];
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = VerifyParams;

    fn expand(
        params: &VerifyParams,
        expansion: &Expansion<'_>,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Table(table) = expansion.item else { return Ok(Vec::new()) };
        let through_root = table.partition.as_ref().filter(|partition| partition.through_root);
        let (name, tables) = match through_root {
            None => (&table.name, vec![table]),
            // A row may be in another leaf on the target: only the whole tree can be compared.
            Some(_) if !is_first_leaf(expansion, table) => return Ok(Vec::new()),
            Some(partition) => (&partition.root, leaves(expansion, &partition.root).collect()),
        };
        if !tables.iter().all(|table| is_compared(*params, expansion, table)) {
            return Ok(Vec::new());
        }
        Ok(vec![draft(*params, expansion, name, &tables)])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let (mut names, mut method) = (BTreeSet::new(), context.settings().verify.method);
        for member in &call.node.members {
            let member: VerifyMember = context.member(&call.node, member)?;
            names.insert(member.table);
            method = member.method.unwrap_or(method);
        }
        let source = &context.facts().source;
        let (views, tables): (Vec<&Table>, Vec<&Table>) = source
            .tables
            .iter()
            .filter(|table| names.contains(&table.name))
            .partition(|table| table.kind == TableKind::MaterializedView);
        let server = call.node.before.first().map_or(Server::Source, |begin| begin.on);
        let mut readers = Readers::open_on(context, server).await?;
        let all: Vec<&Table> = tables.iter().chain(&views).copied().collect();
        // Before the transaction is opened: what it asks may fail, and does no harm then.
        let plan = readers.plan(context, &all, method).await?;
        reading::send(context, call, readers.source(), &call.node.before).await?;
        let sides = readers.sides();
        let mut found = compare_tables(sides, &tables, &source.types, &plan).await?;
        found.absorb(compare_materialized_views(sides, &views, &source.types, &plan).await?);
        reading::send(context, call, readers.source(), &call.node.after).await?;
        outcome("rows", &found)
    }
}

/// Whether both sides can be expected to hold the same rows.
fn is_compared(params: VerifyParams, expansion: &Expansion<'_>, table: &Table) -> bool {
    let settings = expansion.settings;
    // A position of the plan's own lies in the past: no snapshot shows it.
    let is_past = matches!(settings.change_capture.from, CaptureFrom::Lsn(_));
    if params.against == Against::Snapshot && is_past {
        return false;
    }
    if params.against != Against::Source {
        return !table.unlogged && table.kind != TableKind::MaterializedView;
    }
    let is_cutover = params.at == Some(Moment::Cutover);
    let stays = table.unlogged && settings.unlogged == UnloggedPolicy::SchemaOnly;
    !is_cutover || (settings.cutover.verify != CutoverVerify::None && !stays)
}

fn reading<'a>(
    params: VerifyParams,
    expansion: &Expansion<'a>,
    table: &Table,
) -> Option<Reading<'a>> {
    match params.against {
        Against::Source => None,
        Against::Snapshot => Some(Reading::Snapshot),
        Against::Replica => Some(Reading::Paused(reading::slot_of(expansion, &table.name))),
    }
}

fn method(params: VerifyParams, expansion: &Expansion<'_>) -> Option<VerifyMethod> {
    let is_cutover = params.at == Some(Moment::Cutover);
    (is_cutover && expansion.settings.cutover.verify == CutoverVerify::Counts)
        .then_some(VerifyMethod::Count)
}

fn draft(
    params: VerifyParams,
    expansion: &Expansion<'_>,
    name: &QualifiedName,
    tables: &[&Table],
) -> Draft {
    let cost = tables.iter().map(|table| table.bytes).sum();
    let is_small = cost <= expansion.settings.load.bundle_below.0;
    let mut touches: Vec<Touch> =
        tables.iter().map(|table| Touch::read(Object::new("data", &table.name))).collect();
    let mut script = Script::default();
    if let Some(reading) = tables.first().and_then(|table| reading(params, expansion, table)) {
        let slot = reading::slot_of(expansion, &tables[0].name);
        touches.extend(reading.touches(slot));
        script = Script {
            before: reading.before(expansion.facts, Session::Sql),
            run: Vec::new(),
            after: reading.after(expansion.facts, Session::Sql),
            undo: Undo::Nothing,
        };
    }
    Draft {
        key: name.to_string(),
        params: json!(VerifyMember { table: name.clone(), method: method(params, expansion) }),
        touches,
        script,
        cost,
        fold: if is_small { Fold::Small } else { Fold::Alone },
        stops: None,
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::PartitionFacts;

    use super::*;
    use crate::testing::{Sample, ident, name};

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

    fn drafts(sample: &Sample, params: &Value) -> Vec<Draft> {
        let tables = sample.facts.source.tables.iter();
        let expand = |table| sample.expand_item::<Verify>(Item::Table(table), params.clone());
        tables.flat_map(|table| expand(table).unwrap()).collect()
    }

    /// A logged table on a slot, an unlogged one, and a materialized view.
    fn mixed() -> Sample {
        let mut sample = Sample::default();
        sample.table(10, "public", "a");
        sample.table(11, "public", "b").unlogged = true;
        sample.table(12, "public", "c").kind = TableKind::MaterializedView;
        let tables = vec![name("public", "a")];
        sample.selection.groups.push(pgkedge_model::TableGroup { name: ident("all"), tables });
        sample.slot("all", Vec::new());
        sample
    }

    #[test]
    fn a_snapshot_and_a_replica_are_compared_in_what_they_can_show() {
        let sample = mixed();
        let snapshot = drafts(&sample, &json!({ "against": "snapshot" }));
        let keys: Vec<&str> = snapshot.iter().map(|draft| draft.key.as_str()).collect();
        assert_eq!(keys, ["public.a"]);
        let read = |kind, name| Touch::read(Object::new(kind, name));
        assert!(snapshot[0].touches.contains(&read("snapshot", "source")));
        let import = snapshot[0].script.before[1].shown();
        assert_eq!(import, "set transaction snapshot ‹snapshot:source.id›");

        let replica = drafts(&sample, &json!({ "against": "replica" }));
        assert!(replica[0].touches.contains(&read("replay", "replica")));
        assert!(replica[0].touches.contains(&read("slot_hand_off", "all")));
        for proof in [&replica[0].script.before[1], &replica[0].script.after[0]] {
            assert!(proof.shown().contains("‹slot_hand_off:all.lsn› as noted_lsn"));
        }
        let mut past = mixed();
        past.settings.change_capture.from = CaptureFrom::Lsn(pgkedge_model::Lsn(1));
        assert!(drafts(&past, &json!({ "against": "snapshot" })).is_empty());

        let source = drafts(&sample, &json!({}));
        assert_eq!(source.len(), 3);
        assert!(source.iter().all(|draft| draft.script == Script::default()));
    }

    #[test]
    fn the_cutover_compares_as_the_plan_says() {
        let mut sample = mixed();
        let keys = |sample: &Sample| -> Vec<String> {
            let drafts = drafts(sample, &json!({ "at": "cutover" }));
            drafts.into_iter().map(|draft| draft.key).collect()
        };
        assert_eq!(keys(&sample), ["public.a", "public.b", "public.c"]);
        sample.settings.unlogged = UnloggedPolicy::SchemaOnly;
        assert_eq!(keys(&sample), ["public.a", "public.c"]);
        sample.settings.cutover.verify = CutoverVerify::Counts;
        let counted = drafts(&sample, &json!({ "at": "cutover" }));
        assert_eq!(counted[0].params["method"], json!(VerifyMethod::Count));
        sample.settings.cutover.verify = CutoverVerify::None;
        assert!(keys(&sample).is_empty());
    }
}
