//! Copies all large objects, in batches: each batch and its ledger row are one transaction.
//!
//! Which objects there are is known only in the snapshot, so batches are made while it runs. What
//! the ledger holds is done, whatever a later attempt finds.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Item, Leaves, Object, Probe, Progress, Script,
    Server, Session, Statement, Touch, Transaction, Undo,
};
use pgkedge_postgres::{Pooled, Sql, Wire, relay};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::guarded::Guarded;
use crate::large_objects::{LargeObject, OidRange, PAGE, batches, describe, list, range};
use crate::script;
use crate::step::{NoParams, Step};

/// The step's own row in the ledger, written when every batch is in.
const ALL: &str = "large_objects";
/// Statements of the script that are sent as they stand; those behind them are sent per object.
const PER_BATCH: usize = 5;

pub(crate) struct CopyLargeObjects;

impl Step for CopyLargeObjects {
    const KIND: &'static str = "copy_large_objects";
    const ABOUT: &'static str =
        "Copies all large objects with their OIDs, owners, privileges and comments.";
    const LEAVES: Leaves = Leaves::Result;
    const SERVERS: &'static [Server] = &[Server::Source, Server::Target];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        Ok(vec![Draft {
            key: ALL.to_owned(),
            params: Value::Null,
            touches: vec![
                Touch::read(Object::new("snapshot", Server::Source)),
                Touch::write(Object::new("large_objects", Server::Target)),
            ],
            script: statements()?,
            cost: expansion.facts.source.large_objects.bytes,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        match Box::pin(Copier::copy(context, call)).await {
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
                    let unlink = text(context, call, statement, range)?;
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

fn statements() -> Result<Script, Vec<Finding>> {
    const KIND: &str = CopyLargeObjects::KIND;
    let nothing = json!({});
    let on_source = |block| script::alone(Server::Source, KIND, block, &nothing);
    let mut run = on_source(Block::Run)?;
    for statement in run.iter_mut().skip(1) {
        statement.on = Server::Target;
        statement.transaction = Transaction::Guarded;
    }
    Ok(Script {
        before: by_wire(on_source(Block::Before)?),
        run: by_wire(run),
        after: by_wire(on_source(Block::After)?),
        undo: Undo::Statements(script::guarded(KIND, Block::Undo, &nothing)?),
    })
}

fn by_wire(mut statements: Vec<Statement>) -> Vec<Statement> {
    for statement in &mut statements {
        statement.session = Session::Wire;
    }
    statements
}

/// A statement about one batch.
fn text(
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

/// The sessions of one attempt.
struct Copier<'a> {
    context: &'a StepContext,
    call: &'a Call,
    /// Lists the objects, in the same snapshot as `source`.
    lister: Pooled<Sql>,
    source: Pooled<Wire>,
    target: Pooled<Wire>,
    objects: u64,
    bytes: u64,
}

impl<'a> Copier<'a> {
    async fn copy(context: &'a StepContext, call: &'a Call) -> Result<Value, Failure> {
        let effects = script::effects(context, call).await?;
        let done: Vec<OidRange> = effects.keys().filter_map(|key| OidRange::parse(key)).collect();
        let mut copier = Self {
            context,
            call,
            lister: context.read(Server::Source).await?,
            source: context.wire(Server::Source, None).await?,
            target: context.wire(Server::Target, None).await?,
            objects: effects.values().flatten().sum(),
            bytes: 0,
        };
        copier.open_snapshot().await?;
        let mut after = 0;
        loop {
            let listed = list(&copier.lister, after).await?;
            let is_last = listed.len() < PAGE;
            after = listed.last().map_or(after, |object| object.oid);
            for batch in batches(listed, &done) {
                copier.copy_batch(&batch).await?;
            }
            if is_last {
                return copier.finish().await;
            }
        }
    }

    /// Both sessions of the source see what the held snapshot sees.
    async fn open_snapshot(&mut self) -> Result<(), Failure> {
        let observed = Observed::default();
        let fill = Fill { call: self.call, tag: self.context.tag(), observed: &observed };
        for statement in &self.call.node.before {
            let text = fill.text("", statement)?;
            let gone = |failure| script::snapshot_gone(failure, statement);
            self.lister.execute(&text).await.map_err(gone)?;
            self.source.execute(&text).await.map_err(gone)?;
        }
        Ok(())
    }

    async fn copy_batch(&mut self, batch: &[LargeObject]) -> Result<(), Failure> {
        let Some(range) = range(batch) else { return Ok(()) };
        let texts = self.texts(range)?;
        let [out, create, into, first_pieces, other_pieces] = texts.as_slice() else {
            return Err(Failure::permanent(format!("{} lacks statements", self.call.node.id)));
        };
        let described: Vec<String> = batch.iter().flat_map(describe).collect();
        self.refuse_foreign(range).await?;
        let (call, bytes) = (self.call, self.bytes);
        let progress = move |relayed, rows| {
            let step = Some(call.node.id.clone());
            call.reporter.progress(Progress { step, bytes: bytes + relayed, rows });
        };
        let mut transaction = Guarded::begin(&mut *self.target, self.context.ledger()).await?;
        let sent = async {
            transaction.execute(create).await?;
            let (out, into) = (std::slice::from_ref(out), std::slice::from_ref(into));
            relay(&mut self.source, out, transaction.carrier(), into, &progress).await?;
            transaction.execute(first_pieces).await?;
            transaction.execute(other_pieces).await?;
            transaction.execute(&described.join(";\n")).await
        };
        if let Err(failure) = Box::pin(sent).await {
            transaction.rollback().await;
            let OidRange { first, last } = range;
            return Err(failure.detail(format!("while at: large objects {first} to {last}")));
        }
        let objects = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        transaction.commit(call, &[(range.member().as_str(), Some(objects))]).await?;
        self.objects += objects;
        self.bytes += batch.iter().map(|object| object.bytes).sum::<u64>();
        Ok(())
    }

    /// The statements of one batch.
    fn texts(&self, range: OidRange) -> Result<Vec<String>, Failure> {
        let statements = self.call.node.members.iter().flat_map(|member| &member.run);
        statements
            .take(PER_BATCH)
            .map(|statement| text(self.context, self.call, statement, range))
            .collect()
    }

    /// What undo takes back is everything in the batch's range: nothing else may be there.
    async fn refuse_foreign(&self, range: OidRange) -> Result<(), Failure> {
        let OidRange { first, last } = range;
        let rows = self
            .context
            .read(Server::Target)
            .await?
            .rows(&format!(
                "select oid from pg_catalog.pg_largeobject_metadata \
                 where oid between {first} and {last} order by oid limit 1"
            ))
            .await?;
        let Some(oid) = rows.first().and_then(|row| row.get(0)) else { return Ok(()) };
        Err(Failure::permanent(format!("large object {oid} is on the target already"))
            .help(format!("drop it there with `select lo_unlink({oid})`, then `pgkedge resume`")))
    }

    async fn finish(mut self) -> Result<Value, Failure> {
        let transaction = Guarded::begin(&mut *self.target, self.context.ledger()).await?;
        transaction.commit(self.call, &[(ALL, Some(self.objects))]).await?;
        for statement in &self.call.node.after {
            // They only read: nothing is lost if the source is gone by now.
            let text = statement.shown();
            for result in [self.source.execute(&text).await, self.lister.execute(&text).await] {
                if let Err(failure) = result {
                    tracing::debug!(%failure, "the source went away after its objects were in");
                }
            }
        }
        Ok(json!({ "objects": self.objects, "bytes": self.bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sample;

    #[test]
    fn the_statements_of_a_batch_stand_before_those_of_an_object() {
        let draft = Sample::default().expand::<CopyLargeObjects>(json!({})).unwrap().remove(0);
        let run = &draft.script.run;
        let starts = ["copy (select", "create temporary", "copy pg_temp", "select", "select"];
        assert_eq!(starts.len(), PER_BATCH);
        for (statement, start) in run.iter().zip(starts) {
            assert!(statement.shown().starts_with(start), "{}", statement.shown());
        }
        assert_eq!(run[PER_BATCH].shown(), "alter large object ‹oid› owner to ‹owner›");
        assert_eq!(run[0].on, Server::Source);
        assert!(run[1..].iter().all(|one| one.transaction == Transaction::Guarded));
    }
}
