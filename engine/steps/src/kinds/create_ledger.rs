//! Creates the run's ledger on the target, before anything that a ledger row has to prove.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Leaves, Object, Piece, Probe, QuotedAs, Script,
    Server, Statement, Touch, Undo,
};
use pgkedge_postgres::Ledger;
use serde_json::Value;

use crate::context::StepContext;
use crate::fill::Observed;
use crate::step::{NoParams, Step};

pub(crate) struct CreateLedger;

impl Step for CreateLedger {
    const KIND: &'static str = "create_ledger";
    const ABOUT: &'static str =
        "Creates the schema on the target in which each committed step leaves a row.";
    const LEAVES: Leaves = Leaves::Scaffold;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let ledger = Ledger::placeholder();
        let undo = transaction(expansion, vec![ledger.drop_sql()]);
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("ledger", Server::Target))],
            script: Script {
                run: transaction(expansion, ledger.create_sql()),
                undo: Undo::Statements(undo),
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

/// The ledger's own texts as one transaction, in which the user's event triggers do not fire where
/// the target's role may keep them from it.
pub(super) fn transaction(expansion: &Expansion<'_>, texts: Vec<String>) -> Vec<Statement> {
    let is_superuser =
        expansion.facts.target.as_ref().is_some_and(|target| target.server.session_role.superuser);
    let quiet = is_superuser.then(|| "set local session_replication_role = replica".to_owned());
    ["begin".to_owned()]
        .into_iter()
        .chain(quiet)
        .chain(texts)
        .chain(["commit".to_owned()])
        .map(|sql| Statement { text: pieces(&sql), ..Statement::alone(Server::Target, "") })
        .collect()
}

/// What the ledger's placeholders stand for at run time.
fn pieces(sql: &str) -> Vec<Piece> {
    let placeholders = [
        ("pgkedge_‹run›", Piece::RunName { prefix: "pgkedge".to_owned() }),
        ("'‹run id›'", Piece::observed("run_id", QuotedAs::Literal)),
        ("‹epoch›", Piece::observed("epoch", QuotedAs::Bare)),
    ];
    let mut pieces = Vec::new();
    let mut rest = sql;
    while let Some((at, text, piece)) = placeholders
        .iter()
        .filter_map(|(text, piece)| Some((rest.find(text)?, text, piece)))
        .min_by_key(|(at, _, _)| *at)
    {
        pieces.push(Piece::sql(&rest[..at]));
        pieces.push(piece.clone());
        rest = &rest[at + text.len()..];
    }
    pieces.push(Piece::sql(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_ledger_is_made_in_one_transaction() {
        let sample = Sample::default();
        let drafts = sample.expand::<CreateLedger>(json!({})).unwrap();
        let run = shown(&drafts[0].script.run);
        assert_eq!(run[..2], ["begin", "create schema pgkedge_‹run›"]);
        assert!(run.contains(
            &"insert into pgkedge_‹run›.run (run_id, epoch) values (‹run_id›, ‹epoch›)".to_owned()
        ));
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
