use std::time::Duration;

use pgkedge_model::{FailureClass, FenceError, Performer as _, Server};
use pgkedge_postgres::Endpoint;
use pgkedge_steps::{LiveSessions, remove, scan};
use serde_json::json;

use crate::cluster::Cluster;
use crate::moving::{Run, endpoint, psql};

struct Databases {
    cluster: Cluster,
}

impl Databases {
    fn start() -> Option<Self> {
        let cluster = Cluster::start()?;
        psql(&cluster, "postgres", &["-c", "create database a", "-c", "create database b"]);
        Some(Self { cluster })
    }

    fn source(&self) -> Endpoint {
        endpoint(&self.cluster, Server::Source, "a", "postgres")
    }

    fn target(&self) -> Endpoint {
        endpoint(&self.cluster, Server::Target, "b", "postgres")
    }

    async fn take(&self, epoch: u64) -> Run {
        Run::take(self.source(), self.target(), epoch).await
    }

    async fn try_take(&self, tag: &str, epoch: u64) -> Result<Run, FenceError> {
        Run::try_take(tag, self.source(), self.target(), epoch).await
    }
}

#[tokio::test]
async fn a_target_takes_one_runner_and_says_who_holds_it() {
    let Some(databases) = Databases::start() else { return };
    let first = databases.take(1).await;
    let Err(FenceError::Held { holder }) = databases.try_take("0000beef", 1).await else {
        panic!("two runners hold one target")
    };
    assert!(holder.contains("`pgkedge:deadbeef:1:lock`"), "{holder}");
    assert!(holder.ends_with("on the target"), "{holder}");
    drop(first);
    databases.try_take("0000beef", 1).await.unwrap();
}

#[tokio::test]
async fn taking_a_run_ends_the_sessions_of_its_earlier_runners() {
    let Some(databases) = Databases::start() else { return };
    let mut run = databases.take(1).await;
    run.perform("create_ledger", json!({})).await.unwrap();
    let left = databases.target().sql("pgkedge:deadbeef:1:do").await.unwrap();
    let other = databases.target().sql("pgkedge:0000beef:1:do").await.unwrap();
    drop(run);
    let run = databases.take(2).await;
    assert!(left.execute("select 1").await.is_err());
    other.execute("select 1").await.unwrap();
    drop(run);
    assert!(matches!(databases.try_take("deadbeef", 1).await, Err(FenceError::Stale)));
}

#[tokio::test]
async fn a_stale_runner_commits_nothing() {
    let Some(databases) = Databases::start() else { return };
    let mut run = databases.take(1).await;
    run.perform("create_ledger", json!({})).await.unwrap();
    run.perform("sql", json!({ "run": "create table public.before ()" })).await.unwrap();
    psql(&databases.cluster, "b", &["-c", "update pgkedge_deadbeef.run set epoch = 2"]);
    let late = json!({ "run": "create table public.late ()" });
    let failure = run.perform("sql", late).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Fenced);
    let sql = databases.target().sql("pgkedge:read").await.unwrap();
    let rows = sql.rows("select tablename from pg_tables where schemaname = 'public'").await;
    let rows = rows.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<_>>(), [Some("before")]);
}

#[tokio::test]
async fn a_lost_lock_is_noticed() {
    let Some(databases) = Databases::start() else { return };
    let run = databases.take(1).await;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity \
               where application_name like '%:lock' and datname = 'b'";
    psql(&databases.cluster, "postgres", &["-c", end]);
    let lost = tokio::time::timeout(Duration::from_secs(20), run.guard.lost()).await.unwrap();
    assert!(lost.to_string().contains("on the target was lost"), "{lost}");
}

#[tokio::test]
async fn a_cancelled_step_ends_at_once_and_leaves_nothing() {
    let Some(databases) = Databases::start() else { return };
    let mut run = databases.take(1).await;
    run.perform("create_ledger", json!({})).await.unwrap();
    let performer = std::sync::Arc::clone(&run.performer);
    let slow = json!({ "run": "create table public.t (); select pg_catalog.pg_sleep(60)" });
    let (ended, ()) = tokio::join!(run.perform("sql", slow), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        performer.cancel();
    });
    assert_eq!(ended.unwrap_err().class, FailureClass::Cancelled);
    run.perform("sql", json!({ "run": "create table public.t ()" })).await.unwrap();
}

#[tokio::test]
async fn what_a_run_left_is_found_and_removed() {
    let Some(databases) = Databases::start() else { return };
    let mut run = databases.take(1).await;
    run.perform("create_ledger", json!({})).await.unwrap();
    let target = databases.target();
    let found = scan(&target).await.unwrap();
    let [left] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(left.tag.0, "deadbeef");
    assert_eq!(left.sql(), ["drop schema pgkedge_deadbeef cascade"]);
    let refused = remove(&target, left, LiveSessions::Refuse).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Blocked);
    drop(run);
    remove(&target, left, LiveSessions::End).await.unwrap();
    assert!(scan(&target).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_step_whose_reply_was_lost_is_found_to_be_done() {
    let Some(databases) = Databases::start() else { return };
    let mut run = databases.take(1).await;
    run.perform("create_ledger", json!({})).await.unwrap();
    run.perform("sql", json!({ "run": "create table public.t ()" })).await.unwrap();
    run.probe_all().await;
    run.perform_again().await.unwrap();
    run.perform("drop_ledger", json!({})).await.unwrap();
    assert!(scan(&databases.target()).await.unwrap().iter().all(|left| left.ledger.is_none()));
}
