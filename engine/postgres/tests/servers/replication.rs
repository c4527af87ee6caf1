//! Connections in replication mode: who may open one, and what a slot exports through it.

use std::time::Duration;

use pgkedge_model::{FailureClass, Lsn, Server, TlsMode};
use pgkedge_postgres::{Endpoint, ExportedSnapshot, Replication, Sql};

use crate::cluster::{Cluster, cluster, endpoint, endpoint_with, value};

fn command(slot: &str) -> String {
    format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')")
}

async fn export(from: &Endpoint, slot: &str) -> (Replication, ExportedSnapshot) {
    let mut session = from.replication("pgkedge:1a2b3c4d:1:do").await.unwrap();
    let exported = session.create_slot(&command(slot)).await.unwrap();
    (session, exported)
}

async fn import(sql: &Sql, exported: &ExportedSnapshot) -> Result<(), pgkedge_model::Failure> {
    sql.execute("begin transaction isolation level repeatable read read only").await?;
    sql.execute(&format!("set transaction snapshot '{}'", exported.snapshot)).await
}

fn verified(cluster: &Cluster, rest: &str) -> Endpoint {
    let tls = Some((TlsMode::VerifyFull, Some(cluster.path("ca.crt"))));
    endpoint_with(Server::Source, &cluster.tcp(rest), tls, &[])
}

#[tokio::test]
async fn a_snapshot_is_exported_over_tls_with_a_bound_scram_login() {
    let cluster = cluster();
    let rest = "user=scrammer password='pass word' channel_binding=require";
    let endpoint = verified(&cluster, rest);
    let (session, exported) = export(&endpoint, "over_tls").await;
    assert!(exported.consistent_point > Lsn(0));
    let sql = endpoint.sql("pgkedge:read").await.unwrap();
    let seen = format!(
        "select a.application_name, s.ssl, a.backend_type, current_setting('wal_level') \
         from pg_stat_activity a join pg_stat_ssl s using (pid) where a.pid = {}",
        session.process_id()
    );
    let rows = sql.rows(&seen).await.unwrap();
    let row: Vec<_> = (0..4).map(|at| rows[0].get(at).unwrap()).collect();
    assert_eq!(row, ["pgkedge:1a2b3c4d:1:do", "t", "walsender", "logical"]);
    import(&sql, &exported).await.unwrap();
}

#[tokio::test]
async fn the_snapshot_shows_what_was_committed_before_and_no_more() {
    let cluster = cluster();
    let database = cluster.database("exported", "");
    cluster.psql(&database, "create table t (a int); insert into t values (1)");
    let endpoint = cluster.source(&database);
    let (session, exported) = export(&endpoint, "exported").await;
    cluster.psql(&database, "insert into t values (2)");
    let holder = endpoint.sql("pgkedge:read").await.unwrap();
    import(&holder, &exported).await.unwrap();
    assert_eq!(value(&holder, "select count(*) from public.t").await, "1");
    let late = endpoint.sql("pgkedge:read").await.unwrap();
    let slots = "select count(*) from pg_replication_slots where slot_name = 'exported'";
    assert_eq!(value(&late, slots).await, "1");
    drop(session);
    while value(&late, slots).await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(value(&holder, "select count(*) from public.t").await, "1");
    let failure = import(&late, &exported).await.unwrap_err();
    assert!(failure.message.contains("invalid snapshot"), "{failure:?}");
}

#[tokio::test]
async fn a_slot_waits_for_open_writers_and_can_be_cancelled() {
    let cluster = cluster();
    let database = cluster.database("waited_for", "");
    let endpoint = cluster.source(&database);
    let writer = endpoint.sql("pgkedge:read").await.unwrap();
    writer.execute("begin; create table public.t ()").await.unwrap();
    let mut session = endpoint.replication("pgkedge:1a2b3c4d:1:do").await.unwrap();
    let (canceller, pid) = (session.canceller(), session.process_id());
    let creating = async { session.create_slot(&command("waited_for")).await };
    let cancelling = async {
        let sql = endpoint.sql("pgkedge:read").await.unwrap();
        let blocked = format!("select 0 < cardinality(pg_blocking_pids({pid}))");
        while value(&sql, &blocked).await != "t" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        canceller.cancel().await.unwrap();
    };
    let (created, ()) = tokio::join!(creating, cancelling);
    assert_eq!(created.unwrap_err().class, FailureClass::Cancelled);
    writer.execute("rollback").await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused_as_elsewhere() {
    let cluster = cluster();
    let endpoint = verified(&cluster, "user=scrammer password='hunter2'");
    let failure = endpoint.replication("pgkedge:read").await.err().unwrap();
    assert_eq!(failure.class, FailureClass::Operator);
    assert_eq!(failure.sqlstate.as_deref(), Some("28P01"));
    assert!(!format!("{failure:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_role_without_replication_is_told_what_it_lacks() {
    let cluster = cluster();
    let endpoint = endpoint(Server::Source, &cluster.tcp("user=md5er password='md5 secret'"));
    let failure = endpoint.replication("pgkedge:read").await.err().unwrap();
    assert_eq!(failure.class, FailureClass::Operator);
    assert!(failure.message.contains("md5er may not open a replication connection"), "{failure:?}");
    assert_eq!(failure.help.as_deref(), Some("alter role md5er replication"));
}
