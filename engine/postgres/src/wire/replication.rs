//! A connection in replication mode: the only one that can export the snapshot of a slot.

use pgkedge_model::{Failure, FailureClass, Lsn};

use super::login::{self, Purpose};
use super::{State, Wire};
use crate::cancel::Canceller;
use crate::endpoint::Login;
use crate::row::Row;

/// A session that takes commands of the replication protocol.
///
/// It belongs to the database of its url. What it has exported lasts until its next
/// command, whatever that is.
pub struct Replication(Wire);

/// The snapshot of a slot, from the moment on at which its changes begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedSnapshot {
    /// The slot carries every transaction that commits after it; the snapshot shows all others.
    pub consistent_point: Lsn,
    /// For `set transaction snapshot`.
    pub snapshot: String,
}

impl Replication {
    pub(crate) async fn open(login: Login<'_>) -> Result<Self, Failure> {
        let opened = login::open(&login, Purpose::Replication).await;
        opened.map(Self).map_err(|failure| explained(failure, &login))
    }

    /// Sends a `CREATE_REPLICATION_SLOT` that exports its snapshot. The server waits until all
    /// transactions that write now are over. A temporary slot and the snapshot go with the session.
    pub async fn create_slot(&mut self, command: &str) -> Result<ExportedSnapshot, Failure> {
        let rows = self.0.rows(command).await?;
        exported(rows.first())
            .ok_or_else(|| self.0.broken("the slot was created, but its snapshot was not exported"))
    }

    /// Cancels what this session does, from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.0.canceller()
    }

    /// The process of the session, as `pg_stat_activity` names it.
    pub fn process_id(&self) -> i32 {
        self.0.process_id()
    }

    /// Whether it is known to be lost, and what it exported with it.
    pub fn is_closed(&self) -> bool {
        self.0.state == State::Broken
    }
}

/// Reads the answer: the slot, its consistent point, the snapshot, the plugin.
fn exported(row: Option<&Row>) -> Option<ExportedSnapshot> {
    let row = row?;
    let consistent_point = row.get(1)?.parse().ok()?;
    Some(ExportedSnapshot { consistent_point, snapshot: row.get(2)?.to_owned() })
}

/// The server says the same of every privilege: here it can only be one.
fn explained(failure: Failure, login: &Login<'_>) -> Failure {
    let user = &login.route.user;
    match failure.sqlstate.as_deref() {
        Some("42501") => {
            let message = format!(
                "{}: {user} may not open a replication connection, which exports the snapshot of \
                 a slot",
                login.server()
            );
            let said = failure.message;
            Failure { class: FailureClass::Operator, message, ..failure }
                .detail(said)
                .help(format!("alter role {} replication", quoted(user)))
        }
        Some("53300") if failure.message.contains("max_wal_senders") => failure.help(format!(
            "raise max_wal_senders of the {}, or end a walsender that nobody needs",
            login.server()
        )),
        _ => failure,
    }
}

fn quoted(user: &str) -> String {
    pgkedge_model::Ident::new(user).map_or_else(|_| user.to_owned(), |ident| ident.to_string())
}
