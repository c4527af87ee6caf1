//! What makes a slot unfit for the hand-off.

use pgkedge_model::{FailureClass, Settings};
use serde_json::json;

use crate::capturing::{Run, TAG, slot};

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
    let other =
        format!("select pg_create_logical_replication_slot('pgkedge_all_{TAG}', 'test_decoding')");
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
    for (plugin, said) in
        [("test_decoding", "its plugin is test_decoding, not pgoutput"), ("pgoutput", "")]
    {
        let create = format!("select pg_create_logical_replication_slot('mine', '{plugin}')");
        run.source.execute(&create).await.unwrap();
        if plugin != "pgoutput" {
            assert!(refused().await.ends_with(said));
            run.source.execute("select pg_drop_replication_slot('mine')").await.unwrap();
        }
    }
    let nodes = run.perform("create_slot").await.unwrap();
    run.undo(&nodes).await;
    let run_drops = run.perform("create_ledger").await.and(run.perform("drop_capture").await);
    run_drops.unwrap();
    assert_eq!(run.ask("select slot_name from pg_replication_slots").await, "mine");
}
