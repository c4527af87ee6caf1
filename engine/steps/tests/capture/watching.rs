use pgkedge_model::FailureClass;

use crate::live::{Live, SLOT};

/// What the apply worker stumbles over.
const IN_THE_WAY: &str = "insert into public.orders values (51, 'in the way')";

#[tokio::test]
async fn streams_that_move_are_watched_and_their_lag_is_noted() {
    let live = Live::streaming().await;
    let watch = live.serve("watch_capture").await.unwrap();
    let shop = &watch.output["slots"]["shop"];
    assert!(shop["lag_bytes"].is_u64() && shop["retained_bytes"].is_u64(), "{shop}");
    assert_eq!(watch.heard.noted(), std::slice::from_ref(&watch.output));
    live.source.execute("insert into public.orders values (51, '')").await.unwrap();
    live.perform("await_lag").await.unwrap();
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    live.perform("stop_apply").await.unwrap();
    // Long enough for a look at the stream that was stopped.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    watch.stop().await.unwrap();
}

#[tokio::test]
async fn a_change_that_fails_is_seen_by_all_who_wait() {
    let live = Live::streaming().await;
    let mut watch = live.serve("watch_capture").await.unwrap();
    live.target.execute(IN_THE_WAY).await.unwrap();
    live.source.execute("insert into public.orders values (51, 'streamed')").await.unwrap();
    live.mark().await;
    // Within the window of a cutover the first error is enough.
    let failure = live.perform("await_drained").await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Operator);
    let failure = watch.ended().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Operator);
    assert!(failure.message.contains(&format!("`{SLOT}` of the target fails")), "{failure}");
    assert!(failure.help.unwrap().contains("server log"));

    live.target.execute("delete from public.orders where id = 51").await.unwrap();
    live.perform("await_drained").await.unwrap();
    live.serve("watch_capture").await.unwrap().stop().await.unwrap();
    assert_eq!(live.counts().await, ["51 50 50", "51 50 50"]);
}

#[tokio::test]
async fn a_subscription_that_somebody_disables_is_seen() {
    let live = Live::streaming().await;
    let mut watch = live.serve("watch_capture").await.unwrap();
    live.target.execute(&format!("alter subscription {SLOT} disable")).await.unwrap();
    let failure = watch.ended().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Operator);
    assert!(failure.message.contains("is disabled, and not by this run"), "{failure}");
    let failure = live.perform("await_lag").await.unwrap_err();
    assert!(failure.help.unwrap().contains(&format!("alter subscription {SLOT} enable")));
}

#[tokio::test]
async fn a_slot_that_is_dropped_is_seen() {
    let live = Live::streaming().await;
    let mut watch = live.serve("watch_capture").await.unwrap();
    let ended = "select pg_terminate_backend(active_pid) from pg_replication_slots";
    live.source.execute(ended).await.unwrap();
    live.until(&live.source, "select active from pg_replication_slots", "f").await;
    live.source.execute(&format!("select pg_drop_replication_slot('{SLOT}')")).await.unwrap();
    let failure = watch.ended().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.contains(&format!("has lost slot `{SLOT}`")), "{failure}");
    let failure = live.perform("await_lag").await.unwrap_err();
    assert!(failure.message.contains("has lost slot"), "{failure}");
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again_and_is_no_failure() {
    let live = Live::streaming().await;
    let watch = live.serve("watch_capture").await.unwrap();
    let ended = "select pg_terminate_backend(active_pid) from pg_replication_slots";
    live.source.execute(ended).await.unwrap();
    live.source.execute("insert into public.orders values (51, 'streamed')").await.unwrap();
    live.until(&live.target, "select count(*) from public.orders", "51").await;
    watch.stop().await.unwrap();
}
