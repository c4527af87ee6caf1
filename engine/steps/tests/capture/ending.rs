use pgkedge_model::Probe;

use crate::live::{Live, SLOT};

#[tokio::test]
async fn a_quiet_source_is_drained_to_the_marker() {
    let live = Live::streaming().await;
    let marker = live.mark().await;
    live.perform("await_drained").await.unwrap();
    let past = format!("select confirmed_flush_lsn >= '{marker}' from pg_replication_slots");
    assert_eq!(live.ask(&past).await, "t");
    assert_eq!(live.counts().await, ["50 50 50", "50 50 50"]);
}

#[tokio::test]
async fn a_busy_source_is_drained_of_all_that_was_written_before_the_marker() {
    let live = Live::streaming().await;
    for batch in 1..20 {
        let (from, to) = (batch * 1_000, batch * 1_000 + 999);
        // Committed without a flush, as far as the server lets it be.
        let rows = format!(
            "set synchronous_commit = off; \
             insert into public.orders select n, 'streamed' from generate_series({from}, {to}) n; \
             insert into public.\"Log lines\" select 'streamed' from generate_series({from}, {to})"
        );
        live.source.execute(&rows).await.unwrap();
    }
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    assert_eq!(live.counts().await, ["19050 50 19050", "19050 50 19050"]);
}

#[tokio::test]
async fn a_stopped_stream_holds_nothing_back_and_a_late_write_is_found() {
    let live = Live::streaming().await;
    live.source.execute("insert into public.orders values (51, 'before')").await.unwrap();
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    live.perform("stop_apply").await.unwrap();
    assert!(matches!(live.probe("stop_apply").await, Probe::Applied(_)));
    assert_eq!(live.ask("select active from pg_replication_slots").await, "f");
    live.mark().await;
    live.perform("prove_drained").await.unwrap();

    let unpublished = "create table public.other (a int4); insert into public.other values (1)";
    live.source.execute(unpublished).await.unwrap();
    live.perform("prove_drained").await.unwrap();
    for (late, told) in [
        ("insert into public.\"Log lines\" values ('late')", "insert into \"Log lines\""),
        ("update public.orders set note = 'late' where id = 51", "update of orders"),
        ("delete from public.parted where id = 9", "delete from parted"),
        ("truncate public.parted", "truncate of parted"),
    ] {
        live.source.execute(late).await.unwrap();
        let failure = live.perform("prove_drained").await.unwrap_err();
        let told = told.replace("\"Log", "public.\"Log").replace("orders", "public.orders");
        let told = told.replace("parted", "public.parted");
        let found = failure.details.iter().any(|detail| detail.starts_with(&told));
        assert!(found, "{told}: {failure} {:?}", failure.details);
        assert!(failure.message.contains(SLOT), "{failure}");
    }
}

#[tokio::test]
async fn a_stream_that_was_stopped_goes_on_when_that_is_taken_back() {
    let live = Live::streaming().await;
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    live.perform("stop_apply").await.unwrap();
    live.source.execute("insert into public.orders values (51, 'late')").await.unwrap();
    for _ in 0..2 {
        live.undo("stop_apply").await;
    }
    assert!(matches!(live.probe("stop_apply").await, Probe::Absent));
    live.mark().await;
    live.perform("await_drained").await.unwrap();
    assert_eq!(live.counts().await, ["51 50 50", "51 50 50"]);
    // Stopped once more, and taken down as a whole: nothing is enabled that is gone.
    live.perform("stop_apply").await.unwrap();
    live.undo("start_apply").await;
    live.undo("stop_apply").await;
    assert_eq!(live.ask_target("select count(*) from pg_subscription").await, "0");
}
