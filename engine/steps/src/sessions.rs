//! Sessions of pgkedge on a server: seen in `pg_stat_activity`, described, ended.

use pgkedge_model::{Epoch, Failure, RunTag};
use pgkedge_postgres::Sql;

/// A session, as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSeen {
    pub pid: String,
    /// `pgkedge:<run>:<epoch>:<job>` for sessions of a run.
    pub application: String,
    /// None for a local socket.
    pub client: Option<String>,
    pub since: String,
}

impl SessionSeen {
    /// The run that it belongs to.
    pub fn tag(&self) -> Option<RunTag> {
        let tag = self.application.strip_prefix("pgkedge:")?.split(':').next()?;
        is_tag(tag).then(|| RunTag(tag.to_owned()))
    }

    /// The runner that it belongs to.
    pub fn epoch(&self) -> Option<Epoch> {
        self.application.strip_prefix("pgkedge:")?.split(':').nth(1)?.parse().ok().map(Epoch)
    }

    /// For people: who, from where, since when.
    pub fn described(&self) -> String {
        let client = self.client.as_deref().unwrap_or("the server itself");
        format!(
            "session {} (`{}`, from {client}, since {})",
            self.pid, self.application, self.since
        )
    }
}

/// Whether a text is the tag of a run.
pub(crate) fn is_tag(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Sessions that a condition on `pg_stat_activity a` holds for, oldest first.
pub(crate) async fn seen(session: &Sql, condition: &str) -> Result<Vec<SessionSeen>, Failure> {
    let rows = session
        .rows(&format!(
            "select a.pid, a.application_name, pg_catalog.host(a.client_addr), a.backend_start \
             from pg_catalog.pg_stat_activity a \
             where a.pid <> pg_catalog.pg_backend_pid() and ({condition}) \
             order by a.backend_start, a.pid"
        ))
        .await?;
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Ok(rows
        .iter()
        .map(|row| SessionSeen {
            pid: text(row.get(0)),
            application: text(row.get(1)),
            client: row.get(2).map(str::to_owned),
            since: text(row.get(3)),
        })
        .collect())
}

/// Tells sessions to end. It takes the role that opened them, or `pg_signal_backend`.
pub(crate) async fn terminate(session: &Sql, older: &[SessionSeen]) -> Result<(), Failure> {
    let pids: Vec<&str> = older.iter().map(|seen| seen.pid.as_str()).collect();
    session
        .execute(&format!(
            "select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a \
             where a.pid in ({})",
            pids.join(", ")
        ))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(application: &str) -> SessionSeen {
        let (pid, since) = ("7".to_owned(), "2026-11-20 08:00:00+00".to_owned());
        SessionSeen { pid, application: application.to_owned(), client: None, since }
    }

    #[test]
    fn a_session_of_a_run_tells_its_run_and_epoch() {
        let session = seen("pgkedge:1a2b3c4d:7:do");
        assert_eq!(session.tag(), Some(RunTag("1a2b3c4d".into())));
        assert_eq!(session.epoch(), Some(Epoch(7)));
    }

    #[test]
    fn a_session_outside_of_runs_has_neither() {
        for application in ["pgkedge:read", "psql", "pgkedge:XYZ:1:do"] {
            assert_eq!(seen(application).tag(), None, "{application}");
        }
    }
}
