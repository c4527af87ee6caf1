//! Opens the target to its writers, as it was before `close_target`. There is no way back: from here
//! on the target is the database.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Leaves, Object, OutputOf, Piece, Probe, Script,
    Server, Statement, StepId, Touch, Undo,
};
use pgkedge_postgres::Sql;
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::access::{self, Noted, Writer};
use crate::context::StepContext;
use crate::guarded::Guarded;
use crate::script;
use crate::step::{NoParams, Step};

/// The note of how long nobody could write, and the output's field.
const PAUSE: &str = "write_pause_ms";
/// What the last statement calls the step whose ledger row goes.
const CLOSED_BY: &str = "step that closed it";

pub(crate) struct OpenTarget;

impl Step for OpenTarget {
    const KIND: &'static str = "open_target";
    const ABOUT: &'static str =
        "Opens the target to its writers: the move cannot go back from here.";
    const LEAVES: Leaves = Leaves::Result;
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let context = json!({ "database": expansion.facts.target_database() });
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![
                Touch::write(Object::new("access", Server::Target)),
                Touch::read(Object::new("writes", Server::Source)),
            ],
            script: Script {
                before: Vec::new(),
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                after: script::alone(Server::Source, Self::KIND, Block::After, &context)?,
                undo: Undo::Irreversible("the target is open to writers".to_owned()),
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let (closed_by, noted) = closed(call)?;
        let [open @ .., forget] = access::run_statements(call) else {
            return Err(Failure::permanent(format!("{} has no statements", call.node.id)));
        };
        let writer = Writer { context, call };
        let mut session = context.sql(Server::Target).await?;
        let roles = access::roles(&*context.read(Server::Target).await?).await?;
        let mut texts = writer.opening(&noted, &roles, open)?;
        texts.push(writer.text(forget, &[(CLOSED_BY, &closed_by.0)])?);

        let mut transaction = Guarded::begin(&mut *session, context.ledger()).await?;
        if let Err((at, failure)) = transaction.execute_all(&texts).await {
            transaction.rollback().await;
            let text = texts.get(at).map_or("", String::as_str);
            return Err(failure.detail(format!("statement on the target: {text}")));
        }
        let before = write_pause(&*context.read(Server::Source).await?, context, call).await?;
        call.reporter.note(PAUSE, json!(before)).await?;
        let key = call.node.members.first().map_or("", |member| member.key.as_str());
        transaction.commit(call, &[(key, None)]).await?;
        // The target is open: whatever happens to the source now, the step has succeeded.
        let after = match context.sql(Server::Source).await {
            Ok(session) => write_pause(&session, context, call).await.unwrap_or(before),
            Err(_) => before,
        };
        Ok(json!({ PAUSE: after }))
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let pause = call.notes.get(PAUSE).cloned().unwrap_or_default();
        let found = script::probe(context, call).await?;
        let holds = matches!(found, Probe::Applied(_));
        Ok(if holds { Probe::Applied(json!({ PAUSE: pause })) } else { found })
    }
}

/// The step that closed the target, and what it noted: the statements name its output.
fn closed(call: &Call) -> Result<(&StepId, Noted), Failure> {
    let statements = call.node.members.iter().flat_map(|member| &member.run);
    let step =
        statements.flat_map(|statement: &Statement| &statement.text).find_map(
            |piece| match piece {
                Piece::Output { of: OutputOf::Step(step), .. } => Some(step),
                Piece::Output { of: OutputOf::Itself | OutputOf::Writer(_), .. }
                | Piece::Sql(_)
                | Piece::Secret { .. }
                | Piece::RunName { .. } => None,
            },
        );
    let found = step.and_then(|step| Some((step, call.inputs.get(step)?)));
    let Some((step, output)) = found else {
        return Err(Failure::permanent(format!("{}: the target was not closed", call.node.id)));
    };
    let noted = serde_json::from_value(output.clone()).map_err(|error| {
        Failure::permanent(format!("{}: the output of {step}: {error}", call.node.id))
    })?;
    Ok((step, noted))
}

/// How long nobody could write, by the source's clock.
async fn write_pause(source: &Sql, context: &StepContext, call: &Call) -> Result<i64, Failure> {
    let Some(measure) = call.node.after.first() else {
        return Err(Failure::permanent(format!("{} has no statements", call.node.id)));
    };
    let text = Writer { context, call }.text(measure, &[])?;
    access::number(&source.rows(&text).await?)
        .ok_or_else(|| Failure::permanent("the source does not tell the time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_target_is_put_back_and_never_taken_away_again() {
        let draft = Sample::default().expand::<OpenTarget>(json!({})).unwrap().remove(0);
        let run = shown(&draft.script.run);
        assert_eq!(
            run[1],
            "alter database \"new \"\"shop\" set default_transaction_read_only to \
             ‹access:target.read_only›"
        );
        assert_eq!(
            run.last().unwrap(),
            "delete from pgkedge_‹run›.effect where step = ‹step that closed it›"
        );
        assert!(shown(&draft.script.after)[0].ends_with("- ‹fence:source.fenced_at›"));
        assert!(matches!(draft.script.undo, Undo::Irreversible(_)));
    }
}
