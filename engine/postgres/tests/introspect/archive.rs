//! The archive of a database: everything, and exactly.

use std::collections::BTreeMap;

use pgkedge_model::{Entry, FailureClass, quote_literal};
use pgkedge_postgres::{WITHHELD_OPTIONS, introspect};

use crate::access::{connect, create_database, endpoint, endpoint_as, run};
use crate::cluster::Cluster;

/// Settings under which entries are replayed, as `pg_restore` sets them.
const REPLAY: &str = "-c search_path= -c check_function_bodies=off -c xmloption=content \
                      -c row_security=off -c client_min_messages=error";

/// Runs every statement of an archive, in its order.
async fn replay(cluster: &Cluster, database: &str, entries: &[Entry]) {
    let client = connect(cluster, database, REPLAY).await;
    for entry in entries {
        run(&client, "begin").await;
        for (name, value) in entry.settings.iter().filter(|(name, _)| name != WITHHELD_OPTIONS) {
            run(&client, &format!("set local {name} = {}", quote_literal(value))).await;
        }
        for statement in &entry.statements {
            run(&client, statement).await;
        }
        run(&client, "commit").await;
    }
}

/// What must be the same in two databases: everything but numbers.
fn comparable(entries: &[Entry]) -> Vec<String> {
    let label = |entry: &Entry| {
        format!("{} {:?}.{} of {:?}", entry.kind, entry.schema, entry.name, entry.owner)
    };
    let labels: BTreeMap<u32, String> =
        entries.iter().map(|entry| (entry.number, label(entry))).collect();
    let shown = |entry: &Entry| {
        let mut depends: Vec<_> = entry.depends.iter().map(|number| &labels[number]).collect();
        depends.sort();
        let Entry { section, settings, statements, object, .. } = entry;
        let settings: Vec<_> =
            settings.iter().filter(|(name, _)| name != WITHHELD_OPTIONS).collect();
        let label = label(entry);
        let statements = statements.join(";\n");
        format!("{section:?} {label}\n{settings:?} {object:?}\n{depends:#?}\n{statements}")
    };
    entries.iter().map(shown).collect()
}

#[tokio::test]
async fn a_replayed_archive_gives_the_same_archive() {
    let Some(cluster) = Cluster::shared() else { return };
    let source = introspect(&endpoint(&cluster, "rich"), "pgkedge:read").await.unwrap();
    assert!(source.entries.len() > 260);
    create_database(&cluster, "copy", "").await;
    replay(&cluster, "copy", &source.entries).await;
    let copy = introspect(&endpoint(&cluster, "copy"), "pgkedge:read").await.unwrap();
    let (before, after) = (comparable(&source.entries), comparable(&copy.entries));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
}

#[tokio::test]
async fn names_that_are_no_utf_8_stop_before_anything_is_done() {
    let Some(cluster) = Cluster::shared() else { return };
    create_database(&cluster, "bytes", "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'").await;
    let client = connect(&cluster, "bytes", "-c client_encoding=SQL_ASCII").await;
    let create =
        "do $$ begin execute pg_catalog.format('create table %I (a int)', E'caf\\xe9'); end $$";
    run(&client, create).await;
    let failure = introspect(&endpoint(&cluster, "bytes"), "pgkedge:read").await.unwrap_err();
    assert!(failure.help.clone().unwrap_or_default().contains("UTF-8"), "{failure:?}");
}

#[tokio::test]
async fn bodies_that_are_no_utf_8_stop_before_anything_is_done() {
    let Some(cluster) = Cluster::shared() else { return };
    create_database(&cluster, "bodies", "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'").await;
    let client = connect(&cluster, "bodies", "-c client_encoding=SQL_ASCII").await;
    let create = "do $$ begin execute pg_catalog.format(
        'create function f() returns text language sql as %L', E'select ''caf\\xe9''::text'); end $$";
    run(&client, create).await;
    let failure = introspect(&endpoint(&cluster, "bodies"), "pgkedge:read").await.unwrap_err();
    assert!(failure.help.clone().unwrap_or_default().contains("UTF-8"), "{failure:?}");
}

#[tokio::test]
async fn a_role_that_may_not_read_is_told_what_to_grant() {
    let Some(cluster) = Cluster::shared() else { return };
    create_database(&cluster, "locked", "").await;
    let client = connect(&cluster, "locked", "").await;
    run(&client, "create table secret (a int); create role plain login").await;
    let plain = endpoint_as(&cluster, "locked", "plain");
    let failure = introspect(&plain, "pgkedge:read").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Operator);
    assert!(failure.details.iter().any(|line| line.contains("secret")), "{failure:?}");
    assert!(failure.help.unwrap().contains("pg_read_all_data"));
}

#[tokio::test]
async fn a_plain_role_that_may_read_everything_finds_the_same() {
    let Some(cluster) = Cluster::shared() else { return };
    let reader = "create role reader login in role pg_read_all_data; grant connect on database rich to reader";
    run(&connect(&cluster, "postgres", "").await, reader).await;
    let full = introspect(&endpoint(&cluster, "rich"), "pgkedge:read").await.unwrap();
    let plain = endpoint_as(&cluster, "rich", "reader");
    let plain = introspect(&plain, "pgkedge:read").await.unwrap();
    assert_eq!(comparable(&full.entries), comparable(&plain.entries));
    assert_eq!(full.tables, plain.tables);
    assert_eq!((full.types, full.indexes), (plain.types, plain.indexes));
}

#[tokio::test]
async fn no_password_of_the_database_is_in_its_catalog() {
    let Some(cluster) = Cluster::shared() else { return };
    let catalog = introspect(&endpoint(&cluster, "rich"), "pgkedge:read").await.unwrap();
    let document = serde_json::to_string(&catalog).unwrap();
    assert!(!document.contains("hidden"));
    let marked: Vec<_> = catalog.entries.iter().flat_map(|entry| &entry.settings).collect();
    let withheld = |count: &str| (WITHHELD_OPTIONS.to_owned(), format!("{count} withheld"));
    assert!(marked.contains(&&withheld("2")) && marked.contains(&&withheld("1")));
}

/// Prints how long 2,000 tables take; run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "measures, proves nothing"]
async fn two_thousand_tables() {
    let Some(cluster) = Cluster::shared() else { return };
    create_database(&cluster, "many", "").await;
    let client = connect(&cluster, "many", "").await;
    run(
        &client,
        "do $$ begin for n in 1..2000 loop execute format('create table t%s (id serial primary key, \
         a int not null, b text, c timestamptz default now(), d numeric(10, 2) check (d > 0)); \
         create index on t%s (b)', n, n); if n % 100 = 0 then commit; end if; end loop; end $$",
    )
    .await;
    run(&client, "vacuum analyze pg_catalog.pg_class").await;
    for _ in 0..3 {
        let start = tokio::time::Instant::now();
        let catalog = introspect(&endpoint(&cluster, "many"), "pgkedge:read").await.unwrap();
        println!(
            "{} tables, {} entries: {:?}",
            catalog.tables.len(),
            catalog.entries.len(),
            start.elapsed()
        );
    }
}
