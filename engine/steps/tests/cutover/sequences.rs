use pgkedge_model::{CutoverSettings, SequenceSettings, Server, Settings};
use serde_json::json;

use crate::world::{Notes, Run, servers, value};

const SEQUENCES: &[(&str, &str, &str)] = &[
    // Name and options, what was taken, and what the target gives next.
    ("ascending increment 2", "select setval('public.ascending', 7)", "29"),
    ("descending increment -5 minvalue -1000", "select setval('public.descending', -20)", "-75"),
    ("small maxvalue 12", "select setval('public.small', 5)", "12"),
    ("full maxvalue 12", "select setval('public.full', 12)", "exhausted"),
    ("cycling maxvalue 12 cycle", "select setval('public.cycling', 5)", "4"),
    ("fresh start 3", "select 1", "3"),
    ("called_once", "select nextval('public.called_once')", "12"),
    ("\"It's\"", "select setval('public.\"It''s\"', 7)", "18"),
];

#[tokio::test]
async fn sequences_go_on_behind_the_gap() {
    let servers = servers();
    let mut sides = Vec::new();
    for server in [Server::Source, Server::Target] {
        servers.admin(server).await.execute("create database sequences").await.unwrap();
        let endpoint = servers.endpoint(server, "sequences", "postgres");
        let session = endpoint.sql("app").await.unwrap();
        for (definition, _, _) in SEQUENCES {
            let (name, options) = definition.split_once(' ').unwrap_or((definition, ""));
            session.execute(&format!("create sequence public.{name} {options}")).await.unwrap();
        }
        sides.push((endpoint, session));
    }
    let [(source, taking), (target, giving)] = sides.try_into().ok().unwrap();
    for (_, taken, _) in SEQUENCES {
        taking.execute(taken).await.unwrap();
    }
    let sequences = SequenceSettings { gap: 10 };
    let cutover = CutoverSettings { sequences, ..CutoverSettings::default() };
    let run = Run::new(source, target, Settings { cutover, ..Settings::default() }).await;
    run.perform("create_ledger").await.unwrap();
    let params = json!({ "gap": true });
    run.perform_with("set_sequence", params, Notes::default()).await.unwrap();

    for (definition, _, next) in SEQUENCES {
        let name = definition.split_once(' ').map_or(*definition, |(name, _)| name);
        let query = format!("select nextval('public.{}')", name.replace('\'', "''"));
        if *next == "exhausted" {
            let failure = giving.rows(&query).await.unwrap_err();
            assert_eq!(failure.sqlstate.as_deref(), Some("2200H"));
        } else {
            assert_eq!(value(&giving, &query).await, *next, "{definition}");
        }
    }
}
