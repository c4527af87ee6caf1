//! What runs have left on a server, found without their journals: ledgers and sessions.

use std::collections::BTreeMap;
use std::fmt;

use pgkedge_model::{Failure, FailureClass, Ident, RunTag, Server};
use pgkedge_postgres::{Endpoint, Sql};

use crate::sessions::{self, SessionSeen, is_tag};

/// What one run has left on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub server: Server,
    pub tag: RunTag,
    /// The ledger: its schema, and what it says of the run.
    pub ledger: Option<LedgerSeen>,
    /// Sessions that are still there.
    pub sessions: Vec<SessionSeen>,
}

/// A ledger that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSeen {
    pub schema: Ident,
    pub run_id: String,
    pub epoch: String,
    /// Rows of finished members.
    pub effects: String,
}

impl Leftover {
    /// The statements that remove it.
    pub fn sql(&self) -> Vec<String> {
        self.ledger.iter().map(|ledger| format!("drop schema {} cascade", ledger.schema)).collect()
    }
}

/// For people: what is there, and of which run.
impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: run {}", self.server, self.tag)?;
        if let Some(ledger) = &self.ledger {
            write!(f, ", schema {}", ledger.schema)?;
        }
        for session in &self.sessions {
            write!(f, ", {}", session.described())?;
        }
        Ok(())
    }
}

/// Whether a leftover may go while a session of its run lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveSessions {
    /// Nothing is dropped: a runner may be at work.
    Refuse,
    /// They are ended first.
    End,
}

/// Finds what runs have left on one server. Changes nothing.
pub async fn scan(endpoint: &Endpoint) -> Result<Vec<Leftover>, Failure> {
    found(&endpoint.sql("pgkedge:read").await?).await
}

/// As `scan`, over an open session.
pub(crate) async fn found(session: &Sql) -> Result<Vec<Leftover>, Failure> {
    let server = session.server();
    let mut found: BTreeMap<RunTag, Leftover> = BTreeMap::new();
    let empty = |tag: RunTag| Leftover { server, tag, ledger: None, sessions: Vec::new() };
    for (tag, ledger) in ledgers(session).await? {
        found.entry(tag.clone()).or_insert_with(|| empty(tag)).ledger = Some(ledger);
    }
    let of_ours =
        "a.application_name like 'pgkedge:%' and a.datname = pg_catalog.current_database()";
    for seen in sessions::seen(session, of_ours).await? {
        let Some(tag) = seen.tag() else { continue };
        found.entry(tag.clone()).or_insert_with(|| empty(tag)).sessions.push(seen);
    }
    Ok(found.into_values().collect())
}

/// Removes what one run has left on one server.
pub async fn remove(
    endpoint: &Endpoint,
    leftover: &Leftover,
    live: LiveSessions,
) -> Result<(), Failure> {
    let session = endpoint.sql("pgkedge:cleanup").await?;
    let now = scan(endpoint).await?;
    let Some(now) = now.into_iter().find(|found| found.tag == leftover.tag) else { return Ok(()) };
    if !now.sessions.is_empty() {
        match live {
            LiveSessions::Refuse => return Err(in_use(&now)),
            LiveSessions::End => sessions::terminate(&session, &now.sessions).await?,
        }
    }
    for sql in now.sql() {
        session.execute(&sql).await?;
    }
    Ok(())
}

fn in_use(leftover: &Leftover) -> Failure {
    let message = format!(
        "run {} still has sessions on the {}, so nothing of it was dropped",
        leftover.tag, leftover.server
    );
    leftover
        .sessions
        .iter()
        .fold(Failure::new(FailureClass::Blocked, message), |failure, seen| {
            failure.detail(seen.described())
        })
        .help("stop its runner; if there is none any more, repeat with `--end-sessions`")
}

/// Schemas that are named like a ledger and have a ledger's tables.
async fn ledgers(session: &Sql) -> Result<Vec<(RunTag, LedgerSeen)>, Failure> {
    let rows = session
        .rows(
            "select n.nspname from pg_catalog.pg_namespace n \
             where n.nspname ~ '^pgkedge_[0-9a-f]{8}$' and 2 = ( \
             select pg_catalog.count(*) from pg_catalog.pg_class c \
             where c.relnamespace = n.oid and c.relkind = 'r' and c.relname in ('run', 'effect')) \
             order by n.nspname",
        )
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        let name = row.get(0).unwrap_or_default();
        let tag = name.trim_start_matches("pgkedge_");
        let Ok(schema) = Ident::new(name) else { continue };
        if is_tag(tag) {
            found.push((RunTag(tag.to_owned()), read_ledger(session, schema).await?));
        }
    }
    Ok(found)
}

async fn read_ledger(session: &Sql, schema: Ident) -> Result<LedgerSeen, Failure> {
    let rows = session
        .rows(&format!(
            "select run_id, epoch, (select pg_catalog.count(*) from {schema}.effect) \
             from {schema}.run"
        ))
        .await?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at)).unwrap_or("unknown").to_owned();
    Ok(LedgerSeen { run_id: text(0), epoch: text(1), effects: text(2), schema })
}
