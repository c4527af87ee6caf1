//! Closes the source to its writers, so that nothing changes there any more: nobody but this run may
//! connect to the database, new transactions only read, and every session of others has ended.
//!
//! What was there is noted before the first change; the undo puts it back from the note alone.
//! Walsenders go on, and so do the roles that our subscriptions log in as.

use std::time::Duration;

use pgkedge_model::{
    Call, Draft, Expansion, Failure, FailureClass, Finding, Fold, Leaves, Object,
    PreparedTransactions, Probe, Script, Server, Statement, Touch, Undo, quote_literal,
};
use pgkedge_postgres::Sql;
use pgkedge_render::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::access::{self, Access, Noted, Writer};
use crate::context::StepContext;
use crate::step::{NoParams, Step};
use crate::streams::Stream;
use crate::{clients, script};

/// How long a subscription has to come back to its slot, so that its role is known.
const READER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// What the statement that rolls a prepared transaction back calls it.
const PREPARED: &str = "each prepared transaction";

pub(crate) struct FenceSource;

/// The only member of the step.
#[derive(Serialize, Deserialize)]
struct FenceMember {
    /// Subscriptions of this run read these.
    slots: Vec<Stream>,
}

impl Step for FenceSource {
    const KIND: &'static str = "fence_source";
    const ABOUT: &'static str =
        "Closes the source to writers: no other role may connect, and their sessions end.";
    const LEAVES: Leaves = Leaves::Result;
    const WORKER: bool = false;
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let context = json!({ "database": expansion.facts.source.database.name });
        Ok(vec![Draft {
            key: String::new(),
            params: json!(FenceMember { slots: Stream::all(expansion) }),
            touches: vec![
                Touch::write(Object::new("writes", Server::Source)),
                Touch::write(Object::new("fence", Server::Source)),
            ],
            script: Script {
                run: script::alone(Server::Source, Self::KIND, Block::Run, &context)?,
                undo: Undo::Statements(script::alone(
                    Server::Source,
                    Self::KIND,
                    Block::Undo,
                    &context,
                )?),
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let fence = Fence::of(call)?;
        let (session, reader) =
            (context.sql(Server::Source).await?, context.read(Server::Source).await?);
        let noted = if let Some(noted) = Noted::of(call)? {
            noted
        } else {
            clients::check_endable(context, &reader).await?;
            let kept = kept(context, call, &reader).await?;
            Noted::take(&reader, call, kept).await?
        };
        fence.close(context, call, &session, &noted).await?;
        if context.settings().cutover.prepared_transactions == PreparedTransactions::Refuse {
            clients::await_unprepared(context, call, &reader).await?;
        }
        clients::end_all(context, call, &session, fence.end).await?;
        fence.settle_prepared(context, call, &session).await?;
        let output = output(&reader, &noted).await?;
        if let Some(named) = named_superusers(&output) {
            call.reporter.waiting(&format!("nothing; superusers can still write: {named}"));
        }
        Ok(output)
    }

    async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
        let Some(noted) = Noted::of(call)? else { return Ok(Probe::Absent) };
        let session = context.read(Server::Source).await?;
        let holds = Access::read(&session).await?.is_closed(&noted.kept)
            && clients::seen(context, &session).await?.is_empty()
            && clients::prepared(&session).await?.is_empty();
        if holds { Ok(Probe::Applied(output(&session, &noted).await?)) } else { Ok(Probe::Partial) }
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        let Some(noted) = Noted::of(call)? else { return Ok(()) };
        let statements = access::undo_statements(call);
        let [begin, middle @ .., commit] = statements else {
            return Err(Failure::permanent(format!("{} has no statements", call.node.id)));
        };
        let (session, reader) =
            (context.sql(Server::Source).await?, context.read(Server::Source).await?);
        let writer = Writer { context, call };
        let roles = access::roles(&reader).await?;
        let mut texts = vec![writer.text(begin, &[])?];
        texts.extend(writer.opening(&noted, &roles, middle)?);
        texts.push(writer.text(commit, &[])?);
        send(&session, &texts).await?;
        access::check_put_back(&reader, &noted).await
    }
}

/// The statements of the script, by what they do.
struct Fence<'a> {
    begin: &'a Statement,
    close: &'a [Statement],
    commit: &'a Statement,
    end: &'a Statement,
    roll_back: &'a Statement,
}

impl<'a> Fence<'a> {
    fn of(call: &'a Call) -> Result<Self, Failure> {
        let [begin, close @ .., commit, end, roll_back] = access::run_statements(call) else {
            return Err(Failure::permanent(format!("{} has no statements", call.node.id)));
        };
        Ok(Self { begin, close, commit, end, roll_back })
    }

    /// Closes the database, in one transaction.
    async fn close(
        &self,
        context: &StepContext,
        call: &Call,
        session: &Sql,
        noted: &Noted,
    ) -> Result<(), Failure> {
        let reader = context.read(Server::Source).await?;
        let now = Access::read(&reader).await?;
        let writer = Writer { context, call };
        let mut texts = vec![writer.text(self.begin, &[])?];
        texts.extend(writer.closing(noted, &now, self.close)?);
        texts.push(writer.text(self.commit, &[])?);
        send(session, &texts).await?;
        let left = Access::read(&reader).await?;
        if left.is_closed(&noted.kept) {
            return Ok(());
        }
        let acl = left.acl.unwrap_or_default();
        Err(Failure::new(FailureClass::Operator, "the source's database could not be closed")
            .detail(format!("its grants are still {acl}"))
            .help("let pgkedge log in as the database's owner, a member of it, or a superuser"))
    }

    /// Those who prepared them cannot come back to commit.
    async fn settle_prepared(
        &self,
        context: &StepContext,
        call: &Call,
        session: &Sql,
    ) -> Result<(), Failure> {
        let prepared = clients::prepared(&*context.read(Server::Source).await?).await?;
        match context.settings().cutover.prepared_transactions {
            PreparedTransactions::Refuse if !prepared.is_empty() => {
                Err(clients::still_prepared(session, &prepared))
            }
            PreparedTransactions::Refuse => Ok(()),
            PreparedTransactions::Rollback => {
                let writer = Writer { context, call };
                for one in prepared {
                    let text = writer.text(self.roll_back, &[(PREPARED, &one.gid)])?;
                    let result = session.execute(&text).await;
                    result.map_err(|failure| script::explained(failure, "", self.roll_back))?;
                }
                Ok(())
            }
        }
    }
}

/// Sends statements of one transaction, one after the other.
async fn send(session: &Sql, texts: &[String]) -> Result<(), Failure> {
    for text in texts {
        if let Err(failure) = session.execute(text).await {
            if let Err(failure) = session.execute("rollback").await {
                tracing::debug!(%failure, "the session of a failed transaction is gone");
            }
            return Err(failure.detail(format!("statement on the {}: {text}", session.server())));
        }
    }
    Ok(())
}

/// Roles that must go on: our own, and those that read our slots.
async fn kept(context: &StepContext, call: &Call, session: &Sql) -> Result<Vec<String>, Failure> {
    let mut kept: Vec<String> = access::own_role(session).await?.into_iter().collect();
    let source = context.header().databases.get(&Server::Source);
    if source.is_some_and(|source| source.from_target.is_some()) {
        for role in readers(context, call, session).await? {
            if !kept.contains(&role) {
                kept.push(role);
            }
        }
    }
    Ok(kept)
}

/// Roles of the walsenders that read our slots, superusers not among them.
async fn readers(
    context: &StepContext,
    call: &Call,
    session: &Sql,
) -> Result<Vec<String>, Failure> {
    let Some(query) = readers_query(context, call)? else { return Ok(Vec::new()) };
    let deadline = Instant::now() + READER;
    loop {
        let rows = session.rows(&query).await?;
        let Some(idle) = rows.iter().find(|row| row.get(1).is_none()) else {
            let plain = rows.iter().filter(|row| row.get(2) == Some("f"));
            return Ok(plain.filter_map(|row| row.get(1)).map(str::to_owned).collect());
        };
        let slot = idle.get(0).unwrap_or_default();
        if Instant::now() > deadline {
            let message = format!("nobody reads slot {slot}, so the source cannot be closed yet");
            return Err(Failure::new(FailureClass::Blocked, message)
                .help("look at the subscription on the target and at its server's log"));
        }
        call.reporter.waiting(&format!("the subscription that reads slot {slot}"));
        tokio::select! {
            failure = context.cancelled() => return Err(failure),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Asks which roles read our slots. Columns: slot, role, whether it is a superuser.
fn readers_query(context: &StepContext, call: &Call) -> Result<Option<String>, Failure> {
    let Some(member) = call.node.members.first() else { return Ok(None) };
    let FenceMember { slots } = context.member(&call.node, member)?;
    let tag = context.tag();
    let names: Vec<String> = slots.iter().map(|slot| quote_literal(&slot.slot_name(tag))).collect();
    let query = format!(
        "select s.slot_name, r.rolname, r.rolsuper from pg_catalog.pg_replication_slots s \
         left join pg_catalog.pg_stat_activity a on a.pid = s.active_pid \
         left join pg_catalog.pg_roles r on r.oid = a.usesysid \
         where s.slot_name in ({}) order by s.slot_name",
        names.join(", ")
    );
    Ok((!names.is_empty()).then_some(query))
}

/// `kept` is an array as PostgreSQL writes it.
async fn output(session: &Sql, noted: &Noted) -> Result<Value, Failure> {
    let kept: Vec<String> = noted.kept.iter().map(|role| quote_literal(role)).collect();
    let array = format!("select array[{}]::pg_catalog.name[]", kept.join(", "));
    let rows = session.rows(&array).await?;
    Ok(json!({
        "fenced_at": noted.closed_at,
        "kept": rows.first().and_then(|row| row.get(0)).unwrap_or("{}"),
        "superusers": access::superusers(session).await?,
    }))
}

fn named_superusers(output: &Value) -> Option<String> {
    let named = output["superusers"].as_array()?;
    let named: Vec<&str> = named.iter().filter_map(Value::as_str).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, shown};

    #[test]
    fn the_source_is_closed_in_one_transaction_before_sessions_end() {
        let draft = Sample::default().expand::<FenceSource>(json!({})).unwrap().remove(0);
        assert_eq!(
            shown(&draft.script.run),
            [
                "begin",
                "grant connect on database shop to ‹role of this run›",
                "revoke connect on database shop from ‹each other role› cascade",
                "alter database shop set default_transaction_read_only to on",
                "commit",
                "select pg_catalog.pg_terminate_backend(‹each session of another client›)",
                "rollback prepared ‹each prepared transaction›",
            ]
        );
        assert!(draft.script.run.iter().all(|statement| statement.on == Server::Source));
    }

    #[test]
    fn the_undo_puts_back_what_was_noted() {
        let draft = Sample::default().expand::<FenceSource>(json!({})).unwrap().remove(0);
        let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
        let undo = shown(undo);
        assert_eq!((undo[0].as_str(), undo[8].as_str()), ("begin", "commit"));
        assert_eq!(undo[2], "alter database shop set default_transaction_read_only to ‹as it was›");
        assert_eq!(undo[7], "revoke connect on database shop from ‹role of this run›");
    }
}
