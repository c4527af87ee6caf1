//! Proves that nobody can write to the source: no other client is connected, nobody else may connect,
//! and no prepared transaction is left. Looks twice.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Finding, Fold, Leaves, Object, Script, Server,
    Touch,
};
use pgkedge_postgres::Sql;
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::step::{NoParams, Step};
use crate::{access, clients, script};

/// Between the two looks.
const APART: Duration = Duration::from_millis(200);

pub(crate) struct ProveQuiet;

impl Step for ProveQuiet {
    const KIND: &'static str = "prove_quiet";
    const ABOUT: &'static str =
        "Proves that nobody writes to the source: no other client, no prepared transaction.";
    const LEAVES: Leaves = Leaves::Nothing;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let pgkedge_model::Item::Once = expansion.item else { return Ok(Vec::new()) };
        Ok(vec![Draft {
            key: String::new(),
            params: Value::Null,
            touches: vec![Touch::write(Object::new("writes", Server::Source))],
            script: Script {
                run: script::alone(Server::Source, Self::KIND, Block::Run, &json!({}))?,
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let session = context.read(Server::Source).await?;
        look(context, call, &session).await?;
        tokio::select! {
            failure = context.cancelled() => return Err(failure),
            () = tokio::time::sleep(APART) => {}
        }
        look(context, call, &session).await?;
        let (superusers, others) = (access::superusers(&session).await?, others(&session).await?);
        if !superusers.is_empty() {
            let named = superusers.join(", ");
            call.reporter.waiting(&format!("nothing; superusers can still write: {named}"));
        }
        Ok(json!({ "superusers": superusers, "background_workers": others }))
    }
}

async fn look(context: &StepContext, call: &Call, session: &Sql) -> Result<(), Failure> {
    let clients = clients::seen(context, session).await?;
    if !clients.is_empty() {
        return Err(clients::still_there(session, &clients).await?);
    }
    let prepared = clients::prepared(session).await?;
    if !prepared.is_empty() {
        return Err(clients::still_prepared(session, &prepared));
    }
    check_closed(context, call, session).await?;
    check_subscriptions(session).await
}

/// Fails if somebody let others in again.
async fn check_closed(context: &StepContext, call: &Call, session: &Sql) -> Result<(), Failure> {
    let observed = Observed::default();
    let fill = Fill { call, tag: context.tag(), observed: &observed };
    for statement in call.node.members.iter().flat_map(|member| &member.run) {
        let rows = session.rows(&fill.text("", statement)?).await?;
        let roles: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
        if let Some(first) = roles.first() {
            let named = roles.join(", ");
            let message = format!("the source was opened again: {named} may connect to it");
            return Err(Failure::new(FailureClass::Operator, message)
                .help(format!("find out who granted it to {}", access::quoted(first))));
        }
    }
    Ok(())
}

/// A subscription of the source itself writes to it, and is no client.
async fn check_subscriptions(session: &Sql) -> Result<(), Failure> {
    let rows = session
        .rows(
            "select s.subname from pg_catalog.pg_subscription s \
             join pg_catalog.pg_database d on d.oid = s.subdbid \
             where s.subenabled and d.datname = pg_catalog.current_database() order by 1",
        )
        .await?;
    let names: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
    let Some(first) = names.first() else { return Ok(()) };
    let message = format!("subscriptions write to the source: {}", names.join(", "));
    Err(Failure::new(FailureClass::Operator, message)
        .help(format!("alter subscription {} disable", access::quoted(first))))
}

/// Workers of extensions in this database, of which nobody knows whether they write.
async fn others(session: &Sql) -> Result<Vec<String>, Failure> {
    let rows = session
        .rows(
            "select distinct a.backend_type from pg_catalog.pg_stat_activity a \
             where a.datname = pg_catalog.current_database() and a.backend_type not in ( \
               'client backend', 'walsender', 'autovacuum worker', 'parallel worker', \
               'logical replication worker', 'logical replication launcher') order by 1",
        )
        .await?;
    Ok(rows.iter().filter_map(|row| row.get(0)).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_fence_says_who_may_connect() {
        let draft = Sample::default().expand::<ProveQuiet>(json!({})).unwrap().remove(0);
        let [look] = &shown(&draft.script.run)[..] else { panic!("one statement") };
        assert!(look.contains("<> all (‹fence:source.kept›::pg_catalog.name[])"), "{look}");
    }
}
