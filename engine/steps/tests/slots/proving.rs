//! What makes a slot unfit for the hand-off.

use std::time::Duration;

use pgkedge_model::{FailureClass, Performer as _, Server, Settings};
use pgkedge_sandbox::Replica;
use serde_json::json;

use crate::capturing::{Run, TAG, Told, slot, value};

async fn refused(run: &Run) -> String {
    let failure = run.perform("prove_hand_off").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
    assert!(failure.help.is_some(), "{failure:?}");
    let said = format!("{failure} {}", failure.details.join(" "));
    assert!(said.contains(&format!("slot pgkedge_all_{TAG}")), "{said}");
    format!("{said} {}", failure.help.unwrap())
}

#[tokio::test]
async fn a_slot_that_does_not_fit_the_hand_off_is_refused() {
    let schema = "create table public.t (id int primary key)";
    let run = Run::start(schema, vec![slot("all", &["t"])], Settings::default()).await;
    run.capture().await;
    let held = run.hold().await;
    run.perform("prove_hand_off").await.unwrap();
    let proved = run.inputs.lock().unwrap()[&"capture/prove_hand_off/all".into()].clone();
    assert_eq!(proved, json!({ "lsn": held.lsn() }));

    // One commit too late: it would be lost without an error.
    run.source.execute("insert into public.t values (1)").await.unwrap();
    let advance = format!(
        "select end_lsn from pg_replication_slot_advance('pgkedge_all_{TAG}', pg_current_wal_lsn())"
    );
    let confirmed = run.ask(&advance).await;
    let said = refused(&run).await;
    assert!(said.contains(held.lsn()) && said.contains(&confirmed), "{said}");
    assert!(said.contains("`pgkedge redo --group all`"), "{said}");

    // A position of another server, or from before a restore.
    let future = json!({ "lsn": "FFFF/0", "id": "1" });
    run.inputs.lock().unwrap().insert("capture/hold_snapshot/".into(), future);
    let said = refused(&run).await;
    assert!(said.contains("the source has written up to"), "{said}");

    run.source
        .execute(&format!("select pg_drop_replication_slot('pgkedge_all_{TAG}')"))
        .await
        .unwrap();
    let said = refused(&run).await;
    assert!(said.contains("it is gone"), "{said}");
    let other = format!("select pg_create_physical_replication_slot('pgkedge_all_{TAG}')");
    run.source.execute(&other).await.unwrap();
    let said = refused(&run).await;
    assert!(said.contains("another plugin"), "{said}");
    held.release().await;
}

#[tokio::test]
async fn a_slot_that_was_there_is_proved_and_left_alone() {
    let schema = "create table public.t (id int primary key)";
    let mut existing = slot("mine", &["t"]);
    existing.existing = true;
    let run = Run::start(schema, vec![existing], Settings::default()).await;
    let refused = async || {
        let failure = run.perform("create_slot").await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Operator);
        failure.message
    };
    assert!(refused().await.ends_with("there is none of that name"));
    run.source.execute("select pg_create_physical_replication_slot('mine')").await.unwrap();
    assert!(refused().await.ends_with("its plugin is none, not pgoutput"));
    let anew = [
        "select pg_drop_replication_slot('mine')",
        "select pg_create_logical_replication_slot('mine', 'pgoutput')",
    ];
    for sql in anew {
        run.source.execute(sql).await.unwrap();
    }
    // A transaction that was open before the publications is none that the slot may begin in.
    run.perform("create_publication").await.unwrap();
    let writer = run.endpoint(Server::Source).sql("spanning").await.unwrap();
    writer.execute("begin; insert into public.t values (1)").await.unwrap();
    let early = run.ask("select pg_current_wal_insert_lsn()").await;
    let node = run.nodes("create_slot", &json!({})).remove(0);
    let told = Told::new();
    let ending = async {
        told.waits_for(&["slot mine", "`spanning`"]).await;
        writer.execute("commit").await.unwrap();
    };
    let (created, ()) = tokio::join!(run.performer.perform(run.call(&node, 1, &told)), ending);
    run.inputs.lock().unwrap().insert(node.id.clone(), created.unwrap());
    let early = json!({ "lsn": early, "id": "1" });
    run.inputs.lock().unwrap().insert("capture/hold_snapshot/".into(), early);
    let failure = run.perform("prove_hand_off").await.unwrap_err();
    assert!(failure.message.contains("its publications were not there yet"), "{failure:?}");
    let held = run.hold().await;
    run.perform("prove_hand_off").await.unwrap();
    held.release().await;

    let nodes = [node];
    run.undo(&nodes).await;
    run.perform("drop_capture").await.unwrap();
    assert_eq!(run.ask("select slot_name from pg_replication_slots").await, "mine");
}

#[tokio::test]
async fn a_replica_must_stand_where_its_rows_are_read_from() {
    let schema = "create table public.t (id int primary key)";
    let slots = vec![slot("all", &["t"])];
    let run = Run::start_with(Replica::Streaming, schema, slots, Settings::default()).await;
    run.capture().await;
    let replica = run.endpoint(Server::Replica).sql("pgkedge:read").await.unwrap();
    let confirmed = run.ask("select max(confirmed_flush_lsn) from pg_replication_slots").await;
    run.source.execute("insert into public.t values (1)").await.unwrap();
    let replayed = format!("select pg_last_wal_replay_lsn() > '{confirmed}'");
    while value(&replica, &replayed).await != "t" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    replica.execute("select pg_wal_replay_pause()").await.unwrap();
    while value(&replica, "select pg_get_wal_replay_pause_state()").await != "paused" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lsn = value(&replica, "select pg_last_wal_replay_lsn()").await;
    let hand_off = json!({ "lsn": lsn, "timeline": 1, "started": "" });
    run.inputs.lock().unwrap().insert("capture/hold_snapshot/".into(), hand_off);
    run.perform("prove_hand_off").await.unwrap();

    run.source.execute("insert into public.t values (2)").await.unwrap();
    replica.execute("select pg_wal_replay_resume()").await.unwrap();
    let said = refused(&run).await;
    assert!(said.contains("the replica is not paused any more, and at"), "{said}");
    assert!(said.contains(&lsn), "{said}");
}
