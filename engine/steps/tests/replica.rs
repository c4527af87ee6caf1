//! Loads from a paused physical replica of a real source, and loses the pause in every way there is.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

#[path = "replica/world.rs"]
mod world;

use pgkedge_model::{Capture, FailureClass, Finding, Probe, Server, Severity};
use pgkedge_sandbox::StopMode;
use serde_json::json;
use world::World;

const EARLY: &str = "create table public.orders (id int8 primary key, note text);
    insert into public.orders select n, repeat('x', 500) from generate_series(1, 2000) n;
    create unlogged table public.fleeting (a int4); insert into public.fleeting values (1);
    select lo_from_bytea(o::oid, convert_to('object ' || o, 'UTF8')) from generate_series(50001, 50005) o;
    comment on large object 50003 is 'three'";

const LATE: &str = "insert into public.orders select n, 'late' from generate_series(2001, 2100) n;
    select lo_put(50002, 0, 'changed'); select lo_unlink(50004); select lo_create(50009);
    comment on large object 50003 is 'drei'";

const COUNT: &str = "select count(*) from public.orders";

#[tokio::test]
async fn a_load_from_a_paused_replica_sees_nothing_that_came_later() {
    let world = World::start(EARLY).await;
    world.hand_off().await.unwrap();
    world.source.execute(LATE).await.unwrap();
    world.load(json!({ "from": "replica" })).await.unwrap();
    assert_eq!(world.ask(&world.target, COUNT).await, "2000");
    let objects = "select string_agg(oid::text, ' ' order by oid) || ' ' || \
                   convert_from(lo_get(50002), 'UTF8') from pg_largeobject_metadata";
    let loaded = "50001 50002 50003 50004 50005 object 50002";
    assert_eq!(world.ask(&world.target, objects).await, loaded);

    let tables = world.tables();
    let against = |what: &str| json!({ "against": what });
    world.perform_all("verify", &tables, against("replica")).await.unwrap();
    let failure = world.perform_all("verify", &tables, against("source")).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Differences);

    world.perform_once("resume_replay", json!({})).await.unwrap();
    let again = world.perform_once("resume_replay", json!({})).await.unwrap();
    assert_eq!(again, json!({ "resumed": false }));
    assert_eq!(world.replay().await, "not paused");

    let output = world.perform_once("copy_large_objects", json!({ "at": "cutover" })).await;
    assert_eq!(output.unwrap()["objects"], 3);
    let moved = "50001 50002 50003 50005 50009 changed50002";
    assert_eq!(world.ask(&world.target, objects).await, moved);
    let comment = "select obj_description(50003, 'pg_largeobject')";
    assert_eq!(world.ask(&world.target, comment).await, "drei");
    // Taken back, and done again: nothing is lost but what the first attempt copied.
    world.undo("copy_large_objects", json!({ "at": "cutover" })).await.unwrap();
    let left = "select string_agg(oid::text, ' ' order by oid) from pg_largeobject_metadata";
    assert_eq!(world.ask(&world.target, left).await, "50001 50005");
    world.perform_once("copy_large_objects", json!({ "at": "cutover" })).await.unwrap();
    assert_eq!(world.ask(&world.target, objects).await, moved);
}

#[tokio::test]
async fn a_pause_that_ended_is_found_before_and_after_the_rows() {
    let world = World::start(EARLY).await;
    world.hand_off().await.unwrap();
    let noted = world.noted_lsn().await;
    let parts = world.parts();
    let copy = || world.perform_all("copy_part", &parts, json!({ "from": "replica" }));
    let refused = async |what: &str| {
        let failure = copy().await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Operator, "{failure:?}");
        assert!(failure.message.contains(what), "{failure:?}");
        assert!(failure.message.ends_with(&format!("was at {noted}")), "{failure:?}");
        assert!(failure.help.unwrap().contains("pgkedge redo --group"));
        assert_eq!(world.ask(&world.target, COUNT).await, "0");
    };

    // Somebody resumes it in the middle of the COPY.
    let mut node = world.nodes("copy_part", &parts, json!({ "from": "replica" })).remove(0);
    let resume = "do $$ begin perform pg_wal_replay_resume(); end $$";
    let resume = world::with_text(&node.before[0], resume);
    node.before.push(resume);
    let failure = world.perform(node).await.unwrap_err();
    assert!(failure.message.contains("somebody resumed its replay"), "{failure:?}");
    refused("somebody resumed its replay").await;

    world.source.execute("insert into public.orders values (0, 'moved on')").await.unwrap();
    world.replica_catches_up().await;
    world.replica().await.execute("select pg_wal_replay_pause()").await.unwrap();
    world.replay_is("paused").await;
    refused("it was paused anew").await;
    let failure =
        world.perform_all("verify", &world.tables(), json!({ "against": "replica" })).await;
    assert!(failure.unwrap_err().message.contains("it was paused anew"));

    world.cluster(Server::Replica).stop(StopMode::Fast).unwrap();
    world.cluster(Server::Replica).start().unwrap();
    refused("it was restarted at").await;

    world.cluster(Server::Replica).promote().unwrap();
    refused("it was promoted").await;
}

#[tokio::test]
async fn a_pause_of_this_run_is_adopted_and_one_of_somebody_else_refused() {
    let world = World::start(EARLY).await;
    world.replica().await.execute("select pg_wal_replay_pause()").await.unwrap();
    world.replay_is("paused").await;
    for kind in ["await_replica", "pause_replay"] {
        let failure = world.perform_once(kind, json!({})).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Blocked, "{failure:?}");
        assert!(failure.message.contains("paused"), "{failure:?}");
    }
    assert!(matches!(world.probe("pause_replay").await.unwrap(), Probe::Foreign(_)));
    world.undo("pause_replay", json!({})).await.unwrap();
    assert_eq!(world.replay().await, "paused");
    let seen = pgkedge_steps::scan(world.endpoint(Server::Replica)).await.unwrap();
    // A pause without publications is no run's.
    assert!(seen.iter().all(|left| left.paused_at.is_none() && left.sql().is_empty()), "{seen:?}");
    world.replica().await.execute("select pg_wal_replay_resume()").await.unwrap();

    let publish = "create publication pgkedge_all_1a2b3c4d for table public.orders";
    world.source.execute(publish).await.unwrap();
    world.hand_off().await.unwrap();
    let lsn = world.noted_lsn().await;
    let seen = pgkedge_steps::scan(world.endpoint(Server::Replica)).await.unwrap().remove(0);
    assert_eq!((seen.tag.0.as_str(), seen.paused_at), ("1a2b3c4d", lsn.parse().ok()));
    assert_eq!(seen.sql(), ["select pg_catalog.pg_wal_replay_resume()"]);
    assert_eq!(world.probe("pause_replay").await.unwrap(), Probe::Applied(json!({ "lsn": lsn })));
    let Probe::Applied(hand_off) = world.probe("capture_hand_off").await.unwrap() else {
        panic!("the hand-off was not adopted")
    };
    assert_eq!(hand_off["lsn"], lsn);
    world.undo("pause_replay", json!({})).await.unwrap();
    assert_eq!(world.replay().await, "not paused");
    assert_eq!(world.probe("capture_hand_off").await.unwrap(), Probe::Absent);
    let failure = world.perform_once("capture_hand_off", json!({})).await.unwrap_err();
    assert!(failure.message.contains("not paused any more"), "{failure:?}");
}

#[tokio::test]
async fn a_reader_in_the_way_of_replay_is_waited_for() {
    let world = World::start(EARLY).await;
    world.replica_catches_up().await;
    let reader = world.replica().await;
    reader.execute("begin isolation level repeatable read").await.unwrap();
    assert_eq!(world.ask(&reader, COUNT).await, "2000");
    world.source.execute("delete from public.orders where id <= 1000").await.unwrap();
    world.source.execute("vacuum public.orders").await.unwrap();
    world.replay_stands_still().await;
    let pause = world.perform_once("pause_replay", json!({}));
    let end = async {
        world.told("it was asked to pause").await;
        assert_eq!(world.replay().await, "pause requested");
        reader.execute("rollback").await.unwrap();
    };
    let (output, ()) = tokio::join!(pause, end);
    let lsn = output.unwrap()["lsn"].as_str().unwrap().to_owned();
    assert_eq!(world.replay().await, "paused");
    assert_eq!(world.noted_lsn().await, lsn);
}

#[tokio::test]
async fn what_moved_since_the_plan_was_compiled_is_named() {
    let world = World::start(EARLY).await;
    let compare = || world.perform_once("compare_catalogs", json!({ "against": "compiled" }));
    world
        .source
        .execute(
            "insert into public.orders values (-1, 'more'); analyze; truncate public.fleeting;
             create publication pgkedge_all_1a2b3c4d for table public.orders",
        )
        .await
        .unwrap();
    assert_eq!(compare().await.unwrap(), json!({ "moved": 0 }));
    world
        .source
        .execute(
            "alter table public.orders add column extra int4; drop table public.fleeting;
             create index by_note on public.orders (note); create table public.added (a int4)",
        )
        .await
        .unwrap();
    let failure = compare().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Operator);
    for told in [
        "public.orders has a new column extra (integer)",
        "public.fleeting is gone",
        "INDEX public.by_note is new",
        "public.added is new",
    ] {
        assert!(failure.details.contains(&told.to_owned()), "{told}: {failure:?}");
    }
    assert!(failure.help.unwrap().contains("pgkedge abort"));
}

#[tokio::test]
async fn preflight_tells_what_capture_and_a_pause_would_meet() {
    let world = World::start(EARLY).await;
    let found = async |capture: &Capture| -> Vec<String> {
        let findings = world.preflight(capture).await;
        let about = ["source", "replica", "target"].map(|server| format!("{server}::"));
        let is_serious = |finding: &&Finding| finding.severity > Severity::Note;
        let codes = findings.iter().filter(is_serious).map(|finding| finding.code.clone());
        let ours = |code: &String| {
            about.iter().any(|about| code.starts_with(about))
                && !["target::not_empty", "target::other_run"].contains(&code.as_str())
        };
        codes.filter(ours).collect()
    };
    let mut capture = world.capture().clone();
    assert_eq!(found(&capture).await, Vec::<String>::new());

    world.replica().await.execute("alter system set hot_standby_feedback = on").await.unwrap();
    world.replica().await.execute("select pg_reload_conf()").await.unwrap();
    world.replica().await.execute("select pg_wal_replay_pause()").await.unwrap();
    world.replay_is("paused").await;
    capture.slots[0].existing = true;
    let slot = capture.slots[0].clone();
    capture.slots.extend(vec![slot; 50]);
    let codes = found(&capture).await;
    for code in [
        "replica::paused",
        "replica::feedback",
        "source::existing_slot",
        "source::max_wal_senders",
        "target::max_logical_replication_workers",
        "target::max_replication_slots",
        "target::max_worker_processes",
    ] {
        assert!(codes.iter().any(|found| found == code), "{code}: {codes:?}");
    }
}
