//! Waits until the target has applied, and flushed, all that a slot carries up to the marker.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, Script, Server,
    Touch, Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Fill;
use crate::script;
use crate::step::{NoParams, Step};
use crate::streams::{Errors, Stream, look};

/// How often the slot is asked: the source is closed to writers meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
/// After so many questions both servers are looked at.
const LOOK_EVERY: u32 = 20;

pub(crate) struct AwaitDrained;

impl Step for AwaitDrained {
    const KIND: &'static str = "await_drained";
    const ABOUT: &'static str = "Waits until the target has every change up to the marker.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Slot];
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Target];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let stream = Stream::from(slot);
        let context = json!({ "slot": slot.name, "existing": slot.existing });
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            touches: vec![Touch::write(stream.object()), Touch::read(Object::new("marker", "lsn"))],
            params: json!(stream),
            script: Script {
                run: script::alone(Server::Source, Self::KIND, Block::Run, &context)?,
                undo: Undo::Nothing,
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let fill = Fill::plain(call, context.tag());
        for member in &call.node.members {
            let stream: Stream = context.member(&call.node, member)?;
            for statement in &member.run {
                let text = fill.text(&member.key, statement)?;
                let wait = drained(context, call, &stream, &text);
                wait.await.map_err(|failure| script::explained(failure, &member.key, statement))?;
            }
        }
        Ok(Value::Null)
    }
}

async fn drained(
    context: &StepContext,
    call: &Call,
    stream: &Stream,
    question: &str,
) -> Result<(), Failure> {
    let mut errors = Errors::default();
    for round in 0_u32.. {
        if holds(&*context.read(Server::Source).await?, question).await? {
            break;
        }
        if round.is_multiple_of(LOOK_EVERY) {
            let streams = std::slice::from_ref(stream);
            let (_, seen) = look(context, streams).await?;
            errors.check(context.tag(), streams, &seen, 1)?;
            let lag = seen.first().map_or(0, |seen| seen.lag);
            let slot = &stream.slot;
            call.reporter.waiting(&format!("slot {slot}: {lag} bytes of log are not applied yet"));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            failure = context.cancelled() => return Err(failure),
        }
    }
    // The statement that the plan shows is sent once, when it holds.
    if holds(&*context.sql(Server::Source).await?, question).await? {
        return Ok(());
    }
    let slot = &stream.slot;
    Err(Failure::transient(format!("slot {slot} has gone back to before the marker")))
}

async fn holds(session: &pgkedge_postgres::Sql, question: &str) -> Result<bool, Failure> {
    let rows = session.rows(question).await?;
    Ok(rows.first().and_then(|row| row.get(0)) == Some("t"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::start_apply::tests::slot;
    use crate::testing::{Sample, shown};

    #[test]
    fn a_slot_is_drained_when_the_target_has_confirmed_the_marker() {
        let slot = slot("shop", &["changes"]);
        let sample = Sample::default();
        let item = Item::Slot(&slot);
        let draft = sample.expand_item::<AwaitDrained>(item, json!({})).unwrap().remove(0);
        assert_eq!(
            shown(&draft.script.run),
            ["select s.confirmed_flush_lsn >= ‹marker:lsn.lsn›::pg_catalog.pg_lsn from \
              pg_catalog.pg_replication_slots s where s.slot_name = 'pgkedge_shop_‹run›'"]
        );
        assert!(draft.touches.contains(&Touch::write(Object::new("stream", "shop"))));
    }
}
