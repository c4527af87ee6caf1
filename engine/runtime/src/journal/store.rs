//! The tables of a journal and the chain of hashes through them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pgkedge_model::{
    Capture, Checkpoint, DatabaseRef, Facts, Record, RunHeader, RunId, Server, Settings,
    StampedRecord, StepGraph, Timestamp,
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
    create table plan (since integer primary key, body text not null) strict;
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
    // The first read makes the files beside the journal, which readers cannot make themselves.
    let _: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
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
    let plan = plan_text(header)?;
    hasher.update(plan.as_bytes());
    insert_plan(&transaction, 0, &plan)?;
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

/// The header with its newest plan, and where the chain starts.
pub(super) fn load_header(connection: &Connection) -> Result<(RunHeader, Tail), JournalError> {
    const CORRUPT: JournalError = JournalError::Corrupt { seq: 0 };
    let rest = connection
        .query_row("select header from run", (), |row| text(row, 0))
        .optional()?
        .ok_or(CORRUPT)?;
    let first = plan(connection, 0)?.ok_or(CORRUPT)?;
    let edited: Option<String> = connection
        .query_row("select body from plan where since > 0 order by since desc limit 1", (), |row| {
            text(row, 0)
        })
        .optional()?;
    let header = join(&rest, edited.as_ref().unwrap_or(&first)).ok_or(CORRUPT)?;
    let mut hasher = beginning();
    hasher.update(rest.as_bytes()).update(b"\n").update(first.as_bytes());
    Ok((header, Tail { seq: 0, hash: hasher.finalize().into() }))
}

/// Where the chain starts: what follows is the header, without and with what comes from the plan.
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

/// The place of the last record; 0 where there is none.
pub(super) fn last(connection: &Connection) -> Result<u64, JournalError> {
    let mut statement = connection.prepare_cached("select coalesce(max(seq), 0) from record")?;
    statement.query_row((), |row| Ok(sequence(row)))?
}

/// Adds a record to the chain; `plan` is the one that it brings along.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    tail: Tail,
    line: &Line,
    plan: Option<&str>,
) -> Result<Tail, JournalError> {
    let seq = tail.seq + 1;
    let hash = link(&tail.hash, line.at.as_bytes(), line.body.as_bytes(), plan);
    transaction
        .prepare_cached("insert into record (seq, at, body, hash) values (?1, ?2, ?3, ?4)")?
        .execute((number(seq), &line.at, &line.body, &hash[..]))?;
    if let Some(plan) = plan {
        insert_plan(transaction, seq, plan)?;
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
    // Only these bring a plan along; asking for each record would be slow.
    let edits = body.starts_with(br#"{"record":"plan_edited""#);
    let plan = if edits { plan(connection, seq)? } else { None };
    let hash = link(&tail.hash, at, body, plan.as_deref());
    if hash[..] != *column(3)? {
        return Err(corrupt());
    }
    *tail = Tail { seq, hash };
    serde_json::from_slice(body).map_err(|_| JournalError::Corrupt { seq })
}

fn link(before: &Hash, at: &[u8], body: &[u8], plan: Option<&str>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(at).update(b"\n").update(body);
    if let Some(plan) = plan {
        hasher.update(b"\n").update(plan.as_bytes());
    }
    hasher.finalize().into()
}

fn plan(connection: &Connection, since: u64) -> Result<Option<String>, JournalError> {
    connection
        .query_row("select body from plan where since = ?1", (number(since),), |row| text(row, 0))
        .optional()
        .map_err(JournalError::from)
}

fn insert_plan(transaction: &Transaction<'_>, since: u64, body: &str) -> Result<(), JournalError> {
    transaction.execute("insert into plan (since, body) values (?1, ?2)", (number(since), body))?;
    Ok(())
}

/// The header without what comes from the plan.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    run_id: Cow<'a, RunId>,
    engine: Cow<'a, str>,
    facts: Cow<'a, Facts>,
}

/// What of the header comes from the plan: an edit replaces only this.
#[derive(Serialize, Deserialize)]
struct OfThePlan<'a> {
    plan_name: Cow<'a, str>,
    plan_path: Cow<'a, str>,
    databases: Cow<'a, BTreeMap<Server, DatabaseRef>>,
    settings: Cow<'a, Settings>,
    #[serde(default, skip_serializing_if = "no_capture")]
    capture: Cow<'a, Capture>,
    graph: Cow<'a, StepGraph>,
}

fn no_capture(capture: &Capture) -> bool {
    capture.is_empty()
}

fn rest_text(header: &RunHeader) -> Result<String, JournalError> {
    let RunHeader { run_id, engine, facts, .. } = header;
    let (run_id, engine) = (Cow::Borrowed(run_id), Cow::Borrowed(engine.as_str()));
    Ok(serde_json::to_string(&Rest { run_id, engine, facts: Cow::Borrowed(facts) })?)
}

pub(super) fn plan_text(header: &RunHeader) -> Result<String, JournalError> {
    let of_the_plan = OfThePlan {
        plan_name: Cow::Borrowed(&header.plan_name),
        plan_path: Cow::Borrowed(&header.plan_path),
        databases: Cow::Borrowed(&header.databases),
        settings: Cow::Borrowed(&header.settings),
        capture: Cow::Borrowed(&header.capture),
        graph: Cow::Borrowed(&header.graph),
    };
    Ok(serde_json::to_string(&of_the_plan)?)
}

fn join(rest: &str, plan: &str) -> Option<RunHeader> {
    let Rest { run_id, engine, facts } = serde_json::from_str(rest).ok()?;
    let OfThePlan { plan_name, plan_path, databases, settings, capture, graph } =
        serde_json::from_str(plan).ok()?;
    Some(RunHeader {
        run_id: run_id.into_owned(),
        engine: engine.into_owned(),
        plan_name: plan_name.into_owned(),
        plan_path: plan_path.into_owned(),
        databases: databases.into_owned(),
        settings: settings.into_owned(),
        facts: facts.into_owned(),
        capture: capture.into_owned(),
        graph: graph.into_owned(),
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
