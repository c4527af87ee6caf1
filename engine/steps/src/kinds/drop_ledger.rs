//! Drops the run's ledger, when no step of the run is left to be proved by it.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Leaves, Object, Probe, Script, Server, Touch,
};
use pgkedge_postgres::Ledger;
use serde_json::Value;

use super::create_ledger::transaction;
use crate::context::StepContext;
use crate::step::{NoParams, Step};

pub(crate) struct DropLedger;

impl Step for DropLedger {
    const KIND: &'static str = "drop_ledger";
    const ABOUT: &'static str = "Drops the ledger on the target: the last step of a run.";
    const LEAVES: Leaves = Leaves::Nothing;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("ledger", Server::Target))],
            script: Script {
                run: transaction(expansion, vec![Ledger::placeholder().drop_sql()]),
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn probe(context: &StepContext, _: &Call) -> Result<Probe, Failure> {
        let session = context.read(Server::Target).await?;
        let exists = context.ledger().exists(&session).await?;
        Ok(if exists { Probe::Absent } else { Probe::Applied(Value::Null) })
    }
}
