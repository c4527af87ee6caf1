//! Disables a subscription whose changes are all applied, and sees its worker and walsender end.
//!
//! That all is applied is proved by the slot's confirmed position: the origin does not move for the
//! marker, which leaves nothing to apply.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, Finding, Fold, Item, Leaves, Probe, Script, Server,
    Touch, Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::context::StepContext;
use crate::fill::Observed;
use crate::script;
use crate::step::{NoParams, Step};
use crate::streams::{Stream, source_seen, target_seen};

/// How often the servers are asked: the source is closed to writers meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a worker that was told to end may take.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) struct StopApply;

impl Step for StopApply {
    const KIND: &'static str = "stop_apply";
    const ABOUT: &'static str = "Disables the subscription of a slot that is drained.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const EACH: &'static [Each] = &[Each::Slot];
    const WORKER: bool = false;
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let stream = Stream::from(slot);
        let context = json!({ "slot": slot.name });
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            touches: vec![Touch::write(stream.object())],
            params: json!(stream),
            script: Script {
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                after: script::alone(Server::Target, Self::KIND, Block::After, &context)?,
                undo: Undo::Statements(script::guarded(Self::KIND, Block::Undo, &context)?),
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        script::run(context, call, &Observed::default()).await?;
        let since = Instant::now();
        while let Some(busy) = still_at_work(context, call).await? {
            if since.elapsed() > LIMIT {
                return Err(Failure::transient(busy)
                    .help("it ends by itself when what it waits for does; see pg_stat_activity"));
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                failure = context.cancelled() => return Err(failure),
            }
        }
        Ok(Value::Null)
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let probe = script::probe(context, call).await?;
        if !matches!(probe, Probe::Applied(_)) {
            return Ok(probe);
        }
        Ok(still_at_work(context, call).await?.map_or(probe, Probe::InProgress))
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        for member in &call.node.members {
            let stream: Stream = context.member(&call.node, member)?;
            let name = stream.subscription(context.tag());
            let session = context.read(Server::Target).await?;
            if target_seen(&session, &[name]).await?.is_empty() {
                return script::forget(context, call).await;
            }
        }
        script::undo(context, call).await
    }
}

/// Who still applies, or sends, changes of the disabled subscriptions.
async fn still_at_work(context: &StepContext, call: &Call) -> Result<Option<String>, Failure> {
    for member in &call.node.members {
        let stream: Stream = context.member(&call.node, member)?;
        let name = stream.subscription(context.tag());
        let target = context.read(Server::Target).await?;
        let seen = target_seen(&target, std::slice::from_ref(&name)).await?;
        if let Some(pid) = seen.get(&name).and_then(|seen| seen.pid.as_ref()) {
            return Ok(Some(format!(
                "the worker of subscription `{name}` (pid {pid}) has not ended"
            )));
        }
        let slot = stream.slot_name(context.tag());
        let source = context.read(Server::Source).await?;
        let seen = source_seen(&source, std::slice::from_ref(&slot)).await?;
        if let Some(pid) = seen.slots.get(&slot).and_then(|seen| seen.active_pid.as_ref()) {
            return Ok(Some(format!("the walsender of slot `{slot}` (pid {pid}) has not ended")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use pgkedge_model::Object;

    use super::*;
    use crate::kinds::start_apply::tests::slot;
    use crate::testing::{Sample, shown};

    #[test]
    fn a_subscription_is_disabled_and_enabled_again_when_that_is_taken_back() {
        let slot = slot("shop", &["changes"]);
        let item = Item::Slot(&slot);
        let draft = Sample::default().expand_item::<StopApply>(item, json!({})).unwrap().remove(0);
        assert_eq!(shown(&draft.script.run), ["alter subscription pgkedge_shop_‹run› disable"]);
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        assert_eq!(shown(undo), ["alter subscription pgkedge_shop_‹run› enable"]);
        assert_eq!(draft.touches, [Touch::write(Object::new("stream", "shop"))]);
    }
}
