//! What runs have left on a server, found without their journals: ledgers, change capture and
//! sessions.

use std::collections::BTreeMap;
use std::fmt;

use pgkedge_model::{Failure, FailureClass, Ident, Lsn, RunTag, Server};
use pgkedge_postgres::{Endpoint, Row, Sql};

use crate::replica::ReplayState;
use crate::sessions::{self, SessionSeen, is_tag};
use crate::slots::{drop_sql, insist};

/// What one run has left on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub server: Server,
    pub tag: RunTag,
    /// The ledger: its schema, and what it says of the run.
    pub ledger: Option<LedgerSeen>,
    /// Subscriptions, which read from a slot of another server.
    pub subscriptions: Vec<Ident>,
    /// Slots, which keep the server's log from being removed.
    pub slots: Vec<SlotSeen>,
    pub publications: Vec<Ident>,
    /// Where the replay of a replica is paused.
    pub paused_at: Option<Lsn>,
    /// Sessions that are still there.
    pub sessions: Vec<SessionSeen>,
}

/// A replication slot that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSeen {
    pub name: Ident,
    /// Log that the server keeps for it, as people write sizes.
    pub retained: String,
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
    fn empty(server: Server, tag: RunTag) -> Self {
        Self {
            server,
            tag,
            ledger: None,
            subscriptions: Vec::new(),
            slots: Vec::new(),
            publications: Vec::new(),
            paused_at: None,
            sessions: Vec::new(),
        }
    }

    /// The statements that remove it.
    pub fn sql(&self) -> Vec<String> {
        self.removals().concat()
    }

    /// The same for each object: first what keeps log and connections, the ledger last.
    fn removals(&self) -> Vec<Vec<String>> {
        let subscriptions = self.subscriptions.iter().map(|name| {
            vec![
                format!("alter subscription {name} disable"),
                format!("alter subscription {name} set (slot_name = none)"),
                format!("drop subscription if exists {name}"),
            ]
        });
        let slots = self.slots.iter().map(|slot| drop_sql(slot.name.as_str()).to_vec());
        let publication = |name| vec![format!("drop publication if exists {name}")];
        let publications = self.publications.iter().map(publication);
        let schema = |ledger: &LedgerSeen| vec![format!("drop schema {} cascade", ledger.schema)];
        let ledger = self.ledger.iter().map(schema);
        let resume = |_| vec!["select pg_catalog.pg_wal_replay_resume()".to_owned()];
        let replay = self.paused_at.iter().map(resume);
        replay.chain(subscriptions).chain(slots).chain(publications).chain(ledger).collect()
    }
}

/// For people: what is there, and of which run.
impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: run {}", self.server, self.tag)?;
        if let Some(ledger) = &self.ledger {
            write!(f, ", schema {}", ledger.schema)?;
        }
        for name in &self.subscriptions {
            write!(f, ", subscription {name}")?;
        }
        for slot in &self.slots {
            write!(f, ", slot {} (keeps {} of log)", slot.name, slot.retained)?;
        }
        for name in &self.publications {
            write!(f, ", publication {name}")?;
        }
        if let Some(lsn) = self.paused_at {
            write!(f, ", replay paused at {lsn}")?;
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
    let mut found = Found { server: session.server(), by_run: BTreeMap::new() };
    let state = ReplayState::read(session).await?;
    // A replica shows the objects of its primary, where they are found as well. They tell whose a
    // pause is: a run that pauses has its publications by then.
    if state.is_paused() {
        for (tag, _, _) in named(session, PUBLICATIONS).await? {
            found.of(tag).paused_at = Some(state.lsn);
        }
    }
    if !state.in_recovery {
        for (tag, ledger) in ledgers(session).await? {
            found.of(tag).ledger = Some(ledger);
        }
        for (tag, name, _) in named(session, SUBSCRIPTIONS).await? {
            found.of(tag).subscriptions.push(name);
        }
        for (tag, name, retained) in named(session, SLOTS).await? {
            found.of(tag).slots.push(SlotSeen { name, retained });
        }
        for (tag, name, _) in named(session, PUBLICATIONS).await? {
            found.of(tag).publications.push(name);
        }
    }
    let of_ours =
        "a.application_name like 'pgkedge:%' and a.datname = pg_catalog.current_database()";
    for seen in sessions::seen(session, of_ours).await? {
        if let Some(tag) = seen.tag() {
            found.of(tag).sessions.push(seen);
        }
    }
    Ok(found.by_run.into_values().collect())
}

struct Found {
    server: Server,
    by_run: BTreeMap<RunTag, Leftover>,
}

impl Found {
    fn of(&mut self, tag: RunTag) -> &mut Leftover {
        let empty = Leftover::empty(self.server, tag.clone());
        self.by_run.entry(tag).or_insert(empty)
    }
}

const SUBSCRIPTIONS: &str = "select s.subname, null from pg_catalog.pg_subscription s \
    join pg_catalog.pg_database d on d.oid = s.subdbid \
    where d.datname = pg_catalog.current_database() order by 1";

/// Temporary ones go with their sessions.
const SLOTS: &str = "select s.slot_name, pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff( \
    pg_catalog.pg_current_wal_lsn(), s.restart_lsn)) from pg_catalog.pg_replication_slots s \
    where s.database = pg_catalog.current_database() and not s.temporary order by 1";

const PUBLICATIONS: &str = "select p.pubname, null from pg_catalog.pg_publication p order by 1";

/// Objects that a query finds and whose names carry the tag of a run, with its second column.
async fn named(session: &Sql, query: &str) -> Result<Vec<(RunTag, Ident, String)>, Failure> {
    let rows = session.rows(query).await?;
    let ours = |row: &Row| {
        let name = row.get(0)?;
        let (of_what, tag) = name.strip_prefix("pgkedge_")?.rsplit_once('_')?;
        let is_ours = is_tag(tag) && !of_what.is_empty();
        let retained = row.get(1).unwrap_or("none").to_owned();
        Some((RunTag(tag.to_owned()), Ident::new(name).ok().filter(|_| is_ours)?, retained))
    };
    Ok(rows.iter().filter_map(ours).collect())
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
    for sql in now.removals() {
        insist(&session, &sql).await?;
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
