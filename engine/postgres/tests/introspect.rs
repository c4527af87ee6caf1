//! What introspection reads from a server: everything, exactly, and fast.

mod rich;

use std::collections::BTreeMap;

use pgkedge_model::{Catalog, Entry, Ident, QualifiedName, Section, TableKind, TypeKind};
use pgkedge_postgres::{Endpoint, WITHHELD, introspect};
use rich::cluster::Cluster;
use tokio_postgres::{Client, NoTls};

/// Settings under which entries are replayed, as `pg_restore` sets them.
const REPLAY: &str = "-c search_path= -c check_function_bodies=off -c xmloption=content \
                      -c row_security=off -c client_min_messages=error";

fn endpoint(cluster: &Cluster, database: &str) -> Endpoint {
    Endpoint { host: cluster.socket().to_str().unwrap().into(), port: Cluster::PORT, db: database.into() }
}

async fn connect(cluster: &Cluster, database: &str, options: &str) -> Client {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(cluster.socket())
        .port(Cluster::PORT)
        .user("postgres")
        .dbname(database)
        .options(options)
        .connect(NoTls)
        .await
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the client of this test")]
    drop(tokio::spawn(connection));
    client
}

async fn run(client: &Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql).await {
        panic!("{:?}\n{sql}", error.as_db_error());
    }
}

async fn create_database(cluster: &Cluster, name: &str) {
    let client = connect(cluster, "postgres", "").await;
    run(&client, &format!("create database {name} template template0")).await;
}

async fn create_rich_database(cluster: &Cluster) {
    let client = connect(cluster, "postgres", "").await;
    run(&client, rich::ROLES).await;
    create_database(cluster, "rich").await;
    let client = connect(cluster, "rich", "-c client_min_messages=error").await;
    for statement in pgkedge_postgres::lexer::statements(rich::OBJECTS) {
        run(&client, statement).await;
    }
}

/// Runs every statement of an archive, in its order.
async fn replay(cluster: &Cluster, database: &str, entries: &[Entry]) {
    let client = connect(cluster, database, REPLAY).await;
    for entry in entries {
        run(&client, "begin").await;
        for (name, value) in entry.settings.iter().filter(|(name, _)| name != WITHHELD) {
            let value = pgkedge_model::quote_literal(value);
            run(&client, &format!("set local {name} = {value}")).await;
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
    entries
        .iter()
        .map(|entry| {
            let mut depends: Vec<_> = entry.depends.iter().map(|number| &labels[number]).collect();
            depends.sort();
            let Entry { section, settings, statements, object, .. } = entry;
            let settings: Vec<_> = settings.iter().filter(|(name, _)| name != WITHHELD).collect();
            let label = label(entry);
            format!(
                "{section:?} {label}\n{settings:?} {object:?}\n{depends:#?}\n{}",
                statements.join(";\n")
            )
        })
        .collect()
}

fn entry<'a>(catalog: &'a Catalog, kind: &str, name: &str) -> &'a Entry {
    let found = catalog.entries.iter().find(|entry| entry.kind == kind && entry.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn name(schema: &str, name: &str) -> QualifiedName {
    QualifiedName::new(Ident::new(schema).unwrap(), Ident::new(name).unwrap())
}

#[tokio::test]
async fn a_replayed_archive_gives_the_same_archive() {
    let Some(cluster) = Cluster::start() else { return };
    create_rich_database(&cluster).await;
    let source = introspect(&endpoint(&cluster, "rich"), "pgkedge:read").await.unwrap();
    create_database(&cluster, "copy").await;
    replay(&cluster, "copy", &source.entries).await;
    let copy = introspect(&endpoint(&cluster, "copy"), "pgkedge:read").await.unwrap();
    let (before, after) = (comparable(&source.entries), comparable(&copy.entries));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
}
