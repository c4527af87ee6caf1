//! Notes where the load ends and change capture starts: the position at which the replica is
//! paused, or the one that the plan gives.

use pgkedge_model::{
    Call, CaptureFrom, Draft, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Lsn,
    Object, Probe, Script, Server, Session, Statement, Touch, Transaction,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::replica::{self, ReplayState};
use crate::step::{NoParams, Step};

/// The note that keeps the hand-off.
const HAND_OFF: &str = "hand_off";

pub(crate) struct CaptureHandOff;

/// The only member of the step.
#[derive(Serialize, Deserialize)]
struct HandOffMember {
    /// The plan's own position; none where the replica tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lsn: Option<Lsn>,
}

/// Where and when the replica was paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HandOff {
    lsn: Lsn,
    timeline: u32,
    started: String,
}

impl Step for CaptureHandOff {
    const KIND: &'static str = "capture_hand_off";
    const ABOUT: &'static str = "Notes the hand-off LSN, before anything is read or applied by it.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Once = expansion.item else { return Ok(Vec::new()) };
        let mut touches = vec![Touch::write(Object::new("hand_off", "lsn"))];
        let mut script = Script::default();
        let lsn = match expansion.settings.change_capture.from {
            CaptureFrom::Lsn(lsn) => Some(lsn),
            // The snapshot that is held says where it is.
            CaptureFrom::Now => return Ok(Vec::new()),
            CaptureFrom::HandOff => {
                touches.push(Touch::read(Object::new("replay", Server::Replica)));
                let sql = replica::state_sql(replica::version(expansion.facts));
                let (session, transaction) = (Session::Sql, Transaction::Alone);
                script.run = vec![Statement::new(Server::Replica, session, transaction, sql)];
                None
            }
        };
        Ok(vec![Draft {
            key: String::new(),
            params: json!(HandOffMember { lsn }),
            touches,
            script,
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        for member in &call.node.members {
            if let HandOffMember { lsn: Some(lsn) } = context.member(&call.node, member)? {
                return Ok(json!({ "lsn": lsn.to_string() }));
            }
        }
        let hand_off = paused(context).await?;
        let output = json!(hand_off);
        call.reporter.note(HAND_OFF, output.clone()).await?;
        Ok(output)
    }

    /// A hand-off that was noted holds as long as the pause does.
    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let Some(noted) = call.notes.get(HAND_OFF) else { return Ok(Probe::Absent) };
        let is_same = paused(context).await.is_ok_and(|now| json!(now) == *noted);
        Ok(if is_same { Probe::Applied(noted.clone()) } else { Probe::Absent })
    }
}

/// Where the replica stands, which must be paused.
async fn paused(context: &StepContext) -> Result<HandOff, Failure> {
    let session = context.sql(Server::Replica).await?;
    let state = ReplayState::read(&session).await?;
    if state.is_paused() {
        let ReplayState { lsn, timeline, started, .. } = state;
        return Ok(HandOff { lsn, timeline, started });
    }
    let message = format!("the replica is not paused any more; it has replayed to {}", state.lsn);
    Err(Failure::new(FailureClass::Operator, message).help(
        "it was resumed, restarted or promoted since: `pgkedge redo --group …` and \
         `pgkedge resume` pause it anew",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sample;

    fn drafts(from: CaptureFrom) -> Vec<Draft> {
        let mut sample = Sample::default();
        sample.settings.change_capture.from = from;
        sample.expand::<CaptureHandOff>(json!({})).unwrap()
    }

    #[test]
    fn the_replica_tells_where_it_is_paused() {
        let draft = drafts(CaptureFrom::HandOff).remove(0);
        assert_eq!(draft.script.run[0].on, Server::Replica);
        assert!(draft.script.run[0].shown().contains("pg_last_wal_replay_lsn()"));
        assert!(draft.touches.contains(&Touch::read(Object::new("replay", "replica"))));
    }

    #[test]
    fn a_position_of_the_plan_needs_no_replica() {
        let draft = drafts(CaptureFrom::Lsn("16/B374D848".parse().unwrap())).remove(0);
        assert_eq!(draft.params, json!({ "lsn": "16/B374D848" }));
        assert_eq!(draft.touches, [Touch::write(Object::new("hand_off", "lsn"))]);
        assert!(draft.script.run.is_empty());
    }

    #[test]
    fn what_is_captured_from_now_on_takes_the_position_of_its_snapshot() {
        assert!(drafts(CaptureFrom::Now).is_empty());
    }
}
