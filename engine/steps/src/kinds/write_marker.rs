//! Writes a marker into the source's log, and notes the position that every slot must be drained to.
//!
//! The marker is a transaction of its own without a change of any row. Each slot decodes it, nothing
//! of it is applied, and the subscriber confirms the position when the walsender asks before it sleeps.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Item, Leaves, Lsn, Object, Script, Server,
    Touch, Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Fill;
use crate::script;
use crate::step::{NoParams, Step};

pub(crate) struct WriteMarker;

impl Step for WriteMarker {
    const KIND: &'static str = "write_marker";
    const ABOUT: &'static str =
        "Marks where the source's changes end: every slot has to be drained to there.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        if expansion.capture.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![
                Touch::write(Object::new("writes", Server::Source)),
                Touch::write(Object::new("marker", "lsn")),
            ],
            script: Script {
                run: script::alone(Server::Source, Self::KIND, Block::Run, &json!({}))?,
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
        let session = context.sql(Server::Source).await?;
        let mut marker: Option<Lsn> = None;
        for member in &call.node.members {
            for statement in &member.run {
                let text = fill.text(&member.key, statement)?;
                let rows = session.rows(&text).await;
                let rows =
                    rows.map_err(|failure| script::explained(failure, &member.key, statement))?;
                let found = rows.iter().find_map(|row| row.named("marker")?.parse().ok());
                marker = found.or(marker);
            }
        }
        let marker =
            marker.ok_or_else(|| Failure::permanent("the source gives no log position"))?;
        let output = json!({ "lsn": marker });
        call.reporter.note("marker", output.clone()).await?;
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::start_apply::tests::slot;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_position_is_read_between_two_messages_that_are_flushed() {
        let mut sample = Sample::default();
        sample.capture.slots.push(slot("shop", &["changes"]));
        let draft = sample.expand::<WriteMarker>(json!({})).unwrap().remove(0);
        let message = [
            "begin",
            "set local synchronous_commit = on",
            "select pg_catalog.pg_logical_emit_message(true, 'pgkedge', 'pgkedge_‹run›')",
            "commit",
        ];
        let position = "select pg_catalog.pg_current_wal_flush_lsn() as marker";
        assert_eq!(shown(&draft.script.run), [&message[..], &[position], &message[..]].concat());
        assert!(draft.touches.contains(&Touch::write(Object::new("marker", "lsn"))));
    }

    #[test]
    fn a_plan_without_capture_marks_nothing() {
        assert!(Sample::default().expand::<WriteMarker>(json!({})).unwrap().is_empty());
    }
}
