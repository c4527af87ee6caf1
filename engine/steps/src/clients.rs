//! Sessions and prepared transactions of others in a database: seen, described, ended.

use std::time::Duration;

use pgkedge_model::{Call, Failure, FailureClass, Statement, quote_literal};
use pgkedge_postgres::{Row, Sql};
use tokio::time::Instant;

use crate::access::{Writer, quoted};
use crate::context::StepContext;

/// How long sessions have to end after they were told to.
const ENDING: Duration = Duration::from_secs(10);
/// How often sessions are looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// How long clients have to commit what they have prepared.
const COMMITTING: Duration = Duration::from_secs(3);
/// How often prepared transactions are looked at meanwhile.
const MOMENT: Duration = Duration::from_millis(2);
/// A client that was let in just before the door was closed shows itself by then.
const QUIET_READS: u32 = 2;
/// What the statement that ends a session calls it.
const SESSION: &str = "each session of another client";
/// Sessions that a failure names; the others are counted.
const NAMED: usize = 20;

/// A session of another client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pid: String,
    role: String,
    superuser: bool,
    /// This role may end it.
    may_end: bool,
    described: String,
}

/// A transaction that waits for `commit prepared`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) gid: String,
    described: String,
}

/// Clients of the database that the session is connected to, this run's own and `pg_dump` for it not
/// among them. Walsenders only read; a role without `pg_read_all_stats` sees no other role's kind of
/// session, but which are walsenders.
pub(crate) async fn seen(context: &StepContext, session: &Sql) -> Result<Vec<Client>, Failure> {
    let ours = quote_literal(&format!("pgkedge:{}:", context.tag()));
    let rows = session
        .rows(&format!(
            "select a.pid, pg_catalog.pg_get_userbyid(a.usesysid), coalesce(r.rolsuper, false), \
             me.rolsuper or (not coalesce(r.rolsuper, false) \
               and (coalesce(pg_catalog.pg_has_role(r.oid, 'USAGE'), false) \
                 or pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))), \
             a.application_name, pg_catalog.host(a.client_addr), a.backend_start, a.state \
             from pg_catalog.pg_stat_activity a \
             left join pg_catalog.pg_roles r on r.oid = a.usesysid \
             join pg_catalog.pg_roles me on me.rolname = session_user \
             where a.datname = pg_catalog.current_database() \
             and a.pid <> pg_catalog.pg_backend_pid() and a.usesysid is not null \
             and coalesce(a.backend_type, 'client backend') = 'client backend' \
             and a.pid not in (select w.pid from pg_catalog.pg_stat_get_wal_senders() w) \
             and not (a.usesysid = me.oid and (pg_catalog.strpos(a.application_name, {ours}) = 1 \
               or a.application_name = 'pgkedge:read')) \
             order by a.backend_start, a.pid"
        ))
        .await?;
    Ok(rows.iter().map(client).collect())
}

fn client(row: &Row) -> Client {
    let text = |at| row.get(at).unwrap_or_default().to_owned();
    let (pid, role) = (text(0), text(1));
    let superuser = row.get(2) == Some("t");
    let kind = if superuser { "superuser" } else { "role" };
    let client = row.get(5).unwrap_or("the server itself");
    let since = row.get(6).unwrap_or("a time that this role may not see");
    let described = format!(
        "session {pid} of {kind} {role} (`{}`, from {client}, since {since}{})",
        text(4),
        row.get(7).map_or(String::new(), |state| format!(", {state}"))
    );
    Client { pid, role, superuser, may_end: row.get(3) == Some("t"), described }
}

/// Ends all sessions of other clients, until two looks in a row find none.
pub(crate) async fn end_all(
    context: &StepContext,
    call: &Call,
    session: &Sql,
    statement: &Statement,
) -> Result<(), Failure> {
    let reader = context.read(session.server()).await?;
    let deadline = Instant::now() + ENDING;
    let mut quiet = 0;
    while quiet < QUIET_READS {
        let clients = seen(context, &reader).await?;
        quiet = if clients.is_empty() { quiet + 1 } else { 0 };
        if !clients.is_empty() && Instant::now() > deadline {
            return Err(still_there(&reader, &clients).await?);
        }
        let (ended, others): (Vec<_>, Vec<_>) = clients.iter().partition(|one| one.may_end);
        if let Some(one) = others.first() {
            call.reporter.waiting(&format!("{} to end", one.described));
        }
        let writer = Writer { context, call };
        let texts: Vec<String> = ended
            .iter()
            .map(|one| writer.number(statement, SESSION, one.pid.parse().unwrap_or_default()))
            .collect::<Result<_, Failure>>()?;
        // Back to back: who is ended last has no time to prepare another transaction.
        let sent = session.execute_all(texts.iter().map(String::as_str)).await;
        sent.map_err(|(_, failure)| failure)?;
        if quiet < QUIET_READS {
            tokio::select! {
                failure = context.cancelled() => return Err(failure),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
    Ok(())
}

/// Waits, for a while, for a moment without prepared transactions: clients that are there still can
/// commit theirs, and nobody else comes in.
pub(crate) async fn await_unprepared(
    context: &StepContext,
    call: &Call,
    session: &Sql,
) -> Result<(), Failure> {
    let deadline = Instant::now() + COMMITTING;
    let mut told = false;
    while !prepared(session).await?.is_empty() && Instant::now() < deadline {
        if !std::mem::replace(&mut told, true) {
            call.reporter.waiting("clients to commit what they have prepared");
        }
        tokio::select! {
            failure = context.cancelled() => return Err(failure),
            () = tokio::time::sleep(MOMENT) => {}
        }
    }
    Ok(())
}

/// Fails, before anything is changed, if there are sessions that this role may not end.
pub(crate) async fn check_endable(context: &StepContext, session: &Sql) -> Result<(), Failure> {
    let clients = seen(context, session).await?;
    let others: Vec<Client> = clients.into_iter().filter(|one| !one.may_end).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure { class: FailureClass::Blocked, ..still_there(session, &others).await? })
}

/// What to say of sessions that are there and should not be.
pub(crate) async fn still_there(session: &Sql, clients: &[Client]) -> Result<Failure, Failure> {
    let server = session.server();
    let count = clients.len();
    let failure = Failure::new(
        FailureClass::Operator,
        format!("other clients are connected to the {server}: {count}"),
    );
    let named = clients.iter().take(NAMED);
    let mut failure = named.fold(failure, |failure, one| failure.detail(&one.described));
    if count > NAMED {
        failure = failure.detail(format!("and {} more", count - NAMED));
    }
    let others: Vec<&Client> = clients.iter().filter(|one| !one.may_end).collect();
    let rows = session.rows("select session_user").await?;
    let ours = quoted(rows.first().and_then(|row| row.get(0)).unwrap_or_default());
    let help = if let Some(one) = others.iter().find(|one| one.superuser) {
        format!(
            "a superuser is never kept out: stop what logs in as {}, or end its session as a \
             superuser: select pg_terminate_backend({})",
            one.role, one.pid
        )
    } else if others.is_empty() {
        "stop what connects again and again, and look at what does not end".to_owned()
    } else {
        format!("as a superuser: grant pg_signal_backend to {ours}")
    };
    Ok(failure.help(help))
}

/// Prepared transactions of the database that the session is connected to, oldest first.
pub(crate) async fn prepared(session: &Sql) -> Result<Vec<Prepared>, Failure> {
    let rows = session
        .rows(
            "select p.gid, p.owner, p.prepared from pg_catalog.pg_prepared_xacts p \
             where p.database = pg_catalog.current_database() order by p.prepared, p.gid",
        )
        .await?;
    let text = |row: &Row, at| row.get(at).unwrap_or_default().to_owned();
    let prepared = rows.iter().map(|row| Prepared {
        gid: text(row, 0),
        described: format!("`{}` of role {}, since {}", text(row, 0), text(row, 1), text(row, 2)),
    });
    Ok(prepared.collect())
}

/// What to say of prepared transactions that are there and should not be.
pub(crate) fn still_prepared(session: &Sql, prepared: &[Prepared]) -> Failure {
    let server = session.server();
    let failure = Failure::new(
        FailureClass::Operator,
        format!("prepared transactions are open on the {server}: {}", prepared.len()),
    );
    let failure =
        prepared.iter().take(NAMED).fold(failure, |failure, one| failure.detail(&one.described));
    let gid = prepared.first().map_or(String::new(), |one| quote_literal(&one.gid));
    failure.help(format!(
        "commit prepared {gid} or rollback prepared {gid} for each of them, or let the plan say \
         cutover: {{ prepared_transactions: rollback }}"
    ))
}
