//! What holds in every session: pinned settings, names, errors, cancel.

use std::time::Duration;

use pgkedge_model::{FailureClass, ServerVersion};

use crate::cluster::{cluster, readable, value};

const PINNED: &[(&str, &str)] = &[
    ("search_path", ""),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("role", "none"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("synchronize_seqscans", "off"),
    ("client_connection_check_interval", "5s"),
    ("jit", "off"),
    ("client_encoding", "UTF8"),
    ("application_name", "pgkedge:1a2b3c4d:1:do"),
];

#[tokio::test]
async fn settings_of_a_database_do_not_get_through() {
    let cluster = cluster();
    let database = cluster.database("pinned", "");
    for (name, odd) in [
        ("search_path", "public"),
        ("timezone", "'Asia/Tehran'"),
        ("datestyle", "'SQL, DMY'"),
        ("intervalstyle", "iso_8601"),
        ("extra_float_digits", "0"),
        ("bytea_output", "escape"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "1"),
        ("jit", "on"),
        ("role", "trusted"),
    ] {
        cluster.psql("postgres", &format!("alter database {database} set {name} = {odd}"));
    }
    let target = cluster.target(&database);
    let sql = target.sql("pgkedge:1a2b3c4d:1:do").await.unwrap();
    let mut wire = target.wire("pgkedge:1a2b3c4d:1:do", Some("LATIN1")).await.unwrap();
    assert!(sql.server_version() >= ServerVersion(100_000));
    assert_eq!(sql.server_version(), wire.server_version());
    for (name, pinned) in PINNED {
        let show = format!("show {name}");
        assert_eq!(value(&sql, &show).await, *pinned, "{name}");
        assert_eq!(wire.rows(&show).await.unwrap()[0].get(0), Some(*pinned), "{name}");
    }
    assert_eq!(value(&sql, "show synchronous_commit").await, "on");
}

#[tokio::test]
async fn pins_are_not_logged_as_effects() {
    let cluster = cluster();
    let name = "pgkedge:0badcafe:1:do";
    let sql = cluster.source("postgres").sql(name).await.unwrap();
    let mut wire = cluster.source("postgres").wire(name, None).await.unwrap();
    sql.execute("select 'effect one'").await.unwrap();
    wire.execute("select 'effect two'").await.unwrap();
    let log = readable(&cluster.path("log"));
    let effects: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(name)).collect();
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(effects[0].ends_with("select 'effect one'"));
    assert!(effects[1].ends_with("select 'effect two'"));
}

#[tokio::test]
async fn rows_come_by_place_and_by_name() {
    let cluster = cluster();
    let source = cluster.source("postgres");
    let sql = source.sql("pgkedge:read").await.unwrap();
    let mut wire = source.wire("pgkedge:read", None).await.unwrap();
    let query = "select 1 as a, null as b; select 'ž' as c where false; select 'ř' as c, '' as d";
    for rows in [sql.rows(query).await.unwrap(), wire.rows(query).await.unwrap()] {
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].get(0), rows[0].named("b"), rows[0].get(2)), (Some("1"), None, None));
        assert_eq!((rows[1].named("c"), rows[1].named("d")), (Some("ř"), Some("")));
        assert_eq!(rows[1].columns(), ["c", "d"]);
    }
}

#[tokio::test]
async fn an_error_says_all_that_the_server_said_and_the_session_goes_on() {
    let cluster = cluster();
    let target = cluster.target("postgres");
    let sql = target.sql("pgkedge:read").await.unwrap();
    let mut wire = target.wire("pgkedge:read", None).await.unwrap();
    let broken = "do $$ begin raise exception 'a' using detail = 'b', hint = 'c', \
                  errcode = '53100'; end $$";
    let failures =
        [sql.execute(broken).await.unwrap_err(), wire.execute(broken).await.unwrap_err()];
    for failure in failures {
        assert_eq!(failure.message, "target: a");
        assert_eq!(failure.class, FailureClass::Operator);
        assert_eq!(failure.details[..2], ["detail: b", "hint: c"]);
        assert!(failure.details[2].starts_with("context: PL/pgSQL function"));
    }
    let positioned = wire.execute("select nope").await.unwrap_err();
    assert_eq!(positioned.details, ["at character 8 of the statement"]);
    assert_eq!(sql.execute("select nope").await.unwrap_err(), positioned);
    sql.execute("select 1").await.unwrap();
    wire.execute("select 1").await.unwrap();
}

#[tokio::test]
async fn a_query_that_we_cancel_fails_as_cancelled() {
    let cluster = cluster();
    let source = cluster.source("postgres");
    let sql = source.sql("pgkedge:read").await.unwrap();
    let mut wire = source.wire("pgkedge:read", None).await.unwrap();
    let cancellers = [sql.canceller(), wire.canceller()];
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for canceller in cancellers {
            canceller.cancel().await.unwrap();
        }
    };
    let sleep = "select pg_sleep(60)";
    let (sql, wire, ()) = tokio::join!(sql.execute(sleep), wire.execute(sleep), cancel);
    assert_eq!(sql.unwrap_err().class, FailureClass::Cancelled);
    assert_eq!(wire.unwrap_err().class, FailureClass::Cancelled);
}

#[tokio::test]
async fn a_query_that_someone_else_cancels_is_worth_another_try() {
    let cluster = cluster();
    let mut wire = cluster.source("postgres").wire("pgkedge:read", None).await.unwrap();
    let process = wire.process_id();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.psql("postgres", &format!("select pg_cancel_backend({process})"));
    };
    let (result, ()) = tokio::join!(wire.execute("select pg_sleep(60)"), cancel);
    assert_eq!(result.unwrap_err().class, FailureClass::Transient);
}

#[tokio::test]
async fn a_terminated_session_says_why_and_is_closed() {
    let cluster = cluster();
    let target = cluster.target("postgres");
    let sql = target.sql("pgkedge:read").await.unwrap();
    let mut wire = target.wire("pgkedge:read", None).await.unwrap();
    let end = "select pg_terminate_backend(pg_backend_pid())";
    for failure in [sql.execute(end).await.unwrap_err(), wire.execute(end).await.unwrap_err()] {
        assert_eq!(failure.class, FailureClass::Transient);
        assert_eq!(failure.sqlstate.as_deref(), Some("57P01"), "{failure:?}");
    }
    assert!(wire.is_closed());
    assert_eq!(sql.execute("select 1").await.unwrap_err().class, FailureClass::Transient);
    assert!(sql.is_closed());
}

#[tokio::test]
async fn statements_of_a_transaction_go_out_together_and_the_one_that_fails_is_known() {
    let cluster = cluster();
    let database = cluster.database("together", "");
    cluster.psql(&database, "create table t (a int primary key)");
    let target = cluster.target(&database);
    let sql = target.sql("pgkedge:1a2b3c4d:1:do").await.unwrap();
    sql.execute("begin").await.unwrap();
    sql.execute_all(["insert into public.t values (1)", "select 1 / a from public.t"])
        .await
        .unwrap();
    let twice = ["insert into public.t values (2)", "insert into public.t values (1)", "select 1"];
    let (at, failure) = sql.execute_all(twice).await.unwrap_err();
    assert_eq!((at, failure.sqlstate.as_deref()), (1, Some("23505")));
    sql.execute("rollback").await.unwrap();
    assert_eq!(value(&sql, "select count(*) from public.t").await, "0");
}

#[tokio::test]
async fn nothing_is_sent_past_a_failure_if_a_statement_ends_the_transaction() {
    let cluster = cluster();
    let database = cluster.database("apart", "");
    cluster.psql(&database, "create table t (a int)");
    let target = cluster.target(&database);
    let sql = target.sql("pgkedge:1a2b3c4d:1:do").await.unwrap();
    sql.execute("begin").await.unwrap();
    let texts = ["select 1 / 0", "rollback", "insert into public.t values (1)"];
    assert_eq!(sql.execute_all(texts).await.unwrap_err().0, 0);
    sql.execute("rollback").await.unwrap();
    assert_eq!(value(&sql, "select count(*) from public.t").await, "0");
}
