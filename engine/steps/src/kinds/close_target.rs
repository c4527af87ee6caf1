//! Closes the target to all but this run, until `open_target`: nobody takes a half-made copy for the
//! database, and nobody can write to both sides.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Leaves, Object, Probe, Script, Server, Touch,
    Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::access::{self, Access, Noted, Writer};
use crate::context::StepContext;
use crate::guarded::Guarded;
use crate::step::{NoParams, Step};
use crate::{clients, script};

pub(crate) struct CloseTarget;

impl Step for CloseTarget {
    const KIND: &'static str = "close_target";
    const ABOUT: &'static str =
        "Closes the target: no other role may connect until the move opens it.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let context = json!({ "database": expansion.facts.target_database() });
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![
                Touch::read(Object::new("ledger", Server::Target)),
                Touch::write(Object::new("access", Server::Target)),
            ],
            script: Script {
                before: Vec::new(),
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                after: script::alone(Server::Target, Self::KIND, Block::After, &context)?,
                undo: Undo::Statements(script::guarded(Self::KIND, Block::Undo, &context)?),
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let (mut session, reader) =
            (context.sql(Server::Target).await?, context.read(Server::Target).await?);
        let noted = if let Some(noted) = Noted::of(call)? {
            noted
        } else {
            clients::check_endable(context, &reader).await?;
            let kept = access::own_role(&reader).await?.into_iter().collect();
            Noted::take(&reader, call, kept).await?
        };
        if script::effects(context, call).await?.is_empty() {
            let now = Access::read(&reader).await?;
            let texts =
                Writer { context, call }.closing(&noted, &now, access::run_statements(call))?;
            let mut transaction = Guarded::begin(&mut *session, context.ledger()).await?;
            if let Err((at, failure)) = transaction.execute_all(&texts).await {
                transaction.rollback().await;
                return Err(failed(failure, texts.get(at)));
            }
            let key = call.node.members.first().map_or("", |member| member.key.as_str());
            transaction.commit(call, &[(key, None)]).await?;
        }
        if let Some(end) = call.node.after.first() {
            clients::end_all(context, call, &session, end).await?;
        }
        output(&noted)
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let Some(noted) = Noted::of(call)? else { return Ok(Probe::Absent) };
        if script::effects(context, call).await?.is_empty() {
            return Ok(Probe::Absent);
        }
        let session = context.read(Server::Target).await?;
        let quiet = clients::seen(context, &session).await?.is_empty();
        Ok(if quiet { Probe::Applied(output(&noted)?) } else { Probe::Partial })
    }

    /// Puts back what was noted, as long as the ledger says that the target is closed: its row goes
    /// with this, and with `open_target`.
    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        let Some(noted) = Noted::of(call)? else { return Ok(()) };
        let (mut session, reader) =
            (context.sql(Server::Target).await?, context.read(Server::Target).await?);
        let roles = access::roles(&reader).await?;
        let texts =
            Writer { context, call }.opening(&noted, &roles, access::undo_statements(call))?;
        if context.ledger().exists(&reader).await? {
            if script::effects(context, call).await?.is_empty() {
                return Ok(());
            }
            let mut transaction = Guarded::begin(&mut *session, context.ledger()).await?;
            if let Err((at, failure)) = transaction.execute_all(&texts).await {
                transaction.rollback().await;
                return Err(failed(failure, texts.get(at)));
            }
            transaction.finish(&context.ledger().forget_sql(&call.node.id.0)).await?;
        } else {
            // The ledger was dropped by hand, or with a run that is over: the database itself tells.
            let closed = Access::read(&reader).await?.is_closed(&noted.kept);
            if !closed || noted.access.is_closed(&noted.kept) {
                return Ok(());
            }
            let text = format!("begin; {}; commit", texts.join("; "));
            session.execute(&text).await.map_err(|failure| failed(failure, Some(&text)))?;
        }
        access::check_put_back(&reader, &noted).await
    }
}

fn failed(failure: Failure, text: Option<&String>) -> Failure {
    let text = text.map_or("", String::as_str);
    failure.detail(format!("statement on the target: {text}"))
}

/// What was there; `read_only` is null where it was not set.
fn output(noted: &Noted) -> Result<Value, Failure> {
    serde_json::to_value(noted).map_err(|error| Failure::permanent(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_target_is_closed_in_the_transaction_of_its_ledger_row() {
        let draft = Sample::default().expand::<CloseTarget>(json!({})).unwrap().remove(0);
        let run = shown(&draft.script.run);
        assert_eq!(
            run[1],
            "revoke connect on database \"new \"\"shop\" from ‹each other role› cascade"
        );
        let guarded = pgkedge_model::Transaction::Guarded;
        assert!(draft.script.run.iter().all(|statement| statement.transaction == guarded));
    }
}
