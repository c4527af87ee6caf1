//! The tables of a journal and the chain of hashes through them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pgkedge_model::{
    Checkpoint, DatabaseRef, Facts, Record, RunHeader, RunId, Server, Settings, StampedRecord,
    StepGraph, Timestamp,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction};
use serde::{Deserialize, Serialize};

use super::{JournalError, PendingRequest, Request};

/// Raised when an older engine could misread a newer journal.
const FORMAT: u32 = 1;
/// Another command may hold the database for the moment of one small transaction.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
    create table run (
        one integer primary key check (one = 1), run_id text not null, header text not null
    ) strict;
    create table graph (since integer primary key, body text not null) strict;
    create table record (
        seq integer primary key, at text not null, body text not null, hash blob not null
    ) strict;
    create table request (
        id integer primary key autoincrement, body text not null, made_at text not null,
        taken integer not null default 0
    ) strict;";

/// The hash of everything up to a record.
pub(super) type Hash = [u8; 32];

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

/// What a journal holds, read and verified.
pub(super) struct Contents {
    pub(super) header: RunHeader,
    pub(super) checkpoint: Checkpoint,
    pub(super) tail: Tail,
}

/// A record as it is stored.
pub(super) struct Line {
    pub(super) at: String,
    pub(super) body: String,
}

impl Line {
    pub(super) fn new(at: Timestamp, record: &Record) -> Result<Self, JournalError> {
        Ok(Self { at: at.to_string(), body: serde_json::to_string(record)? })
    }
}

/// Opens the database for the one writer.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// Opens it beside the writer: to read, or to leave a request.
pub(super) fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, JournalError> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Err(JournalError::Newer { found, known: FORMAT });
    }
    Ok(connection)
}

/// Fills an empty database with a run that has no records.
pub(super) fn prepare(path: &Path, header: &RunHeader) -> Result<Tail, JournalError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    // One text at a time: those of a large database are large.
    let mut hasher = beginning();
    let rest = rest_text(header)?;
    hasher.update(rest.as_bytes()).update(b"\n");
    transaction.execute(
        "insert into run (one, run_id, header) values (1, ?1, ?2)",
        (&header.run_id.0, &rest),
    )?;
    drop(rest);
    let graph = graph_text(&header.graph)?;
    hasher.update(graph.as_bytes());
    insert_graph(&transaction, 0, &graph)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(Tail { seq: 0, hash: hasher.finalize().into() })
}

/// Reads everything, verifies every hash, and folds the records.
pub(super) fn load(connection: &Connection) -> Result<Contents, JournalError> {
    let (header, mut tail) = load_header(connection)?;
    let mut checkpoint = Checkpoint::default();
    let mut statement =
        connection.prepare("select seq, at, body, hash from record order by seq")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let record = verify(connection, row, &mut tail)?;
        checkpoint.apply(&record)?;
    }
    Ok(Contents { header, checkpoint, tail })
}

/// The header with its newest graph, and where the chain starts.
pub(super) fn load_header(connection: &Connection) -> Result<(RunHeader, Tail), JournalError> {
    const CORRUPT: JournalError = JournalError::Corrupt { seq: 0 };
    let rest = connection
        .query_row("select header from run", (), |row| text(row, 0))
        .optional()?
        .ok_or(CORRUPT)?;
    let first = graph(connection, 0)?.ok_or(CORRUPT)?;
    let edited: Option<String> = connection
        .query_row(
            "select body from graph where since > 0 order by since desc limit 1",
            (),
            |row| text(row, 0),
        )
        .optional()?;
    let newest = edited.as_ref().unwrap_or(&first);
    let header = join(&rest, newest).ok_or(CORRUPT)?;
    let mut hasher = beginning();
    hasher.update(rest.as_bytes()).update(b"\n").update(first.as_bytes());
    Ok((header, Tail { seq: 0, hash: hasher.finalize().into() }))
}

/// Where the chain starts: what follows are the header without its graph, and the first graph.
fn beginning() -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"pgkedge journal 1\n");
    hasher
}

/// Records after a place in the journal.
pub(super) fn records(
    connection: &Connection,
    after: u64,
) -> Result<Vec<StampedRecord>, JournalError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut statement = connection
        .prepare_cached("select seq, at, body from record where seq > ?1 order by seq")?;
    let mut rows = statement.query((after,))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = sequence(row)?;
        let at = text(row, 1)?.parse().map_err(|_| JournalError::Corrupt { seq })?;
        let record =
            serde_json::from_str(&text(row, 2)?).map_err(|_| JournalError::Corrupt { seq })?;
        records.push(StampedRecord { seq, at, record });
    }
    Ok(records)
}

/// Adds a record to the chain; `graph` is the one that it brings along.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    tail: Tail,
    line: &Line,
    graph: Option<&str>,
) -> Result<Tail, JournalError> {
    let seq = tail.seq + 1;
    let hash = link(&tail.hash, line.at.as_bytes(), line.body.as_bytes(), graph);
    transaction
        .prepare_cached("insert into record (seq, at, body, hash) values (?1, ?2, ?3, ?4)")?
        .execute((number(seq), &line.at, &line.body, &hash[..]))?;
    if let Some(graph) = graph {
        insert_graph(transaction, seq, graph)?;
    }
    Ok(Tail { seq, hash })
}

/// Marks a request as answered by a record.
pub(super) fn take_request(connection: &Connection, id: i64, seq: u64) -> Result<(), JournalError> {
    connection.execute("update request set taken = ?2 where id = ?1", (id, number(seq)))?;
    Ok(())
}

/// Marks a request as one that needs no record.
pub(super) fn dismiss_request(connection: &Connection, id: i64) -> Result<(), JournalError> {
    connection.execute("update request set taken = -1 where id = ?1", (id,))?;
    Ok(())
}

pub(super) fn requests(connection: &Connection) -> Result<Vec<PendingRequest>, JournalError> {
    let mut statement =
        connection.prepare_cached("select id, body from request where taken = 0 order by id")?;
    let mut rows = statement.query(())?;
    let mut requests = Vec::new();
    while let Some(row) = rows.next()? {
        let request = serde_json::from_str(&text(row, 1)?).ok();
        requests.push(PendingRequest { id: row.get(0)?, request });
    }
    Ok(requests)
}

pub(super) fn leave_request(
    connection: &Connection,
    request: &Request,
    at: Timestamp,
) -> Result<(), JournalError> {
    connection.execute(
        "insert into request (body, made_at) values (?1, ?2)",
        (serde_json::to_string(request)?, at.to_string()),
    )?;
    Ok(())
}

fn verify(connection: &Connection, row: &Row<'_>, tail: &mut Tail) -> Result<Record, JournalError> {
    let seq = sequence(row)?;
    let corrupt = || JournalError::Corrupt { seq: tail.seq + 1 };
    if seq != tail.seq + 1 {
        return Err(corrupt());
    }
    let column = |at: usize| row.get_ref(at)?.as_bytes().map_err(|_| corrupt());
    let (at, body) = (column(1)?, column(2)?);
    // Only these bring a graph along; asking for each record would be slow.
    let edits = body.starts_with(br#"{"record":"plan_edited""#);
    let graph = if edits { graph(connection, seq)? } else { None };
    let hash = link(&tail.hash, at, body, graph.as_deref());
    if hash[..] != *column(3)? {
        return Err(corrupt());
    }
    *tail = Tail { seq, hash };
    serde_json::from_slice(body).map_err(|_| JournalError::Corrupt { seq })
}

fn link(before: &Hash, at: &[u8], body: &[u8], graph: Option<&str>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(at).update(b"\n").update(body);
    if let Some(graph) = graph {
        hasher.update(b"\n").update(graph.as_bytes());
    }
    hasher.finalize().into()
}

fn graph(connection: &Connection, since: u64) -> Result<Option<String>, JournalError> {
    connection
        .query_row("select body from graph where since = ?1", (number(since),), |row| text(row, 0))
        .optional()
        .map_err(JournalError::from)
}

fn insert_graph(transaction: &Transaction<'_>, since: u64, body: &str) -> Result<(), JournalError> {
    transaction
        .execute("insert into graph (since, body) values (?1, ?2)", (number(since), body))?;
    Ok(())
}

/// The header without its graph, which an edit replaces by itself.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    run_id: Cow<'a, RunId>,
    engine: Cow<'a, str>,
    plan_name: Cow<'a, str>,
    plan_path: Cow<'a, str>,
    databases: Cow<'a, BTreeMap<Server, DatabaseRef>>,
    settings: Cow<'a, Settings>,
    facts: Cow<'a, Facts>,
}

fn rest_text(header: &RunHeader) -> Result<String, JournalError> {
    let RunHeader { run_id, engine, plan_name, plan_path, databases, settings, facts, graph: _ } =
        header;
    let rest = Rest {
        run_id: Cow::Borrowed(run_id),
        engine: Cow::Borrowed(engine),
        plan_name: Cow::Borrowed(plan_name),
        plan_path: Cow::Borrowed(plan_path),
        databases: Cow::Borrowed(databases),
        settings: Cow::Borrowed(settings),
        facts: Cow::Borrowed(facts),
    };
    Ok(serde_json::to_string(&rest)?)
}

pub(super) fn graph_text(graph: &StepGraph) -> Result<String, JournalError> {
    Ok(serde_json::to_string(graph)?)
}

fn join(rest: &str, graph: &str) -> Option<RunHeader> {
    let rest: Rest<'_> = serde_json::from_str(rest).ok()?;
    Some(RunHeader {
        run_id: rest.run_id.into_owned(),
        engine: rest.engine.into_owned(),
        plan_name: rest.plan_name.into_owned(),
        plan_path: rest.plan_path.into_owned(),
        databases: rest.databases.into_owned(),
        settings: rest.settings.into_owned(),
        facts: rest.facts.into_owned(),
        graph: serde_json::from_str(graph).ok()?,
    })
}

/// Text whose bytes are broken reads as something that no hash and no parser accepts.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn sequence(row: &Row<'_>) -> Result<u64, JournalError> {
    Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))
}

/// `SQLite` counts in signed numbers; a journal never comes near their end.
fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
