//! Keeps all but one runner from a run: advisory locks on the servers, the epoch in the ledger, and
//! the end of the sessions that earlier runners have left.

use std::collections::BTreeMap;
use std::time::Duration;

use pgkedge_model::{
    BoxFuture, Epoch, Failure, FailureClass, Fence, FenceError, FenceGuard, RunHeader, RunId,
    RunTag, Server, quote_literal,
};
use pgkedge_postgres::{Endpoint, Sql};

use crate::context::{SharedEpoch, application, ledger};
use crate::identity;
use crate::sessions::{self, SessionSeen};

/// `pgke` in ASCII: the upper half of every advisory lock key of ours.
const NAMESPACE: u32 = 0x7067_6b65;
/// The lower half on a target, which takes one runner at a time, of whatever run.
const TARGET: u32 = 0;
/// How often a lock is tried again: the sessions of a killed runner need a moment to end.
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// How often a held lock is looked at.
const WATCH: Duration = Duration::from_secs(5);
/// How long an old session has to end after it was told to.
const ENDING: Duration = Duration::from_mins(1);

/// How a run is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Unless another runner holds it.
    IfFree,
    /// From whoever holds it: a runner that was stopped, or cannot be reached.
    TakeOver,
}

/// The fence over the servers of a run.
pub struct ServerFence {
    endpoints: BTreeMap<Server, Endpoint>,
    epoch: SharedEpoch,
    claim: Claim,
}

impl ServerFence {
    /// `epoch` is the cell that the run's `StepPerformer` reads.
    pub fn new(endpoints: BTreeMap<Server, Endpoint>, epoch: SharedEpoch, claim: Claim) -> Self {
        Self { endpoints, epoch, claim }
    }

    async fn take(&self, run: &RunHeader, epoch: Epoch) -> Result<Held, FenceError> {
        if self.claim == Claim::TakeOver {
            self.end_holder(run, epoch).await?;
        }
        let mut locks = Vec::new();
        for server in [Server::Source, Server::Target] {
            let Some(endpoint) = self.endpoints.get(&server) else { continue };
            let session = endpoint
                .sql(&application(&run.run_id, epoch, "lock"))
                .await
                .map_err(FenceError::Failed)?;
            if let Some(catalog) = run.facts.catalog(server) {
                identity::compare(&session, catalog).await.map_err(FenceError::Failed)?;
            }
            lock(&session, &run.run_id).await?;
            locks.push((server, session));
        }
        for (server, session) in &locks {
            if *server == Server::Target {
                raise_epoch(session, &run.run_id, epoch).await?;
            }
        }
        for endpoint in self.endpoints.values() {
            end_older(endpoint, &run.run_id, epoch).await?;
        }
        self.epoch.set(epoch);
        Ok(Held { locks })
    }

    /// Keeps the present holder from committing, then ends its sessions, and its locks with them.
    async fn end_holder(&self, run: &RunHeader, epoch: Epoch) -> Result<(), FenceError> {
        if let Some(target) = self.endpoints.get(&Server::Target) {
            let session = target
                .sql(&application(&run.run_id, epoch, "lock"))
                .await
                .map_err(FenceError::Failed)?;
            // The epoch waits for an open transaction of the holder, which ends with its session.
            tokio::try_join!(
                raise_epoch(&session, &run.run_id, epoch),
                end_older(target, &run.run_id, epoch)
            )?;
        }
        for endpoint in self.endpoints.values() {
            end_older(endpoint, &run.run_id, epoch).await?;
        }
        Ok(())
    }
}

impl Fence for ServerFence {
    fn acquire<'a>(
        &'a self,
        run: &'a RunHeader,
        epoch: Epoch,
    ) -> BoxFuture<'a, Result<Box<dyn FenceGuard>, FenceError>> {
        Box::pin(async move {
            let held = self.take(run, epoch).await?;
            Ok(Box::new(held) as Box<dyn FenceGuard>)
        })
    }
}

/// The sessions that hold the locks. Dropping them lets go.
struct Held {
    locks: Vec<(Server, Sql)>,
}

impl FenceGuard for Held {
    fn lost(&self) -> BoxFuture<'_, FenceError> {
        Box::pin(async move {
            loop {
                tokio::time::sleep(WATCH).await;
                for (server, session) in &self.locks {
                    if let Err(cause) = session.execute("select 1").await {
                        return FenceError::Failed(lost(*server, &cause));
                    }
                }
            }
        })
    }
}

fn lost(server: Server, cause: &Failure) -> Failure {
    let message = format!("the session that holds this run on the {server} was lost");
    Failure::new(FailureClass::Transient, message)
        .detail(cause.message.clone())
        .help("`pgkedge resume` takes the run again")
}

/// Takes the lock of a session's server with it.
async fn lock(session: &Sql, run: &RunId) -> Result<(), FenceError> {
    let key = lock_key(session.server(), &run.tag());
    for attempt in 1..=TRIES {
        if try_lock(session, key).await.map_err(FenceError::Failed)? {
            return Ok(());
        }
        if attempt < TRIES {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }
    let holder = holder(session, key).await.map_err(FenceError::Failed)?;
    let server = session.server();
    Err(FenceError::Held {
        holder: holder.map_or_else(
            || format!("a session on the {server} that this role may not see"),
            |holder| format!("{} on the {server}", holder.described()),
        ),
    })
}

/// Runs exclude one another by run on the source, and altogether on a target.
fn lock_key(server: Server, tag: &RunTag) -> (u32, u32) {
    match server {
        Server::Target => (NAMESPACE, TARGET),
        Server::Source | Server::Replica => {
            (NAMESPACE, u32::from_str_radix(&tag.0, 16).unwrap_or(u32::MAX))
        }
    }
}

async fn try_lock(session: &Sql, (high, low): (u32, u32)) -> Result<bool, Failure> {
    let key = (u64::from(high) << 32 | u64::from(low)).cast_signed();
    let rows = session
        .rows(&format!("select pg_catalog.pg_try_advisory_lock({key}::pg_catalog.int8)"))
        .await?;
    Ok(rows.first().and_then(|row| row.get(0)) == Some("t"))
}

async fn holder(session: &Sql, (high, low): (u32, u32)) -> Result<Option<SessionSeen>, Failure> {
    let locks = format!(
        "select l.pid from pg_catalog.pg_locks l \
         join pg_catalog.pg_database d on d.oid = l.database \
         where l.locktype = 'advisory' and l.granted and l.objsubid = 1 \
         and l.classid = {high} and l.objid = {low} \
         and d.datname = pg_catalog.current_database()"
    );
    let seen = sessions::seen(session, &format!("a.pid in ({locks})")).await?;
    Ok(seen.into_iter().next())
}

/// Raises the epoch in the ledger, if there is one: no older runner can commit from here on.
async fn raise_epoch(session: &Sql, run: &RunId, epoch: Epoch) -> Result<(), FenceError> {
    match ledger(run, epoch).bump_epoch(session).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == FailureClass::Fenced => Err(FenceError::Stale),
        Err(failure) => Err(FenceError::Failed(failure)),
    }
}

/// Ends the sessions of older runners on one server, and waits until they are gone.
async fn end_older(endpoint: &Endpoint, run: &RunId, epoch: Epoch) -> Result<(), FenceError> {
    let session =
        endpoint.sql(&application(run, epoch, "read")).await.map_err(FenceError::Failed)?;
    let deadline = tokio::time::Instant::now() + ENDING;
    loop {
        let older =
            older_sessions(&session, &run.tag(), epoch).await.map_err(FenceError::Failed)?;
        if older.is_empty() {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(FenceError::Failed(still_there(endpoint.server(), &older)));
        }
        sessions::terminate(&session, &older).await.map_err(FenceError::Failed)?;
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

async fn older_sessions(
    session: &Sql,
    tag: &RunTag,
    epoch: Epoch,
) -> Result<Vec<SessionSeen>, Failure> {
    let prefix = quote_literal(&format!("pgkedge:{tag}:"));
    let of_run = format!("pg_catalog.starts_with(a.application_name, {prefix})");
    let of_run = if session.server_version().major() >= 11 {
        of_run
    } else {
        format!("pg_catalog.strpos(a.application_name, {prefix}) = 1")
    };
    let seen = sessions::seen(session, &of_run).await?;
    Ok(seen.into_iter().filter(|seen| seen.epoch().is_some_and(|of| of < epoch)).collect())
}

fn still_there(server: Server, older: &[SessionSeen]) -> Failure {
    let failure = Failure::new(
        FailureClass::Operator,
        format!("sessions of an earlier runner are still at work on the {server}"),
    );
    older
        .iter()
        .fold(failure, |failure, seen| failure.detail(seen.described()))
        .help("end them with pg_terminate_backend as a role that may, then `pgkedge resume`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_takes_one_runner_and_a_source_one_for_each_run() {
        let (a, b) = (RunTag("0000000a".into()), RunTag("0000000b".into()));
        assert_eq!(lock_key(Server::Target, &a), lock_key(Server::Target, &b));
        assert_ne!(lock_key(Server::Source, &a), lock_key(Server::Source, &b));
        assert_eq!(lock_key(Server::Source, &a), (0x7067_6b65, 10));
    }
}
