use pgkedge_model::{FailureClass, Server};
use serde_json::json;

use crate::cluster::Cluster;
use crate::moving::{Run, endpoint, objects, psql};

const POSTGRES_TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../postgres/tests/introspect/");

fn rich_source() -> Option<Cluster> {
    let cluster = Cluster::start()?;
    let space = cluster.create_folder("space");
    psql(&cluster, "postgres", &["-f", &format!("{POSTGRES_TESTS}roles.sql")]);
    psql(
        &cluster,
        "postgres",
        &[
            "-c",
            &format!("create tablespace \"rich; \"\"space\"\"\" location '{}'", space.display()),
            "-c",
            "create database rich template template0",
        ],
    );
    psql(&cluster, "rich", &["-f", &format!("{POSTGRES_TESTS}objects.sql")]);
    // Introspection leaves it out, and so preflight refuses to move it.
    let writable = "set default_transaction_read_only = off";
    psql(&cluster, "rich", &["-c", writable, "-c", "drop schema pgkedge_0a1b2c3d cascade"]);
    Some(cluster)
}

fn empty_target() -> Option<Cluster> {
    let cluster = Cluster::start()?;
    let space = cluster.create_folder("space");
    psql(
        &cluster,
        "postgres",
        &[
            "-c",
            &format!("create tablespace \"rich; \"\"space\"\"\" location '{}'", space.display()),
            "-c",
            "create database \"new; rich\" template template0",
        ],
    );
    Some(cluster)
}

#[tokio::test]
async fn a_schema_of_every_kind_moves_and_is_taken_back() {
    let (Some(source), Some(target)) = (rich_source(), empty_target()) else { return };
    let from = endpoint(&source, Server::Source, "rich", "postgres");
    let to = endpoint(&target, Server::Target, "new; rich", "postgres");
    let mut run = Run::take(from, to, 1).await;
    let before = run.target().await;

    perform_all(&mut run).await;
    run.probe_all().await;

    let after = run.target().await;
    let (wanted, found) = (objects(&run.facts.source), objects(&after));
    let missing: Vec<_> = wanted.difference(&found).collect();
    let added: Vec<_> = found.difference(&wanted).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing {missing:#?}\nadded {added:#?}");
    let database = |catalog: &pgkedge_model::Catalog| {
        let database = catalog.database.clone();
        (database.owner, database.connection_limit, database.comment, database.settings)
    };
    assert_eq!(database(&after), database(&run.facts.source));

    run.undo_all().await;
    let undone = run.target().await;
    assert_eq!(objects(&undone), objects(&before));
    assert_eq!(database(&undone), database(&before));
    assert_eq!((undone.roles, undone.memberships), (before.roles, before.memberships));
    assert_eq!(undone.schemas, before.schemas);
}

const SHOP: &str = r#"
create role shop login password 'canary-of-shop' connection limit 7;
create role "re;ader" nologin;
grant "re;ader" to shop;
alter role shop set search_path = "$user", public;
comment on role shop is 'it''s a shop';
create database shop template template0 owner shop;
comment on database shop is 'goods';
alter database shop set statement_timeout = '5min';
alter role shop in database shop set work_mem = '8MB';
revoke connect on database shop from public;
grant connect on database shop to "re;ader";
\c shop
set role shop;
create table public.parent (id serial primary key, "na""me" text unique);
create table public.child (id bigint generated always as identity primary key,
  parent int references public.parent (id) deferrable, check (id > 0));
create index on public.child (parent);
create view public.both as select p.id, c.id as child from public.parent p join public.child c on c.parent = p.id;
comment on index public.child_parent_idx is 'by parent';
grant select on public.parent to "re;ader" with grant option;
create publication goods for table public.parent;
"#;

/// The whole order of a full load, without the rows.
fn steps() -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("preflight", json!({})),
        ("create_ledger", json!({})),
        ("copy_globals", json!({})),
        ("copy_schema", json!({ "section": "pre-data" })),
        ("indexes and constraints", json!({})),
        ("create_foreign_key", json!({})),
        ("validate_foreign_key", json!({})),
        (
            "copy_schema",
            json!({
                "section": "post-data",
                "without": ["indexes", "constraints", "foreign_keys", "event_triggers"],
            }),
        ),
        ("copy_database_settings", json!({})),
        ("copy_schema", json!({ "section": "post-data", "only": ["event_triggers"] })),
    ]
}

async fn perform_all(run: &mut Run) {
    for (kind, params) in steps() {
        let performed = match kind {
            "indexes and constraints" => run.perform_indexes_and_constraints().await,
            kind => run.perform(kind, params).await,
        };
        if let Err(failure) = performed {
            panic!("{kind}: {failure}\n{}\n{:?}", failure.details.join("\n"), failure.sqlstate);
        }
    }
}

#[tokio::test]
async fn a_plain_role_moves_a_plain_schema() {
    let (Some(source), Some(target)) = (Cluster::start(), Cluster::start()) else { return };
    let script = source.create_folder("script").join("shop.sql");
    std::fs::write(&script, SHOP).unwrap();
    psql(&source, "postgres", &["-f", script.to_str().unwrap()]);
    psql(
        &target,
        "postgres",
        &[
            "-c",
            "create role mover login createrole createdb",
            "-c",
            "create database shop template template0 owner mover",
        ],
    );
    let from = endpoint(&source, Server::Source, "shop", "postgres");
    let to = endpoint(&target, Server::Target, "shop", "mover");
    let mut run = Run::take(from, to, 1).await;
    let before = run.target().await;
    perform_all(&mut run).await;
    let after = run.target().await;
    assert_eq!(objects(&after), objects(&run.facts.source));
    let wanted = &run.facts.source.database;
    let found = &after.database;
    assert_eq!(
        (&found.owner, &found.comment, &found.grants, &found.settings),
        (&wanted.owner, &wanted.comment, &wanted.grants, &wanted.settings)
    );
    let role = |catalog: &pgkedge_model::Catalog| {
        catalog.roles.iter().find(|role| role.name.as_str() == "shop").cloned()
    };
    assert_eq!(role(&after), role(&run.facts.source));
    psql(
        &target,
        "shop",
        &[
            "-c",
            "do $$ begin assert (select rolpassword like 'SCRAM%' from \
        pg_authid where rolname = 'shop'); end $$",
        ],
    );

    run.undo_all().await;
    let undone = run.target().await;
    assert_eq!(objects(&undone), objects(&before));
    assert_eq!(undone.database.settings, before.database.settings);
    assert_eq!(undone.database.owner, before.database.owner);
    assert_eq!((undone.roles, undone.memberships), (before.roles, before.memberships));
}

#[tokio::test]
async fn preflight_refuses_a_target_that_is_not_empty() {
    let Some(cluster) = Cluster::start() else { return };
    for database in ["a", "b"] {
        psql(&cluster, "postgres", &["-c", &format!("create database {database}")]);
    }
    psql(&cluster, "b", &["-c", "create table \"it's; here\" ()", "-c", "select lo_create(7)"]);
    let from = endpoint(&cluster, Server::Source, "a", "postgres");
    let to = endpoint(&cluster, Server::Target, "b", "postgres");
    let mut run = Run::take(from, to, 1).await;
    let failure = run.perform("preflight", json!({})).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Blocked);
    let said = failure.details.join("\n");
    assert!(
        said.contains("target::not_empty: the target database is not empty: public.\"it's; here\""),
        "{said}"
    );
    assert!(said.contains("target::large_objects"), "{said}");
}
