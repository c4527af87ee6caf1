//! Looks behind a slot whose subscription is stopped: a change there was written past the fence.
//!
//! Before 15 pgoutput sends begin and commit of transactions that changed nothing published. They,
//! and the marker, are no change.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Object, Script, Server,
    Touch, Undo,
};
use pgkedge_postgres::Row;
use pgkedge_render::Block;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::context::StepContext;
use crate::fill::Fill;
use crate::script;
use crate::slots::publications;
use crate::step::{NoParams, Step};
use crate::streams::{Stream, source_seen};

const PAUSE: Duration = Duration::from_millis(50);
/// How long whoever reads the slot may go on doing so.
const LIMIT: Duration = Duration::from_secs(10);
/// Changes that a failure shows.
const SHOWN: usize = 5;

pub(crate) struct ProveDrained;

impl Step for ProveDrained {
    const KIND: &'static str = "prove_drained";
    const ABOUT: &'static str = "Proves that nothing was written past the fence.";
    const LEAVES: Leaves = Leaves::Nothing;
    const EACH: &'static [Each] = &[Each::Slot];
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let stream = Stream::from(slot);
        let context = json!({
            "slot": slot.name,
            "existing": slot.existing,
            "publications": publications(&slot.sets),
        });
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            touches: vec![
                Touch::read(stream.object()),
                Touch::read(Object::new("writes", Server::Source)),
            ],
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
            let slot = stream.slot_name(context.tag());
            inactive(context, &slot).await?;
            let session = context.sql(Server::Source).await?;
            for statement in &member.run {
                let rows = session.rows(&fill.text(&member.key, statement)?).await;
                let explained = |failure| script::explained(failure, &member.key, statement);
                let rows = rows.map_err(explained)?;
                if !rows.is_empty() {
                    return Err(written_past_the_fence(&slot, &rows));
                }
            }
        }
        Ok(Value::Null)
    }
}

/// A slot that is read by a walsender cannot be looked into.
async fn inactive(context: &StepContext, slot: &str) -> Result<(), Failure> {
    let since = Instant::now();
    loop {
        let session = context.read(Server::Source).await?;
        let seen = source_seen(&session, &[slot.to_owned()]).await?;
        let Some(pid) = seen.slots.get(slot).and_then(|seen| seen.active_pid.clone()) else {
            return Ok(());
        };
        if since.elapsed() > LIMIT {
            return Err(Failure::permanent(format!("slot `{slot}` is read by process {pid}"))
                .help("end whoever reads it on the source, then `pgkedge resume`"));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            failure = context.cancelled() => return Err(failure),
        }
    }
}

fn written_past_the_fence(slot: &str, rows: &[Row]) -> Failure {
    let what = |kind: Option<&str>| match kind {
        Some("I") => "insert into",
        Some("U") => "update of",
        Some("D") => "delete from",
        _ => "truncate of",
    };
    let shown = rows.iter().take(SHOWN).map(|row| {
        let (kind, relation) = (row.named("kind"), row.named("relation").unwrap_or("a table"));
        format!("{} {relation} at {}", what(kind), row.named("lsn").unwrap_or("?"))
    });
    let mut failure = Failure::permanent(format!(
        "the source was written to after it was closed: slot `{slot}` holds {} the target lacks",
        if rows.len() == 1 {
            "a change that".to_owned()
        } else {
            format!("{} changes that", rows.len())
        },
    ));
    failure.details.extend(shown);
    failure.help(
        "find out who writes (a superuser, or a session that was not ended), then `pgkedge resume`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::start_apply::tests::slot;
    use crate::testing::{Sample, ident, shown};

    #[test]
    fn all_publications_of_the_slot_are_looked_at_and_the_slot_is_only_peeked_into() {
        let mut slot = slot("shop", &["changes", "logs"]);
        slot.sets[1].publication = Some(ident("It's \"a, b\""));
        let item = Item::Slot(&slot);
        let sample = Sample::default();
        let draft = sample.expand_item::<ProveDrained>(item, json!({})).unwrap().remove(0);
        let [statement] = &shown(&draft.script.run)[..] else { panic!("one statement") };
        let peek = "pg_catalog.pg_logical_slot_peek_binary_changes('pgkedge_shop_‹run›', null, \
                    null, 'proto_version', '1', 'publication_names', \
                    pg_catalog.concat_ws(',', '\"pgkedge_changes_‹run›\"', \
                    '\"It''s \"\"a, b\"\"\"'))";
        assert!(statement.contains(peek), "{statement}");
        assert!(draft.touches.iter().all(|touch| touch.mode == pgkedge_model::TouchMode::Read));
    }
}
