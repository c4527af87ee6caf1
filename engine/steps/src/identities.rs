//! Replica identities on the source: what captured updates and deletes find their rows by.

use std::pin::pin;
use std::time::Duration;

use pgkedge_model::{
    Call, Failure, IdentityKind, Operation, QualifiedName, ReplicaIdentity, ReplicationSet, Server,
    Settings, Table, WithoutIdentity, quote_literal,
};
use pgkedge_postgres::{Row, Sql};
use serde::{Deserialize, Serialize};

use crate::context::StepContext;

/// Statements that change one table, in one transaction.
pub(crate) const STATEMENTS: usize = 4;
/// Between two tries for a lock.
const PAUSE: Duration = Duration::from_secs(1);
/// Tries before the step fails, to be tried again later.
const TRIES: u32 = 20;

/// Whether a set carries rows of a table, by itself or through its root.
pub(crate) fn is_published(table: &Table, set: &ReplicationSet) -> bool {
    let root = table.partition.as_ref().map(|partition| &partition.root);
    let root = root.filter(|_| set.through_root);
    [Some(&table.name), root]
        .into_iter()
        .flatten()
        .any(|name| set.tables.binary_search(name).is_ok())
}

/// Whether the whole row is to be a table's identity while sets are published: its updates or
/// deletes are captured, and could not find their rows otherwise.
pub(crate) fn needs_full<'a>(
    table: &Table,
    mut sets: impl Iterator<Item = &'a ReplicationSet>,
    settings: &Settings,
) -> bool {
    let finds_rows = |set: &ReplicationSet| {
        set.operations.contains(&Operation::Update) || set.operations.contains(&Operation::Delete)
    };
    settings.tables_without_identity == WithoutIdentity::Full
        && !table.identity.usable
        && sets.any(|set| finds_rows(set) && is_published(table, set))
}

/// A table whose identity changes, and what gives it back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) table: QualifiedName,
    /// The words behind `replica identity` for what it had.
    pub(crate) was: String,
}

impl From<&Table> for Changed {
    fn from(table: &Table) -> Self {
        Self { table: table.name.clone(), was: words(&table.identity) }
    }
}

fn words(identity: &ReplicaIdentity) -> String {
    match (identity.kind, &identity.index) {
        (IdentityKind::Full, _) => "full".to_owned(),
        (IdentityKind::Nothing, _) => "nothing".to_owned(),
        (IdentityKind::Index, Some(index)) => format!("using index {index}"),
        (IdentityKind::Default, _) | (IdentityKind::Index, None) => "default".to_owned(),
    }
}

/// Whether the whole row is a table's identity now; none if the table is gone.
pub(crate) async fn is_full(session: &Sql, table: &QualifiedName) -> Result<Option<bool>, Failure> {
    let rows = session
        .rows(&format!(
            "select c.relreplident = 'f' from pg_catalog.pg_class c \
             where c.oid = pg_catalog.to_regclass({})",
            quote_literal(&table.to_string())
        ))
        .await?;
    Ok(rows.first().map(|row| row.get(0) == Some("t")))
}

/// Sends the transactions of those tables whose identity is the whole row now, or is not.
pub(crate) async fn alter_each(
    context: &StepContext,
    call: &Call,
    tables: &[Changed],
    texts: &[String],
    if_full: bool,
) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    let session = context.sql(Server::Source).await?;
    for (changed, transaction) in tables.iter().zip(texts.chunks(STATEMENTS)) {
        if is_full(&session, &changed.table).await? == Some(if_full) {
            alter(context, call, &session, &changed.table, transaction).await?;
        }
    }
    Ok(())
}

/// Sends the statements of one short transaction that needs a table for itself, again and again:
/// in between, those who use the table go first.
async fn alter(
    context: &StepContext,
    call: &Call,
    session: &Sql,
    table: &QualifiedName,
    transaction: &[String],
) -> Result<(), Failure> {
    let mut cancelled = pin!(context.cancelled());
    for attempt in 1.. {
        let Err(failure) = all(session, transaction).await else { return Ok(()) };
        session.execute("rollback").await?;
        if failure.sqlstate.as_deref() != Some("55P03") || attempt == TRIES {
            return Err(failure.detail(format!("while at: {table}")));
        }
        let holders = holders(session, table).await?.join(", ");
        call.reporter.waiting(&format!("{table} of the source is in use: {holders}"));
        tokio::select! {
            failure = &mut cancelled => return Err(failure),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}

async fn all(session: &Sql, texts: &[String]) -> Result<(), Failure> {
    for text in texts {
        session.execute(text).await?;
    }
    Ok(())
}

/// Who has locks on a table, for people.
async fn holders(session: &Sql, table: &QualifiedName) -> Result<Vec<String>, Failure> {
    let rows = session
        .rows(&format!(
            "select distinct a.pid, a.usename, a.application_name, a.xact_start \
             from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid \
             where l.granted and l.relation = pg_catalog.to_regclass({})::pg_catalog.oid \
             and a.pid <> pg_catalog.pg_backend_pid() order by a.xact_start limit 5",
            quote_literal(&table.to_string())
        ))
        .await?;
    let text = |row: &Row, at: usize| row.get(at).unwrap_or("?").to_owned();
    let shown = |row: &Row| {
        let (pid, user, application) = (text(row, 0), text(row, 1), text(row, 2));
        format!("session {pid} of {user} (`{application}`, since {})", text(row, 3))
    };
    Ok(rows.iter().map(shown).collect())
}
