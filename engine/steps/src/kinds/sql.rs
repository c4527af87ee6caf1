//! The user's own SQL.

use pgkedge_model::{
    Call, Draft, Expansion, Failure, Finding, Fold, Leaves, Probe, Script, Server, Session,
    Statement, Transaction, Undo,
};
use pgkedge_postgres::lexer;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::context::StepContext;
use crate::script;
use crate::step::Step;
use crate::uncertain::uncertain;

pub(crate) struct Sql;

/// Statements, and how to tell whether they were carried out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Where they are sent.
    #[serde(default = "target")]
    on: Server,
    /// Statements, with semicolons between them.
    run: String,
    /// On the target: all of them in one transaction, which a resumed run knows to be committed or
    /// not. Say `false` for statements that cannot run in one, such as `VACUUM`.
    #[serde(default = "yes")]
    transaction: bool,
    /// May be sent again when nobody knows whether they were carried out.
    #[serde(default)]
    idempotent: bool,
    /// A query whose one value says whether they were carried out.
    #[serde(default)]
    probe: Option<String>,
    /// Statements that take them back.
    #[serde(default)]
    undo: Option<String>,
}

fn target() -> Server {
    Server::Target
}

fn yes() -> bool {
    true
}

impl Params {
    fn transaction(&self) -> Transaction {
        if self.transaction && self.on == Server::Target {
            Transaction::Guarded
        } else {
            Transaction::Alone
        }
    }

    fn statements(&self, sql: &str) -> Vec<Statement> {
        lexer::statements(sql)
            .into_iter()
            .map(|sql| Statement::new(self.on, Session::Sql, self.transaction(), sql))
            .collect()
    }
}

impl Step for Sql {
    const KIND: &'static str = "sql";
    const ABOUT: &'static str = "Sends your own SQL to one of the servers.";
    const LEAVES: Leaves = Leaves::Result;
    const WORKER: bool = false;
    type Params = Params;

    fn expand(params: &Params, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let run = params.statements(&params.run);
        let findings = findings(params, &run, expansion);
        if !findings.is_empty() {
            return Err(findings);
        }
        let undo = params.undo.as_ref().map_or_else(
            || Undo::Irreversible("the plan gives no `undo:` for it".to_owned()),
            |undo| Undo::Statements(params.statements(undo)),
        );
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: Vec::new(),
            script: Script { run, undo, ..Script::default() },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let params: Params = context.params(&call.node)?;
        if let Some(probe) = &params.probe {
            let session = context.read(params.on).await?;
            let rows = session.rows(probe).await?;
            let holds = rows.first().and_then(|row| row.get(0)) == Some("t");
            return Ok(if holds { Probe::Applied(Value::Null) } else { Probe::Absent });
        }
        if params.transaction() == Transaction::Guarded {
            return script::probe(context, call).await;
        }
        Ok(if params.idempotent { Probe::Absent } else { uncertain(&call.node) })
    }
}

fn findings(params: &Params, run: &[Statement], expansion: &Expansion<'_>) -> Vec<Finding> {
    let name = &expansion.declared.name;
    let at = |finding: Finding| match &expansion.declared.pointer {
        Some(pointer) => finding.at_value(format!("{pointer}/run"), "this SQL"),
        None => finding,
    };
    if run.is_empty() {
        let message = format!("step `{name}` has no statement");
        return vec![
            at(Finding::error("steps::no_statement", message).help("write one in `run:`")),
        ];
    }
    let controls = run.iter().filter(|statement| controls_transaction(&statement.shown()));
    controls
        .filter(|_| params.transaction() == Transaction::Guarded)
        .map(|statement| {
            let sql = statement.shown();
            let message =
                format!("step `{name}` runs in a transaction of the run, and says `{sql}`");
            at(Finding::error("steps::transaction_control", message)
                .help("leave it out, or say `transaction: false` and give a `probe:`"))
        })
        .collect()
}

fn controls_transaction(sql: &str) -> bool {
    let first: String = sql.chars().take_while(char::is_ascii_alphabetic).collect();
    let words = ["begin", "start", "commit", "end", "rollback", "abort"];
    words.contains(&first.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn statements_are_split_and_share_the_guarded_transaction() {
        let params = json!({ "run": "insert into t values (';'); select $$;$$", "undo": "delete" });
        let draft = Sample::default().expand::<Sql>(params).unwrap().remove(0);
        assert_eq!(shown(&draft.script.run), ["insert into t values (';')", "select $$;$$"]);
        assert!(draft.script.run.iter().all(|sql| sql.transaction == Transaction::Guarded));
        assert!(matches!(draft.script.undo, Undo::Statements(undo) if shown(&undo) == ["delete"]));
    }

    #[test]
    fn statements_on_the_source_or_without_a_transaction_are_sent_as_they_are() {
        for params in [
            json!({ "run": "vacuum", "transaction": false }),
            json!({ "run": "select 1", "on": "source" }),
        ] {
            let draft = Sample::default().expand::<Sql>(params).unwrap().remove(0);
            assert_eq!(draft.script.run[0].transaction, Transaction::Alone);
            assert!(matches!(draft.script.undo, Undo::Irreversible(_)));
        }
    }

    #[test]
    fn a_step_without_statements_and_one_that_commits_are_refused() {
        for (run, code) in [
            (" -- nothing", "steps::no_statement"),
            ("BEGIN; select 1", "steps::transaction_control"),
        ] {
            let findings = Sample::default().expand::<Sql>(json!({ "run": run })).unwrap_err();
            assert_eq!(findings[0].code, code);
        }
    }
}
