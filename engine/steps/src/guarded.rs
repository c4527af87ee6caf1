//! The transaction of a step's effect on the target: opens by reading the run's epoch, closes by
//! writing a ledger row for each member, so that a stale runner cannot commit and a step that did
//! commit is known by its rows.

use pgkedge_model::{Call, Failure, FailureClass};
use pgkedge_postgres::{Ledger, Row, Sql, Wire};

/// A session that can carry a guarded transaction.
pub(crate) trait Carrier: Send {
    fn execute(&mut self, sql: &str) -> impl Future<Output = Result<(), Failure>> + Send;
    fn rows(&mut self, sql: &str) -> impl Future<Output = Result<Vec<Row>, Failure>> + Send;
}

impl Carrier for Sql {
    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Self::execute(self, sql).await
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        Self::rows(self, sql).await
    }
}

impl Carrier for Wire {
    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Self::execute(self, sql).await
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        Self::rows(self, sql).await
    }
}

impl Guarded<'_, Sql> {
    /// Sends statements back to back; tells which one failed.
    pub(crate) async fn execute_all(&mut self, texts: &[String]) -> Result<(), (usize, Failure)> {
        self.carrier.execute_all(texts.iter().map(String::as_str)).await
    }
}

/// An open guarded transaction. Dropped without `commit` it is rolled back with its session.
pub(crate) struct Guarded<'a, C: Carrier> {
    carrier: &'a mut C,
    ledger: &'a Ledger,
}

impl<'a, C: Carrier> Guarded<'a, C> {
    /// Opens the transaction, or fails as fenced when a newer runner has taken the run.
    pub(crate) async fn begin(carrier: &'a mut C, ledger: &'a Ledger) -> Result<Self, Failure> {
        carrier.execute("begin").await?;
        let guarded = Self { carrier, ledger };
        match guarded.carrier.rows(&ledger.open_sql()).await {
            Ok(rows) if !rows.is_empty() => Ok(guarded),
            Ok(_) => {
                guarded.rollback().await;
                Err(fenced())
            }
            Err(failure) => {
                guarded.rollback().await;
                Err(if is_missing(&failure) { gone() } else { failure })
            }
        }
    }

    pub(crate) async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        self.carrier.execute(sql).await
    }

    /// The session, for a relay into it.
    pub(crate) fn carrier(&mut self) -> &mut C {
        self.carrier
    }

    /// Writes a ledger row for each member, and commits.
    pub(crate) async fn commit(
        self,
        call: &Call,
        members: &[(&str, Option<u64>)],
    ) -> Result<(), Failure> {
        let effects =
            self.ledger.effect_sql(&call.node.id.0, call.generation, call.attempt, members);
        self.finish(&effects).await
    }

    /// Sends a last statement, and commits.
    pub(crate) async fn finish(self, last: &str) -> Result<(), Failure> {
        if let Err(failure) = self.carrier.execute(last).await {
            self.rollback().await;
            return Err(failure);
        }
        self.carrier.execute("commit").await
    }

    /// Takes everything back. A session that cannot do that is closed by its pool.
    pub(crate) async fn rollback(self) {
        if let Err(failure) = self.carrier.execute("rollback").await {
            tracing::debug!(%failure, "the session of a failed transaction is gone");
        }
    }
}

/// Whether the ledger's schema or table is not there.
fn is_missing(failure: &Failure) -> bool {
    matches!(failure.sqlstate.as_deref(), Some("42P01" | "3F000"))
}

fn gone() -> Failure {
    Failure::new(
        FailureClass::Fenced,
        "the ledger of this run is gone: another runner has finished it or taken it back",
    )
    .help("this state is an old copy, or the target was made anew: start another run")
}

fn fenced() -> Failure {
    Failure::new(FailureClass::Fenced, "a newer runner has taken over this run")
        .help("follow that one with `pgkedge status`; this one has changed nothing since")
}
