//! Capture that is taken away while it works, by its step and by cleanup.

use std::time::Duration;

use pgkedge_model::{Probe, Server, Settings, WithoutIdentity};
use pgkedge_steps::{LiveSessions, remove, scan};
use serde_json::Value;

use crate::capturing::{Run, TAG, slot, value};

/// A run whose subscription streams.
async fn streaming() -> Run {
    let settings =
        Settings { tables_without_identity: WithoutIdentity::Full, ..Settings::default() };
    let run =
        Run::start("create table public.t (id int)", vec![slot("all", &["t"])], settings).await;
    run.capture().await;
    let name = format!("pgkedge_all_{TAG}");
    let url = std::fs::read_to_string(&run.sandbox.source.url).unwrap();
    let subscribe = format!(
        "create subscription {name} connection '{}' publication {name} \
         with (create_slot = false, slot_name = '{name}', copy_data = false)",
        url.trim()
    );
    run.target.execute(&subscribe).await.unwrap();
    run.source.execute("insert into public.t values (1)").await.unwrap();
    while value(&run.target, "select count(*) from public.t").await != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run
}

async fn assert_nothing_is_left(run: &Run) {
    let left = "select (select count(*) from pg_publication) + (select count(*) from pg_replication_slots)";
    assert_eq!(run.ask(left).await, "0");
    let left = "select (select count(*) from pg_subscription) + (select count(*) from pg_replication_origin)";
    assert_eq!(value(&run.target, left).await, "0");
}

#[tokio::test]
async fn a_streaming_capture_is_dropped_and_dropping_it_again_does_nothing() {
    let run = streaming().await;
    let node = run.nodes("drop_capture", &serde_json::json!({})).remove(0);
    assert_eq!(run.probe(&node).await, Probe::Partial);
    run.perform("drop_capture").await.unwrap();
    assert_nothing_is_left(&run).await;
    let identity = "select relreplident from pg_class where oid = 'public.t'::regclass";
    assert_eq!(run.ask(identity).await, "d");
    assert_eq!(run.probe(&node).await, Probe::Applied(Value::Null));
    run.perform("drop_capture").await.unwrap();
}

#[tokio::test]
async fn a_slot_that_is_gone_does_not_keep_the_rest() {
    let run = streaming().await;
    let name = format!("pgkedge_all_{TAG}");
    run.target.execute(&format!("alter subscription {name} disable")).await.unwrap();
    while run.ask("select active from pg_replication_slots").await != "f" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.source.execute(&format!("select pg_drop_replication_slot('{name}')")).await.unwrap();
    run.perform("drop_capture").await.unwrap();
    assert_nothing_is_left(&run).await;
}

#[tokio::test]
async fn cleanup_finds_and_removes_a_streaming_capture_without_a_journal() {
    let run = streaming().await;
    let name = format!("pgkedge_all_{TAG}");
    let mine = "select pg_create_logical_replication_slot('mine', 'pgoutput')";
    for sql in ["create publication mine", mine] {
        run.source.execute(sql).await.unwrap();
    }
    for (server, named) in [
        (Server::Source, [format!("slot {name} (keeps "), format!("publication {name}")]),
        (Server::Target, [format!("subscription {name}"), format!("schema pgkedge_{TAG}")]),
    ] {
        let endpoint = run.endpoint(server);
        let found = scan(endpoint).await.unwrap();
        let [left] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(left.tag.0, TAG);
        let shown = left.to_string();
        assert!(named.iter().all(|one| shown.contains(one)), "{shown}");
        remove(endpoint, left, LiveSessions::End).await.unwrap();
        assert_eq!(scan(endpoint).await.unwrap(), []);
    }
    let left = "select (select string_agg(pubname, ',') from pg_publication) || ' ' || \
                (select string_agg(slot_name, ',') from pg_replication_slots)";
    assert_eq!(run.ask(left).await, "mine mine");
    assert_eq!(value(&run.target, "select count(*) from pg_subscription").await, "0");
}
