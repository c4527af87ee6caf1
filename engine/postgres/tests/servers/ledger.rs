//! The ledger, and how it keeps an older runner out.

use std::time::Duration;

use pgkedge_model::{Epoch, FailureClass, RunId};
use pgkedge_postgres::Ledger;

use crate::cluster::cluster;

#[tokio::test]
async fn effects_are_found_and_a_newer_runner_fences_the_older() {
    let cluster = cluster();
    let database = cluster.database("ledger", "");
    let sql = cluster.target(&database).sql("pgkedge:x:1:do").await.unwrap();
    let newer_sql = cluster.target(&database).sql("pgkedge:x:2:do").await.unwrap();
    let run = RunId("01932c07-0000-7000-8000-0000deadbeef".into());
    let (older, newer) = (Ledger::new(&run, Epoch(1)), Ledger::new(&run, Epoch(2)));
    assert!(!older.bump_epoch(&sql).await.unwrap(), "there is no ledger yet");
    sql.execute(&older.create_sql().join(";\n")).await.unwrap();
    assert!(older.exists(&sql).await.unwrap());

    sql.execute("begin").await.unwrap();
    older.guard(&sql).await.unwrap();
    let effects = [("public.it's", Some(7)), ("b", None)];
    sql.execute(&older.effect_sql("load/copy", 0, 1, &effects)).await.unwrap();
    // A take-over waits for the open transaction.
    let bump = newer.bump_epoch(&newer_sql);
    tokio::pin!(bump);
    tokio::time::timeout(Duration::from_millis(200), &mut bump).await.unwrap_err();
    sql.execute("commit").await.unwrap();
    assert!(bump.await.unwrap());

    let found = newer.effects(&newer_sql, "load/copy", 0).await.unwrap();
    let expected = [("b".to_owned(), None), ("public.it's".to_owned(), Some(7))];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    assert!(newer.effects(&newer_sql, "load/copy", 1).await.unwrap().is_empty());
    sql.execute("begin").await.unwrap();
    assert_eq!(older.guard(&sql).await.unwrap_err().class, FailureClass::Fenced);
    sql.execute("rollback").await.unwrap();
    assert_eq!(older.bump_epoch(&sql).await.unwrap_err().class, FailureClass::Fenced);

    newer_sql.execute(&newer.forget_sql("load/copy")).await.unwrap();
    assert!(newer.effects(&newer_sql, "load/copy", 0).await.unwrap().is_empty());
    newer_sql.execute(&newer.drop_sql()).await.unwrap();
    assert!(!newer.exists(&newer_sql).await.unwrap());
}
