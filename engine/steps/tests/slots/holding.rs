//! The snapshot of a slot.

use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{ByteSize, FailureClass, Lsn, Performer as _, Server, Settings};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::capturing::{Run, TAG, Told, slot, value};

const TABLES: &str = "create table public.small (id int primary key);
    create table public.large (id int primary key, filler text);
    insert into public.large select n, repeat('x', 100) from generate_series(1, 20000) n";

async fn run() -> Run {
    let mut settings = Settings::default();
    settings.load.part_size = ByteSize(256 << 10);
    Run::start(TABLES, vec![slot("first", &["large"]), slot("second", &["small"])], settings).await
}

/// Commits one row after another until it is told to stop.
fn writer(run: &Run, stop: &Arc<Notify>) -> JoinSet<()> {
    let (endpoint, stop) = (run.endpoint(Server::Source).clone(), Arc::clone(stop));
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        let session = endpoint.sql("writer").await.unwrap();
        let mut stopped = std::pin::pin!(stop.notified());
        for number in 1.. {
            let insert = format!("insert into public.small values ({number})");
            tokio::select! {
                () = &mut stopped => return,
                inserted = session.execute(&insert) => inserted.unwrap(),
            }
        }
    });
    writer
}

/// Rows that a slot carries from a position on.
async fn carried(run: &Run, slot: &str, from: &str) -> usize {
    let name = format!("pgkedge_{slot}_{TAG}");
    run.ask(&format!("select pg_replication_slot_advance('{name}', '{from}')")).await;
    let inserts = format!(
        "select count(*) from pg_logical_slot_peek_binary_changes('{name}', null, null, \
         'proto_version', '1', 'publication_names', '{name}') where get_byte(data, 0) = 73"
    );
    run.ask(&inserts).await.parse().unwrap()
}

#[tokio::test]
async fn rows_are_in_the_snapshot_or_in_the_slots_and_never_in_both() {
    let run = run().await;
    let stop = Arc::new(Notify::new());
    let mut writer = writer(&run, &stop);
    run.capture().await;
    let held = run.hold().await;
    run.perform("prove_hand_off").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.notify_one();
    writer.join_next().await.unwrap().unwrap();

    let late =
        format!("select bool_or(confirmed_flush_lsn > '{}') from pg_replication_slots", held.lsn());
    assert_eq!(run.ask(&late).await, "f");
    let locked = "select string_agg(c.relname, ',') from pg_locks l join pg_class c on c.oid = l.relation \
                  join pg_stat_activity a on a.pid = l.pid and a.application_name like '%:do' \
                  where l.mode = 'AccessShareLock' and c.relnamespace = 'public'::regnamespace";
    assert_eq!(run.ask(locked).await, "large");

    let reader = run.endpoint(Server::Source).sql("pgkedge:read").await.unwrap();
    let id = held.output["id"].as_str().unwrap();
    reader.execute("begin transaction isolation level repeatable read").await.unwrap();
    reader.execute(&format!("set transaction snapshot '{id}'")).await.unwrap();
    let count = "select count(*) from public.small";
    let seen: usize = value(&reader, count).await.parse().unwrap();
    assert_eq!(value(&reader, "select count(*) from public.large").await, "20000");
    let all: usize = run.ask(count).await.parse().unwrap();
    assert!(seen < all, "the writer wrote nothing after the snapshot");
    assert_eq!(seen + carried(&run, "second", held.lsn()).await, all);

    let slots = "select string_agg(slot_name, ' ' order by slot_name) from pg_replication_slots";
    assert_eq!(run.ask(slots).await, format!("pgkedge_first_{TAG} pgkedge_second_{TAG}"));
    held.release().await;
}

#[tokio::test]
async fn whoever_keeps_a_slot_waiting_is_named() {
    let run = run().await;
    let writer = run.endpoint(Server::Source).sql("forgotten").await.unwrap();
    writer
        .execute("begin; insert into public.small values (1); prepare transaction 'it''s'")
        .await
        .unwrap();
    writer.execute("begin; insert into public.small values (2)").await.unwrap();
    run.perform("create_publication").await.unwrap();
    let node = run.nodes("create_slot", &json!({})).remove(0);
    let told = Told::new();
    let creating = run.performer.perform(run.call(&node, 1, &told));
    let ending = async {
        let reason = told.waits_for(&["`forgotten`", "'it''s'", "slot pgkedge_first_"]).await;
        assert!(reason.contains("`rollback prepared 'it''s'`"), "{reason}");
        let probe = run.probe(&node).await;
        assert!(matches!(probe, pgkedge_model::Probe::InProgress(_)), "{probe:?}");
        run.source.execute("rollback prepared 'it''s'").await.unwrap();
        writer.execute("commit").await.unwrap();
    };
    let (created, ()) = tokio::join!(creating, ending);
    assert_eq!(created.unwrap(), json!({ "slot": format!("pgkedge_first_{TAG}") }));
}

#[tokio::test]
async fn a_wait_for_the_snapshot_of_a_slot_can_be_cancelled() {
    let run = run().await;
    run.capture().await;
    let writer = run.endpoint(Server::Source).sql("forgotten").await.unwrap();
    writer.execute("begin; insert into public.small values (0)").await.unwrap();
    let node = run.nodes("hold_snapshot", &json!({ "through": "slot" })).remove(0);
    let told = Told::new();
    let holding = run.performer.perform(run.call(&node, 1, &told));
    let cancelling = async {
        told.waits_for(&["of the snapshot", "`forgotten`"]).await;
        run.performer.cancel();
    };
    let (held, ()) = tokio::join!(holding, cancelling);
    assert_eq!(held.unwrap_err().class, FailureClass::Cancelled);
    let left =
        "select count(*) from pg_replication_slots where slot_name like 'pgkedge_snapshot_%'";
    while run.ask(left).await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    writer.execute("commit").await.unwrap();
    run.hold().await.release().await;
}

#[tokio::test]
async fn a_lost_snapshot_is_followed_by_a_later_one_that_fits_the_same_slots() {
    let run = run().await;
    run.capture().await;
    let held = run.hold().await;
    let first: Lsn = held.lsn().parse().unwrap();
    run.source.execute("insert into public.small values (1)").await.unwrap();
    let holder = "select pg_terminate_backend(pid) from pg_stat_activity \
                  where application_name like '%:do' and backend_xmin is not null";
    assert_eq!(run.ask(holder).await, "t");
    assert_eq!(held.lost().await.class, FailureClass::Transient);
    let held = run.hold().await;
    assert!(held.lsn().parse::<Lsn>().unwrap() > first);
    run.perform("prove_hand_off").await.unwrap();
    held.release().await;
}
