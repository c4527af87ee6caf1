//! Pauses the replica's replay: from then on every session on it sees the same rows.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Lsn, Object, Probe,
    Script, Server, Touch, Undo,
};
use pgkedge_postgres::Sql;
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::replica::{Replay, ReplayState, tells_its_state};
use crate::script;
use crate::step::{NoParams, Step};

/// Noted before the replica is asked to pause: a pause that is found later is this run's.
const ASKED: &str = "asked";
const PULSE: Duration = Duration::from_millis(100);
/// After so many answers it is worth telling what is waited for.
const PATIENCE: u32 = 20;
/// So many times in a row a replica before 14 must stand at the same position: more than a second.
const STEADY: u32 = 12;

pub(crate) struct PauseReplay;

impl Step for PauseReplay {
    const KIND: &'static str = "pause_replay";
    const ABOUT: &'static str = "Pauses the replica's replay, until `resume_replay`.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let statements = |block| script::alone(Server::Replica, Self::KIND, block, &json!({}));
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("replay", Server::Replica))],
            script: Script {
                run: statements(Block::Run)?,
                undo: Undo::Statements(statements(Block::Undo)?),
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
        if !state.in_recovery {
            return Err(Failure::new(FailureClass::Blocked, "the replica was promoted")
                .help("give the url of another physical replica of the source"));
        }
        if state.replay != Replay::Running && !call.notes.contains_key(ASKED) {
            return Err(Failure::new(FailureClass::Blocked, foreign(&state)).help(
                "if nobody counts on that: `select pg_wal_replay_resume()` there, then \
                 `pgkedge resume`",
            ));
        }
        warn_of_feedback(&session).await?;
        call.reporter.note(ASKED, json!(true)).await?;
        for statement in call.node.statements() {
            let asked = session.execute(&statement.shown()).await;
            asked.map_err(|failure| script::explained(failure, "", statement))?;
        }
        let lsn = until_paused(context, call, &session).await?;
        Ok(json!({ "lsn": lsn.to_string() }))
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let session = context.read(Server::Replica).await?;
        let state = ReplayState::read(&session).await?;
        if state.replay == Replay::Running || !state.in_recovery {
            return Ok(Probe::Absent);
        }
        if !call.notes.contains_key(ASKED) {
            return Ok(Probe::Foreign(foreign(&state)));
        }
        // Before 14 that says no more than that it was asked to: `run` waits again.
        let stands = state.is_paused() && tells_its_state(session.server_version());
        let lsn = state.lsn.to_string();
        Ok(if stands { Probe::Applied(json!({ "lsn": lsn })) } else { Probe::Partial })
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        // A pause that this run did not ask for is somebody else's.
        if !call.notes.contains_key(ASKED) {
            return Ok(());
        }
        let session = context.read(Server::Replica).await?;
        let state = ReplayState::read(&session).await?;
        if state.replay == Replay::Running || !state.in_recovery {
            return Ok(());
        }
        script::undo(context, call).await
    }
}

fn foreign(state: &ReplayState) -> String {
    format!("replay of the replica was paused by somebody else, at {}", state.lsn)
}

/// With feedback on, the pause holds back what VACUUM may remove on the source.
async fn warn_of_feedback(session: &Sql) -> Result<(), Failure> {
    let query = "select pg_catalog.current_setting('hot_standby_feedback')";
    if session.rows(query).await?.first().and_then(|row| row.get(0)) == Some("on") {
        tracing::warn!(
            "hot_standby_feedback of the replica is on: while replay is paused, VACUUM removes \
             nothing on the source; set it off there and reload, replay need not go on for that"
        );
    }
    Ok(())
}

/// Waits until replay stands still, and returns where.
async fn until_paused(context: &StepContext, call: &Call, session: &Sql) -> Result<Lsn, Failure> {
    let needed = if tells_its_state(session.server_version()) { 1 } else { STEADY };
    let (mut last, mut steady) = (None, 0_u32);
    for round in 1_u32.. {
        let state = ReplayState::read(session).await?;
        if !state.in_recovery || state.replay == Replay::Running {
            return Err(ended(&state));
        }
        let stands = state.is_paused() && (needed == 1 || last == Some(state.lsn));
        steady = if stands { steady + 1 } else { 0 };
        last = Some(state.lsn);
        if steady >= needed {
            return Ok(state.lsn);
        }
        if round.is_multiple_of(PATIENCE) {
            call.reporter.waiting(&format!(
                "the replica: it was asked to pause and is at {}; a query there may be in the way \
                 of replay, until max_standby_streaming_delay ends it",
                state.lsn
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(PULSE) => {}
            failure = context.cancelled() => return Err(failure),
        }
    }
    Err(Failure::transient("the replica did not pause"))
}

fn ended(state: &ReplayState) -> Failure {
    let what = if state.in_recovery { "resumed" } else { "promoted" };
    let message = format!("the replica was {what} at {} while it was to pause", state.lsn);
    Failure::new(FailureClass::Operator, message)
        .help("find out who did that, then `pgkedge resume`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_pause_is_scaffold_that_a_resume_takes_back() {
        let draft = Sample::default().expand::<PauseReplay>(json!({})).unwrap().remove(0);
        assert_eq!(shown(&draft.script.run), ["select pg_catalog.pg_wal_replay_pause()"]);
        assert_eq!(draft.script.run[0].on, Server::Replica);
        let Undo::Statements(undo) = draft.script.undo else { panic!("no undo") };
        assert_eq!(shown(&undo), ["select pg_catalog.pg_wal_replay_resume()"]);
        assert_eq!(draft.touches, [Touch::write(Object::new("replay", "replica"))]);
    }
}
