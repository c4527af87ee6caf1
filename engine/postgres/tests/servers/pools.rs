//! What a pool keeps, and what it closes.

use std::time::Duration;

use pgkedge_model::FailureClass;
use pgkedge_postgres::{Pool, Sql};

use crate::cluster::{cluster, value};

async fn process(sql: &Sql) -> String {
    value(sql, "select pg_backend_pid()").await
}

#[tokio::test]
async fn a_clean_connection_is_used_again_and_any_other_is_closed() {
    let cluster = cluster();
    let pool = Pool::new(cluster.source("postgres"), "pgkedge:read".into(), 2);
    let first = process(&pool.sql().await.unwrap()).await;
    {
        let sql = pool.sql().await.unwrap();
        assert_eq!(process(&sql).await, first);
        sql.execute("begin").await.unwrap();
    }
    let second = process(&pool.sql().await.unwrap()).await;
    assert_ne!(second, first);
    {
        let sql = pool.sql().await.unwrap();
        let sleep = sql.execute("select pg_sleep(1)");
        tokio::time::timeout(Duration::from_millis(50), sleep).await.unwrap_err();
    }
    assert_ne!(process(&pool.sql().await.unwrap()).await, second);
}

#[tokio::test]
async fn a_wire_in_a_transaction_is_closed() {
    let cluster = cluster();
    let pool = Pool::new(cluster.source("postgres"), "pgkedge:read".into(), 1);
    let first = pool.wire(None).await.unwrap().process_id();
    assert_eq!(pool.wire(Some("UTF8")).await.unwrap().process_id(), first);
    pool.wire(None).await.unwrap().execute("begin").await.unwrap();
    assert_ne!(pool.wire(None).await.unwrap().process_id(), first);
}

#[tokio::test]
async fn a_pool_never_opens_more_than_its_size() {
    let cluster = cluster();
    let name = "pgkedge:limited:read";
    let pool = Pool::new(cluster.source("postgres"), name.into(), 2);
    let count = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
    let (one, two) = (pool.sql().await.unwrap(), pool.sql().await.unwrap());
    let third = tokio::time::timeout(Duration::from_millis(100), pool.sql()).await;
    assert!(third.is_err(), "the third must wait");
    drop((one, two));
    let (mut wire, _other) =
        (pool.wire(None).await.unwrap(), pool.wire(Some("LATIN1")).await.unwrap());
    // Sessions that were told goodbye may take a moment to leave.
    for _ in 0..50 {
        let rows = wire.rows(&count).await.unwrap();
        if rows[0].get(0) == Some("2") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("more than two sessions are open");
}

#[tokio::test]
async fn all_queries_on_loan_can_be_cancelled() {
    let cluster = cluster();
    let pool = Pool::new(cluster.source("postgres"), "pgkedge:read".into(), 2);
    let (sql, mut wire) = (pool.sql().await.unwrap(), pool.wire(None).await.unwrap());
    let sleep = "select pg_sleep(60)";
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        pool.cancel_all().await;
    };
    let (one, two, ()) = tokio::join!(sql.execute(sleep), wire.execute(sleep), cancel);
    assert_eq!(one.unwrap_err().class, FailureClass::Cancelled);
    assert_eq!(two.unwrap_err().class, FailureClass::Cancelled);
}
