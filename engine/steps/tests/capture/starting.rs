use std::time::Duration;

use pgkedge_model::{FailureClass, Probe};
use pgkedge_sandbox::StopMode;
use serde_json::json;

use crate::live::{Live, SLOT};

const SUBSCRIPTIONS: &str = "select count(*) from pg_subscription";

#[tokio::test]
async fn a_subscription_starts_exactly_where_the_load_has_ended() {
    let live = Live::start().await;
    live.load().await;
    let more = "insert into public.orders values (51, 'streamed'); \
                insert into public.parted values (51); \
                insert into public.\"Log lines\" values ('streamed'); \
                update public.orders set note = 'changed' where id = 7; \
                delete from public.orders where id = 8";
    live.source.execute(more).await.unwrap();
    let (made, heard) = live.perform_heard("start_apply").await;
    made.unwrap();
    assert!(heard.said().contains("pg_subscription of the target holds"), "{}", heard.said());
    assert!(matches!(live.probe("start_apply").await, Probe::Applied(_)));
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    let [source, target] = live.counts().await;
    assert_eq!((source.as_str(), target.as_str()), ("50 51 51", "50 51 51"));
    let changed = "select note from public.orders where id = 7";
    assert_eq!(live.ask_target(changed).await, "changed");
}

#[tokio::test]
async fn what_was_started_is_taken_back_without_a_trace() {
    let live = Live::streaming().await;
    live.until(&live.source, "select active from pg_replication_slots", "t").await;
    for _ in 0..2 {
        live.undo("start_apply").await;
    }
    assert_eq!(live.ask_target(SUBSCRIPTIONS).await, "0");
    let origins = "select count(*) from pg_replication_origin";
    assert_eq!(live.ask_target(origins).await, "0");
    let slot = "select slot_name from pg_replication_slots";
    assert_eq!(live.ask(slot).await, SLOT, "the slot belongs to another step");
    assert!(matches!(live.probe("start_apply").await, Probe::Absent));
}

#[tokio::test]
async fn the_password_of_the_source_is_in_no_log() {
    let live = Live::streaming().await;
    let url = std::fs::read_to_string(&live.sandbox.source.url).unwrap();
    let password = url.split([':', '@']).nth(2).unwrap();
    let held = live.ask_target("select subconninfo from pg_subscription").await;
    assert!(held.contains(password), "the subscription needs it");
    // One that fails is logged by another setting.
    live.target.execute("drop table pgkedge_1a2b3c4d.effect cascade").await.unwrap();
    live.target
        .execute(
            "create table pgkedge_1a2b3c4d.effect (step text, member text, \
         generation int, rows int)",
        )
        .await
        .unwrap();
    live.undo("start_apply").await;
    let failure = live.perform("start_apply").await.unwrap_err();
    assert!(!format!("{failure:?}").contains(password), "{failure:?}");
    let log = std::fs::read_to_string(&live.sandbox.target.log).unwrap();
    assert!(log.contains("column \"attempt\""), "the failure is logged");
    let line = log.lines().find(|line| line.contains(password));
    assert_eq!(line, None);
}

#[tokio::test]
async fn a_start_that_is_cut_off_leaves_nothing_and_starts_again_at_its_position() {
    let live = Live::start().await;
    live.load().await;
    let lock = "begin; lock table pgkedge_1a2b3c4d.effect in exclusive mode";
    live.target.execute(lock).await.unwrap();
    let kill = async {
        // The row of the ledger comes last: subscription and origin are made by then.
        let stuck = "select pid from pg_stat_activity where wait_event_type = 'Lock' \
                     and query like 'insert into pgkedge_1a2b3c4d.effect%'";
        // From a session of its own: one in a transaction sees the same activity all the time.
        let other = live.reconnected().await;
        while other.rows(stuck).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let kill = stuck.replace("select pid", "select pg_terminate_backend(pid)");
        other.execute(&kill).await.unwrap();
    };
    let (cut_off, ()) = tokio::join!(live.perform("start_apply"), kill);
    assert_eq!(cut_off.unwrap_err().class, FailureClass::Transient);
    live.target.execute("rollback").await.unwrap();
    assert_eq!(live.ask_target(SUBSCRIPTIONS).await, "0");
    assert!(matches!(live.probe("start_apply").await, Probe::Absent));
    live.perform("start_apply").await.unwrap();
    live.source.execute("insert into public.orders values (51, 'streamed')").await.unwrap();
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    assert_eq!(live.counts().await, ["51 50 50", "51 50 50"]);
}

#[tokio::test]
async fn a_crash_of_the_target_right_after_the_start_doubles_nothing() {
    let live = Live::streaming().await;
    live.sandbox.target.stop(StopMode::Immediate).unwrap();
    live.sandbox.target.start().unwrap();
    live.source.execute("insert into public.\"Log lines\" values ('late')").await.unwrap();
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    let target = live.reconnected().await;
    let lines = target.rows("select count(*) from public.\"Log lines\"").await.unwrap();
    assert_eq!(lines[0].get(0), Some("51"));
}

#[tokio::test]
async fn what_postgresql_does_not_check_is_refused() {
    let live = Live::start().await;
    let position = live.load().await;
    let refused = async |expected: &str| {
        let failure = live.perform("start_apply").await.unwrap_err();
        let told = format!("{failure} {}", failure.details.join(" "));
        assert!(told.contains(expected), "{told}");
        assert!(failure.help.is_some(), "{told}");
        assert_eq!(live.ask_target(SUBSCRIPTIONS).await, "0", "{told}");
    };

    let confirmed = "select confirmed_flush_lsn - 1 from pg_replication_slots";
    let before = live.ask(confirmed).await;
    live.hand_over("slot_hand_off:shop", json!({ "lsn": before }));
    refused("the changes between are gone").await;
    live.hand_over("slot_hand_off:shop", json!({ "lsn": position }));

    live.target.execute("alter table public.orders rename note to notes").await.unwrap();
    refused("missing: public.orders.note").await;
    live.target.execute("alter table public.orders rename notes to note").await.unwrap();
    live.target.execute("alter table public.\"Log lines\" rename to lines").await.unwrap();
    refused("public.\"Log lines\"").await;
    live.target.execute("alter table public.lines rename to \"Log lines\"").await.unwrap();

    let publication = "alter publication pgkedge_changes_1a2b3c4d";
    live.source.execute(&format!("{publication} drop table only public.parted")).await.unwrap();
    refused("differing: public.parted").await;
    live.source.execute("drop publication pgkedge_changes_1a2b3c4d").await.unwrap();
    refused("has no publication `pgkedge_changes_1a2b3c4d`").await;
    live.source.execute(&format!("select pg_drop_replication_slot('{SLOT}')")).await.unwrap();
    refused("has lost slot").await;
}
