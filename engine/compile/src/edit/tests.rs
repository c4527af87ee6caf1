use pgkedge_model::{Capture, Each, Failure, RunId, Server, Settings};
use serde_json::json;

use super::*;
use crate::testing::{Sketch, World, shown};

/// Three phases; `one` is done, `two/service` holds, `two/now` runs, the rest is pending.
fn before() -> Sketch {
    plan(json!({ "sql": "select 1" }), "select 2", "select 3")
}

fn plan(first: Value, now: &str, last: &str) -> Sketch {
    Sketch::new()
        .step("one/first", "small", Some(Each::Table), first)
        .step("two/service", "service", None, json!({ "writes": ["snapshot:source"] }))
        .step("two/now", "alone", None, json!({ "sql": now, "reads": ["snapshot:source"] }))
        .step("two/stop", "alone", None, json!({ "stops": "service" }))
        .step("three/failed", "alone", None, json!({ "sql": last }))
        .step("three/last", "alone", None, json!({ "sql": last }))
}

fn world() -> World {
    World::new().table(1, "public.a").table(2, "public.b")
}

fn checkpoint() -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    let done = StepState::Succeeded { attempt: 1, output: Value::Null, adopted: false };
    let failure = Failure::permanent("no");
    let states = [
        ("one/first/bundle-0001", done),
        ("two/service", StepState::Ready { attempt: 1, output: Value::Null }),
        ("two/now", StepState::Running { attempt: 1 }),
        ("three/failed", StepState::Failed { attempt: 1, failure, retried: false }),
    ];
    checkpoint.steps.extend(states.map(|(id, state)| (StepId::from(id), state)));
    checkpoint
}

fn outcome(after: &Sketch, world_after: &World) -> String {
    let new = after.compile(world_after).unwrap_or_else(|findings| panic!("{findings:#?}")).graph;
    let header = header();
    match edit(&header, &checkpoint(), &RunHeader { graph: new, ..header.clone() }) {
        Ok(changes) => changes.join("\n"),
        Err(findings) => shown(findings.iter()),
    }
}

fn header() -> RunHeader {
    RunHeader {
        run_id: RunId("0".into()),
        engine: "0".into(),
        plan_name: "shop".into(),
        plan_path: "shop.yaml".into(),
        databases: BTreeMap::new(),
        settings: Settings::default(),
        facts: world().0,
        capture: Capture::default(),
        graph: before().compile(&world()).unwrap().graph,
    }
}

#[test]
fn options_of_the_plan_may_change_and_each_is_told() {
    let old = header();
    let mut new = old.clone();
    new.settings.load.workers = 9;
    new.settings.limits.target_connections = 3;
    let database = json!({ "url": { "env": "ELSEWHERE" } });
    new.databases.insert(Server::Source, serde_json::from_value(database).unwrap());
    assert_eq!(
        edit(&old, &checkpoint(), &new).unwrap(),
        [
            r#"changes databases.source: null → {"url":{"env":"ELSEWHERE"}}"#,
            "changes load.workers: 4 → 9",
            "changes limits.target_connections: 8 → 3",
        ]
    );
}

#[test]
fn the_same_plan_changes_nothing() {
    assert_eq!(outcome(&before(), &world()), "");
}

#[test]
fn pending_and_failed_steps_may_change() {
    let mut after = plan(json!({ "sql": "select 1" }), "select 2", "select 4");
    after.phases[2].steps.pop();
    let after =
        after.step("three/more", "alone", None, json!({})).step("four/x", "alone", None, json!({}));
    insta::assert_snapshot!(outcome(&after, &world()));
}

#[test]
fn done_and_running_steps_and_services_may_not() {
    let after = plan(json!({ "sql": "select 0" }), "select 22", "select 3");
    insta::assert_snapshot!(outcome(&after, &world()));
}

#[test]
fn a_done_step_may_neither_lose_members_nor_go() {
    insta::assert_snapshot!("members", outcome(&before(), &world().table(3, "public.c")));
    let mut after = before();
    after.phases[0].steps.clear();
    insta::assert_snapshot!("gone", outcome(&after, &world()));
}

#[test]
fn a_new_step_may_not_come_before_a_done_one() {
    let mut after = before();
    let early = Sketch::new().step("zero/early", "alone", None, json!({}));
    after.phases.insert(0, early.phases[0].clone());
    insta::assert_snapshot!(outcome(&after, &world()));
}

#[test]
fn a_step_that_is_done_again_may_come_before_a_done_one() {
    let (old, mut checkpoint) = (header(), checkpoint());
    checkpoint.steps.insert("one/first/bundle-0001".into(), StepState::Undone);
    assert_eq!(edit(&old, &checkpoint, &old).unwrap(), Vec::<String>::new());
}

#[test]
fn a_phase_that_has_begun_keeps_what_it_does_on_a_failure() {
    let (mut begun, mut pending) = (before(), before());
    begun.phases[1].on_failure = OnFailure::Undo;
    pending.phases[2].on_failure = OnFailure::Undo;
    insta::assert_snapshot!(outcome(&begun, &world()));
    assert_eq!(outcome(&pending, &world()), "takes three back on a failure");
}

#[test]
fn what_is_loaded_stays_on_its_slot() {
    let sketch = |slot: &str| {
        let other = if slot == "a" { "b" } else { "a" };
        Sketch::new()
            .slots(&["a", "b"])
            .carried(&[("first", &["public.a"], slot), ("rest", &["*"], other)])
            .step(
                "one/hand_off",
                "alone",
                Some(Each::Slot),
                json!({ "writes": ["slot_hand_off:{}"] }),
            )
            .step("one/load", "alone", Some(Each::Table), json!({ "sql": "select 1" }))
    };
    let graph = |slot: &str| sketch(slot).compile(&world()).unwrap().graph;
    let header = RunHeader { graph: graph("a"), ..header() };
    let done = StepState::Succeeded { attempt: 1, output: Value::Null, adopted: false };
    let mut checkpoint = Checkpoint::default();
    checkpoint.steps.insert("one/load/public.a".into(), done);
    let edited = RunHeader { graph: graph("b"), ..header.clone() };
    let findings = edit(&header, &checkpoint, &edited).unwrap_err();
    assert_eq!(
        shown(findings.iter().take(1)),
        "edit::frozen_step_changed: step `one/load/public.a` is done, and the edited plan changes it: \
         its slot, a → b\n  help: put it back as it was, or start another run after `pgkedge cleanup` or \
         `abort`"
    );
}
