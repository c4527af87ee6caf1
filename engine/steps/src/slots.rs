//! Replication slots of the source: what they are called there, who keeps one from coming into
//! being, and how one goes.

use std::pin::pin;
use std::time::Duration;

use pgkedge_model::{Call, Failure, FailureClass, ReplicationSet, RunTag, Server, quote_literal};
use pgkedge_postgres::{Row, Sql};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::context::StepContext;

/// After that time a slot is worth telling that it is waited for, and who is.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the reader of a slot may take to let go of it.
const LETTING_GO: Duration = Duration::from_secs(30);
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// What a slot, publication or subscription of a run is called on a server. Fit for SQL as it is:
/// names of slots and sets are small letters, digits and underscores.
pub(crate) fn server_name(name: &str, tag: &RunTag) -> String {
    format!("pgkedge_{name}_{tag}")
}

/// The publication of a set, as the catalog of the source has its name.
pub(crate) fn publication_name(set: &ReplicationSet, tag: &RunTag) -> String {
    match &set.publication {
        Some(publication) => publication.as_str().to_owned(),
        None => server_name(set.name.as_str(), tag),
    }
}

/// The publications of sets, as templates take them: `created` is the set's name, `existing` that of
/// a publication which was there; `listed` is the latter as an item of a list of identifiers.
pub(crate) fn publications(sets: &[ReplicationSet]) -> Value {
    let written = |set: &ReplicationSet| match &set.publication {
        Some(publication) => {
            let listed = format!("\"{}\"", publication.as_str().replace('"', "\"\""));
            json!({ "created": null, "existing": publication, "listed": listed })
        }
        None => json!({ "created": set.name }),
    };
    sets.iter().map(written).collect()
}

/// Top-level transactions of this database that write, or have written and are prepared.
const OPEN_XIDS: &str = "select a.backend_xid::text as xid from pg_catalog.pg_stat_activity a \
    where a.backend_xid is not null and a.datname = pg_catalog.current_database() union all \
    select p.transaction::text from pg_catalog.pg_prepared_xacts p \
    where p.database = pg_catalog.current_database()";

/// Awaits the creation of a slot by the session with that process, and says who it waits for: every
/// transaction that wrote before must be over, in any database of the server.
pub(crate) async fn created<T>(
    context: &StepContext,
    call: &Call,
    process_id: i32,
    slot: &str,
    creating: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut creating = pin!(creating);
    let told = async {
        loop {
            tokio::time::sleep(PATIENCE).await;
            match blockers(context, process_id).await {
                Ok(blockers) => call.reporter.waiting(&reason(slot, &blockers)),
                Err(failure) => tracing::debug!(%failure, "cannot tell who the slot waits for"),
            }
        }
    };
    tokio::select! {
        created = &mut creating => created,
        () = told => unreachable!("it tells until the slot is there"),
    }
}

fn reason(slot: &str, blockers: &[String]) -> String {
    if blockers.is_empty() {
        return format!("the source has not created slot {slot} yet");
    }
    format!("slot {slot} waits for transactions of the source to end: {}", blockers.join("; "))
}

/// Open transactions that a slot waits for, and how each can be ended.
async fn blockers(context: &StepContext, process_id: i32) -> Result<Vec<String>, Failure> {
    let session = context.read(Server::Source).await?;
    let since = format!(
        "(select s.query_start from pg_catalog.pg_stat_activity s where s.pid = {process_id})"
    );
    let open = session
        .rows(&format!(
            "select a.pid, a.usename, a.application_name, a.datname, a.xact_start \
             from pg_catalog.pg_stat_activity a \
             where a.backend_xid is not null and a.pid <> {process_id} \
             and (coalesce(a.xact_start <= {since}, true) \
             or a.pid = any (pg_catalog.pg_blocking_pids({process_id}))) \
             order by a.xact_start limit 5"
        ))
        .await?;
    let prepared = session
        .rows(&format!(
            "select pg_catalog.quote_literal(p.gid), p.owner, p.database, p.prepared \
             from pg_catalog.pg_prepared_xacts p \
             where coalesce(p.prepared <= {since}, true) order by p.prepared limit 5"
        ))
        .await?;
    Ok(open.iter().map(open_one).chain(prepared.iter().map(prepared_one)).collect())
}

/// From where on a slot that was there before can carry its publications: what was written by
/// transactions that had begun before them is decoded as if they were not there. Waits until those
/// are over, and the log up to there is flushed.
pub(crate) async fn decodable_since(
    context: &StepContext,
    call: &Call,
    slot: &str,
) -> Result<String, Failure> {
    let session = context.read(Server::Source).await?;
    let mut cancelled = pin!(context.cancelled());
    let mut told = Instant::now();
    let open =
        format!("select coalesce(pg_catalog.array_agg(xid), '{{}}') from ({OPEN_XIDS}) open");
    let before = value(&session, &open).await?;
    loop {
        let still = format!("select xid from ({OPEN_XIDS}) open where xid = any ('{before}')");
        if session.rows(&still).await?.is_empty() {
            break;
        }
        if told.elapsed() > PATIENCE {
            let blockers = blockers(context, process_id(&session).await?).await?;
            call.reporter.waiting(&reason(slot, &blockers));
            told = Instant::now();
        }
        tokio::select! {
            failure = &mut cancelled => return Err(failure),
            () = tokio::time::sleep(BETWEEN_TRIES) => {}
        }
    }
    let since = value(&session, "select pg_catalog.pg_current_wal_insert_lsn()").await?;
    let flushed = format!("select pg_catalog.pg_current_wal_flush_lsn() >= '{since}'");
    while value(&session, &flushed).await? != "t" {
        tokio::select! {
            failure = &mut cancelled => return Err(failure),
            () = tokio::time::sleep(BETWEEN_TRIES) => {}
        }
    }
    Ok(since)
}

/// The process of a session.
pub(crate) async fn process_id(session: &Sql) -> Result<i32, Failure> {
    value(session, "select pg_catalog.pg_backend_pid()")
        .await?
        .parse()
        .map_err(|_| Failure::permanent("the source does not tell the session's process"))
}

async fn value(session: &Sql, query: &str) -> Result<String, Failure> {
    let rows = session.rows(query).await?;
    let found = rows.first().and_then(|row| row.get(0)).map(str::to_owned);
    found.ok_or_else(|| Failure::permanent("the source answers with nothing"))
}

fn open_one(row: &Row) -> String {
    let text = |at: usize| row.get(at).unwrap_or("?");
    let (pid, user, application, database) = (text(0), text(1), text(2), text(3));
    format!(
        "session {pid} of {user} in {database} (`{application}`), open since {}: \
         `select pg_terminate_backend({pid})`",
        text(4)
    )
}

fn prepared_one(row: &Row) -> String {
    let text = |at: usize| row.get(at).unwrap_or("?");
    let (gid, owner, database) = (text(0), text(1), text(2));
    format!(
        "transaction {gid} of {owner} in {database}, prepared at {}: `commit prepared {gid}` or \
         `rollback prepared {gid}`",
        text(3)
    )
}

/// The statements that end the reader of a slot and drop it; each does nothing if there is none.
pub(crate) fn drop_sql(slot: &str) -> [String; 2] {
    let of_slot = format!(
        "from pg_catalog.pg_replication_slots s where s.slot_name = {}",
        quote_literal(slot)
    );
    [
        format!(
            "select pg_catalog.pg_terminate_backend(s.active_pid) {of_slot} \
             and s.active_pid is not null"
        ),
        format!("select pg_catalog.pg_drop_replication_slot(s.slot_name) {of_slot}"),
    ]
}

/// Sends statements that do nothing the second time, until the object that they drop is not in use
/// any more.
pub(crate) async fn insist(session: &Sql, texts: &[String]) -> Result<(), Failure> {
    let deadline = Instant::now() + LETTING_GO;
    loop {
        let Err(failure) = all(session, texts).await else { return Ok(()) };
        if failure.sqlstate.as_deref() != Some("55006") {
            return Err(failure);
        }
        if Instant::now() > deadline {
            let failure = Failure { class: FailureClass::Operator, ..failure };
            return Err(failure.help(
                "end the session that uses it and keep it from coming back (a subscription does: \
                 `alter subscription … disable` on its server), then repeat",
            ));
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

async fn all(session: &Sql, texts: &[String]) -> Result<(), Failure> {
    for text in texts {
        session.execute(text).await?;
    }
    Ok(())
}
