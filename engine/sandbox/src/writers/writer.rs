//! One writer: a session where it is let in, transaction after transaction, and what became of each.

use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{Failure, Server};
use pgkedge_postgres::Sql;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Shared;
use super::operations::{Ending, Maker, Work};
use super::tally::Outcome;
use crate::application::Application;

/// Between two attempts to get in.
const PATIENCE: Duration = Duration::from_millis(10);
/// A prepared transaction stands for so many milliseconds at most before it is committed.
const LONGEST_PHASE: u64 = 20;

pub(crate) struct Writer {
    pub(crate) maker: Maker,
    /// Transactions a second, of all writers together.
    pub(crate) rate: u32,
    pub(crate) application: Application,
    pub(crate) shared: Arc<Shared>,
    pub(crate) session: Option<Sql>,
}

impl Writer {
    /// Works until it is told to stop.
    pub(crate) async fn run(mut self) {
        let of_all = Duration::from_secs(1).checked_div(self.rate.max(1));
        let mut pace = interval(of_all.unwrap_or_default() * self.maker.writers);
        // What came late is made up for, but not what nobody could do.
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !self.shared.is_over() {
            if let Some(session) = self.session.take() {
                pace.tick().await;
                self.session = self.transact(session).await;
            } else {
                self.session = self.enter().await;
                pace.reset();
            }
        }
    }

    /// Gets into the source, else into the target; where both refuse, waits a little.
    async fn enter(&mut self) -> Option<Sql> {
        let name = format!("dvd-rental writer {}", self.maker.writer);
        if let Ok(session) = self.application.source.sql(&name).await {
            return self.settled_phases(session).await.ok();
        }
        if let Ok(session) = self.application.target.sql(&name).await
            && session.rows("select 1 from writers.log limit 1").await.is_ok()
        {
            self.shared.tally().arrive();
            self.shared.admitted().await;
            return Some(session);
        }
        sleep(PATIENCE).await;
        None
    }

    /// Commits what it had prepared when it lost its session.
    async fn settled_phases(&self, session: Sql) -> Result<Sql, Failure> {
        let prefix = format!("writer-{}-", self.maker.writer);
        let open = format!(
            "select gid from pg_prepared_xacts where database = current_database() \
             and starts_with(gid, '{prefix}')"
        );
        for row in session.rows(&open).await? {
            let gid = row.get(0).unwrap_or_default();
            session.execute(&format!("commit prepared '{gid}'")).await?;
            if let Some(number) = gid.strip_prefix(&prefix).and_then(|text| text.parse().ok()) {
                self.settle(number, Outcome::Committed, session.server());
            }
        }
        Ok(session)
    }

    /// One transaction. Returns the session, if it is still good.
    async fn transact(&mut self, session: Sql) -> Option<Sql> {
        let number = self.maker.number;
        let work = self.maker.work();
        self.maker.number += 1;
        match work.ending {
            Ending::Commit => self.committed(session, number, &work).await,
            Ending::Rollback => self.taken_back(session, number, &work).await,
            Ending::TwoPhases => self.prepared(session, number, &work).await,
        }
    }

    async fn committed(&self, session: Sql, number: u64, work: &Work) -> Option<Sql> {
        let answer = session.execute(&self.transaction(number, work, "commit")).await;
        match answer {
            Ok(()) => {
                self.settle(number, Outcome::Committed, session.server());
                Some(session)
            }
            Err(failure) => self.failed(session, number, &failure).await,
        }
    }

    async fn taken_back(&self, session: Sql, number: u64, work: &Work) -> Option<Sql> {
        let answer = session.execute(&self.transaction(number, work, "rollback")).await;
        self.settle(number, Outcome::Refused, session.server());
        match answer {
            Ok(()) => Some(session),
            Err(_) => rolled_back(session).await,
        }
    }

    async fn prepared(&mut self, session: Sql, number: u64, work: &Work) -> Option<Sql> {
        let gid = format!("writer-{}-{number}", self.maker.writer);
        let prepare = format!("prepare transaction '{gid}'");
        let answer = session.execute(&self.transaction(number, work, &prepare)).await;
        if let Err(failure) = answer {
            return self.failed(session, number, &failure).await;
        }
        // Until it is committed, whoever ends it decides what becomes of it.
        self.settle(number, Outcome::InDoubt, session.server());
        sleep(Duration::from_millis(self.maker.random.below(LONGEST_PHASE))).await;
        session.execute(&format!("commit prepared '{gid}'")).await.ok()?;
        self.settle(number, Outcome::Committed, session.server());
        Some(session)
    }

    /// The whole text goes out at once, so that a lost connection leaves nothing half sent.
    fn transaction(&self, number: u64, work: &Work, ending: &str) -> String {
        let Maker { writer, .. } = self.maker;
        format!(
            "begin; {work}; \
             insert into writers.log (writer, number) values ({writer}, {number}); \
             insert into writers.trace (writer, number) values ({writer}, {number}); \
             insert into writers.counter as kept (writer, transactions) values ({writer}, 1) \
             on conflict (writer) do update set transactions = kept.transactions + 1; \
             {ending}",
            work = work.statements,
        )
    }

    async fn failed(&self, session: Sql, number: u64, failure: &Failure) -> Option<Sql> {
        if is_lost(failure) {
            self.settle(number, Outcome::InDoubt, session.server());
            return None;
        }
        self.settle(number, Outcome::Refused, session.server());
        let sqlstate = failure.sqlstate.clone().unwrap_or_default();
        tracing::debug!(%failure, "a writer was refused");
        *self.shared.tally().refusals.entry(sqlstate).or_default() += 1;
        rolled_back(session).await
    }

    fn settle(&self, number: u64, outcome: Outcome, server: Server) {
        self.shared.tally().settle((self.maker.writer, number), outcome, server);
    }
}

async fn rolled_back(session: Sql) -> Option<Sql> {
    session.execute("rollback").await.ok().map(|()| session)
}

/// Whether the session ended before the server's word on the transaction came.
fn is_lost(failure: &Failure) -> bool {
    failure.sqlstate.as_deref().is_none_or(|sqlstate| {
        sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate.starts_with("XX")
    })
}
