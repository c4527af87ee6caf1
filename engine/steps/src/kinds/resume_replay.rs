//! Lets the replica go on: everything that was to be read from it has been.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Item, Leaves, Object, Script, Server, Touch,
    Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::replica::{Replay, ReplayState};
use crate::script;
use crate::step::{NoParams, Step};

pub(crate) struct ResumeReplay;

impl Step for ResumeReplay {
    const KIND: &'static str = "resume_replay";
    const ABOUT: &'static str = "Resumes the replica's replay.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            // A write waits for everyone who reads from the replica.
            touches: vec![Touch::write(Object::new("replay", Server::Replica))],
            script: Script {
                run: script::alone(Server::Replica, Self::KIND, Block::Run, &json!({}))?,
                undo: Undo::Nothing,
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let session = context.sql(Server::Replica).await?;
        let state = ReplayState::read(&session).await?;
        let is_held = state.in_recovery && state.replay != Replay::Running;
        for statement in call.node.statements().filter(|_| is_held) {
            let resumed = session.execute(&statement.shown()).await;
            resumed.map_err(|failure| script::explained(failure, "", statement))?;
        }
        Ok(json!({ "resumed": is_held }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn it_waits_for_everyone_who_reads_from_the_replica() {
        let draft = Sample::default().expand::<ResumeReplay>(json!({})).unwrap().remove(0);
        assert_eq!(draft.touches, [Touch::write(Object::new("replay", "replica"))]);
        assert_eq!(shown(&draft.script.run), ["select pg_catalog.pg_wal_replay_resume()"]);
        assert_eq!(draft.script.run[0].on, Server::Replica);
    }
}
