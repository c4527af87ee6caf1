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

    let steps = [
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
    ];
    for (kind, params) in steps {
        let performed = match kind {
            "indexes and constraints" => run.perform_indexes_and_constraints().await,
            kind => run.perform(kind, params).await,
        };
        if let Err(failure) = performed {
            panic!("{kind}: {failure}\n{}\n{:?}", failure.details.join("\n"), failure.sqlstate);
        }
    }
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
