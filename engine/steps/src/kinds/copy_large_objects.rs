//! Copies all large objects, in batches: each batch and its ledger rows are one transaction.
//!
//! Which objects there are is known only in the snapshot, so batches are made while it runs. What
//! the ledger holds is done, whatever a later attempt finds. No slot carries their changes: at the
//! cutover those that differ by then are copied again, and those that are gone go.

mod copier;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Item, LargeObjectPolicy, Leaves, Object, Probe,
    Script, Server, Session, Statement, Touch, Transaction, Undo,
};
use pgkedge_render::Block;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::copier::Copier;
use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::guarded::Guarded;
use crate::large_objects::OidRange;
use crate::reading::{LoadFrom, Reading};
use crate::script;
use crate::step::Step;

/// The step's own row in the ledger, written when every batch is in.
const ALL: &str = "large_objects";

pub(crate) struct CopyLargeObjects;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LargeObjectParams {
    /// Where they come from at the load; at the cutover they come from the source as it is.
    #[serde(default)]
    from: LoadFrom,
    #[serde(default)]
    at: Moment,
}

/// When they are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Moment {
    /// All of them.
    #[default]
    Load,
    /// Those that differ; none where `large_objects` says that they are frozen.
    Cutover,
}

impl Step for CopyLargeObjects {
    const KIND: &'static str = "copy_large_objects";
    const ABOUT: &'static str =
        "Copies all large objects with their OIDs, owners, privileges and comments.";
    const LEAVES: Leaves = Leaves::Result;
    type Params = LargeObjectParams;

    fn expand(
        params: &LargeObjectParams,
        expansion: &Expansion<'_>,
    ) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let reading = match (params.at, params.from) {
            (Moment::Load, LoadFrom::Source) => Reading::Snapshot,
            (Moment::Load, LoadFrom::Replica) => Reading::Paused(None),
            (Moment::Cutover, _) => Reading::Present,
        };
        let is_frozen = expansion.settings.large_objects == LargeObjectPolicy::Frozen;
        if params.at == Moment::Cutover && is_frozen {
            return Ok(Vec::new());
        }
        let mut touches = reading.touches(None);
        touches.push(Touch::write(Object::new("large_objects", Server::Target)));
        Ok(vec![Draft {
            key: ALL.to_owned(),
            params: Value::Null,
            touches,
            script: statements(*params, reading, expansion)?,
            cost: expansion.facts.source.large_objects.bytes,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let params: LargeObjectParams = context.params(&call.node)?;
        let copied = match params.at {
            Moment::Load => Box::pin(Copier::copy_all(context, call)).await,
            Moment::Cutover => Box::pin(Copier::copy_differing(context, call)).await,
        };
        match copied {
            // An earlier attempt that lost its connection may have committed in the meantime.
            Err(failure) if call.attempt > 1 => match Self::probe(context, call).await {
                Ok(Probe::Applied(output)) => Ok(output),
                Ok(_) | Err(_) => Err(failure),
            },
            result => result,
        }
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let effects = script::effects(context, call).await?;
        Ok(match effects.get(ALL) {
            Some(objects) => Probe::Applied(json!({ "objects": objects })),
            None if effects.is_empty() => Probe::Absent,
            None => Probe::Partial,
        })
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        let effects = script::effects(context, call).await?;
        if effects.is_empty() {
            return Ok(());
        }
        let mut session = context.sql(Server::Target).await?;
        for member in &call.node.members {
            let Undo::Statements(statements) = &member.undo else { continue };
            for range in effects.keys().filter_map(|key| OidRange::parse(key)) {
                for statement in statements {
                    let unlink = undo_text(context, call, statement, range)?;
                    // A transaction for each batch: every object takes a lock.
                    let transaction = Guarded::begin(&mut *session, context.ledger()).await?;
                    transaction.finish(&unlink).await?;
                }
            }
        }
        let transaction = Guarded::begin(&mut *session, context.ledger()).await?;
        transaction.finish(&context.ledger().forget_sql(&call.node.id.0)).await
    }
}

fn statements(
    params: LargeObjectParams,
    reading: Reading<'_>,
    expansion: &Expansion<'_>,
) -> Result<Script, Vec<Finding>> {
    const KIND: &str = CopyLargeObjects::KIND;
    let facts = expansion.facts;
    let context = json!({ "again": params.at == Moment::Cutover });
    let mut run = script::alone(reading.server(), KIND, Block::Run, &context)?;
    for statement in &mut run {
        statement.session = Session::Wire;
    }
    for statement in run.iter_mut().skip(1) {
        statement.on = Server::Target;
        statement.transaction = Transaction::Guarded;
    }
    Ok(Script {
        before: reading.before(facts, Session::Wire),
        run,
        after: reading.after(facts, Session::Wire),
        undo: Undo::Statements(script::guarded(KIND, Block::Undo, &context)?),
    })
}

fn undo_text(
    context: &StepContext,
    call: &Call,
    statement: &Statement,
    range: OidRange,
) -> Result<String, Failure> {
    let mut observed = Observed::default();
    observed.set(ALL, "first", range.first);
    observed.set(ALL, "last", range.last);
    Fill { call, tag: context.tag(), observed: &observed }.text(ALL, statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    fn draft(params: Value) -> Draft {
        Sample::default().expand::<CopyLargeObjects>(params).unwrap().remove(0)
    }

    #[test]
    fn the_statements_of_a_batch_stand_before_those_of_an_object() {
        let run = draft(json!({})).script.run;
        let starts = ["copy (select", "create temporary", "copy pg_temp", "select", "select"];
        for (statement, start) in run.iter().zip(starts) {
            assert!(statement.shown().starts_with(start), "{}", statement.shown());
        }
        assert_eq!(run[starts.len()].shown(), "alter large object ‹oid› owner to ‹owner›");
        assert_eq!(run[0].on, Server::Source);
        assert!(run[1..].iter().all(|one| one.transaction == Transaction::Guarded));
    }

    #[test]
    fn on_the_replica_every_object_is_read_between_two_proofs() {
        let script = draft(json!({ "from": "replica" })).script;
        assert_eq!(script.run[0].on, Server::Replica);
        let proof = |statement: &Statement| statement.shown().contains("‹hand_off:lsn.lsn›");
        assert!(proof(&script.before[1]) && proof(&script.after[0]));
        assert_eq!(script.after[1].shown(), "commit");
    }

    #[test]
    fn at_the_cutover_what_differs_is_replaced_from_the_source_as_it_is() {
        let draft = draft(json!({ "at": "cutover", "from": "replica" }));
        let begin = "begin transaction isolation level repeatable read read only";
        assert_eq!(shown(&draft.script.before), [begin]);
        assert_eq!(draft.script.run[0].on, Server::Source);
        let unlink = draft.script.run[1].shown();
        assert!(unlink.starts_with("select pg_catalog.lo_unlink(oid)"), "{unlink}");
        assert_eq!(draft.touches, [Touch::write(Object::new("large_objects", "target"))]);
    }

    #[test]
    fn frozen_objects_are_copied_once() {
        let mut sample = Sample::default();
        sample.settings.large_objects = LargeObjectPolicy::Frozen;
        let number = |params| sample.expand::<CopyLargeObjects>(params).unwrap().len();
        assert_eq!([number(json!({})), number(json!({ "at": "cutover" }))], [1, 0]);
    }
}
