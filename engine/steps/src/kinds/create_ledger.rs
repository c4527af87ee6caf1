//! Creates the run's ledger on the target, before anything that a ledger row has to prove.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Leaves, Object, Probe, Script, Server, Touch,
    Undo,
};
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::Observed;
use crate::script;
use crate::step::{NoParams, Step};

pub(crate) struct CreateLedger;

impl Step for CreateLedger {
    const KIND: &'static str = "create_ledger";
    const ABOUT: &'static str =
        "Creates the schema on the target in which each committed step leaves a row.";
    const LEAVES: Leaves = Leaves::Scaffold;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let context = json!({ "replica": may_be_replica(expansion) });
        let statements = |block| script::alone(Server::Target, Self::KIND, block, &context);
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("ledger", Server::Target))],
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

    async fn observe(context: &StepContext, call: &Call) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        for member in &call.node.members {
            observed.set(&member.key, "run_id", context.header().run_id.0.as_str());
            observed.set(&member.key, "epoch", context.epoch().0);
        }
        Ok(observed)
    }

    async fn probe(context: &StepContext, _: &Call) -> Result<Probe, Failure> {
        let session = context.read(Server::Target).await?;
        let exists = context.ledger().exists(&session).await?;
        Ok(if exists { Probe::Applied(Value::Null) } else { Probe::Absent })
    }
}

/// Whether the target's role may keep the user's event triggers from seeing our own DDL.
pub(crate) fn may_be_replica(expansion: &Expansion<'_>) -> bool {
    expansion.facts.target.as_ref().is_some_and(|target| target.server.session_role.superuser)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sample;

    #[test]
    fn the_ledger_is_made_in_one_transaction() {
        let sample = Sample::default();
        let drafts = sample.expand::<CreateLedger>(json!({})).unwrap();
        let run: Vec<String> = drafts[0].script.run.iter().map(|sql| sql.shown()).collect();
        assert_eq!(run.first().unwrap(), "begin");
        assert_eq!(run[1], "create schema pgkedge_‹run›");
        assert_eq!(
            run[4],
            "insert into pgkedge_‹run›.run (run_id, epoch) values (‹run_id›, ‹epoch›)"
        );
        assert_eq!(run.last().unwrap(), "commit");
    }

    #[test]
    fn a_superuser_keeps_event_triggers_from_firing() {
        let mut sample = Sample::default();
        sample.target().server.session_role.superuser = true;
        let drafts = sample.expand::<CreateLedger>(json!({})).unwrap();
        let Undo::Statements(undo) = &drafts[0].script.undo else { panic!("no undo") };
        assert_eq!(undo[1].shown(), "set local session_replication_role = replica");
    }
}
