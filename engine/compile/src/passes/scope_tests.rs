use pgkedge_model::{Each, StepGraph, UnloggedPolicy};
use serde_json::json;

use crate::testing::{Sketch, World};

/// Each step with its scope and its members.
fn scopes(graph: &StepGraph) -> String {
    let line = |step: &pgkedge_model::StepNode| {
        let members: Vec<&str> = step.members.iter().map(|member| member.key.as_str()).collect();
        let scope = step.scope.as_ref().map_or("-", |scope| scope.as_str());
        format!("{scope} {}: {}", step.id, members.join(" "))
    };
    graph.steps().map(|step| line(step)).collect::<Vec<_>>().join("\n")
}

fn graph(sketch: &Sketch, world: &World) -> StepGraph {
    sketch.compile(world).unwrap_or_else(|findings| panic!("{findings:#?}")).graph
}

fn world() -> World {
    World::new()
        .table(1, "public.a")
        .table(2, "public.b")
        .table(3, "public.c")
        .table(4, "public.d")
        .index(10, "public.a_index", 1, false)
        .entry(11, "INDEX ATTACH", "public.attached", &[10])
}

fn two_slots() -> Sketch {
    let groups = [("one", &["public.a", "public.c"] as &[&str], "one"), ("rest", &["*"], "rest")];
    Sketch::new().slots(&["one", "rest"]).carried(&groups)
}

#[test]
fn what_a_slot_loads_belongs_to_it_from_the_first_hand_off_on() {
    let sketch = two_slots()
        .step("set_up/early", "small", Some(Each::Table), json!({}))
        .step("set_up/slot", "alone", Some(Each::Slot), json!({ "writes": ["slot:{}"] }))
        .step("set_up/set", "alone", Some(Each::ReplicationSet), json!({}))
        .step("load/prove", "alone", Some(Each::Slot), json!({ "writes": ["slot_hand_off:{}"] }))
        .step("load/copy", "small", Some(Each::Part), json!({ "adds": ["data:{}"] }))
        .step("load/chain", "chain", Some(Each::Table), json!({ "reads": ["data:{}"] }))
        .step("load/index", "alone", Some(Each::Index), json!({}))
        .step("load/once", "alone", None, json!({}));
    insta::assert_snapshot!(scopes(&graph(&sketch, &world())), @r"
    - set_up/early/bundle-0001: public.a public.b public.c public.d
    - set_up/slot/one: one
    - set_up/slot/rest: rest
    - set_up/set/one: one
    - set_up/set/rest: rest
    one load/prove/one: one
    rest load/prove/rest: rest
    one load/copy/bundle-0001: public.a public.c
    rest load/copy/bundle-0002: public.b public.d
    one load/chain/public.a: public.a
    rest load/chain/public.b: public.b
    one load/chain/public.c: public.c
    rest load/chain/public.d: public.d
    one load/index/a_index: a_index
    one load/index/attached: attached
    - load/once: 
    ");
}

#[test]
fn without_a_hand_off_nothing_belongs_to_a_slot() {
    let sketch = two_slots().step("load/copy", "small", Some(Each::Part), json!({}));
    insta::assert_snapshot!(scopes(&graph(&sketch, &world())), @"- load/copy/bundle-0001: public.a public.b public.c public.d");
}

#[test]
fn a_scope_is_part_of_what_a_step_is() {
    let digests = |sketch: &Sketch| -> Vec<_> {
        graph(sketch, &world()).steps().map(|step| step.digest.clone()).collect()
    };
    let load =
        |sketch: Sketch| {
            sketch
                .step("load/prove", "alone", None, json!({ "writes": ["slot_hand_off:one"] }))
                .step("load/copy", "alone", Some(Each::Table), json!({}))
        };
    let (one, other) = (digests(&load(two_slots())), digests(&load(Sketch::new().captured())));
    assert_eq!(one[0], other[0]);
    assert!(one[1..].iter().zip(&other[1..]).all(|(one, other)| one != other));
}

#[test]
fn unlogged_tables_are_copied_by_the_step_that_is_theirs() {
    let world = World::new().table(1, "public.a").table(2, "public.b").unlogged(2);
    let together = Sketch::new().step("load/copy", "alone", Some(Each::Part), json!({}));
    let mut apart =
        together.clone().step("late/unlogged", "alone", Some(Each::UnloggedPart), json!({}));
    insta::assert_snapshot!(scopes(&graph(&together, &world)), @r"
    - load/copy/public.a: public.a
    - load/copy/public.b: public.b
    ");
    insta::assert_snapshot!(scopes(&graph(&apart, &world)), @r"
    - load/copy/public.a: public.a
    - late/unlogged/public.b: public.b
    ");
    apart.settings.unlogged = UnloggedPolicy::SchemaOnly;
    insta::assert_snapshot!(scopes(&graph(&apart, &world)), @"- load/copy/public.a: public.a");
}

#[test]
fn a_capture_that_copies_no_unlogged_rows_says_so() {
    let world = World::new().table(1, "public.a").table(2, "public.b").unlogged(2);
    let mut sketch =
        Sketch::new().captured().step("one/slot", "alone", Some(Each::Slot), json!({}));
    insta::assert_snapshot!(sketch.errors(&world));
    sketch.settings.unlogged = UnloggedPolicy::SchemaOnly;
    assert_eq!(sketch.errors(&world), "");
}

#[test]
fn without_slots_steps_over_slots_are_none() {
    let sketch = Sketch::new().step("one/slot", "alone", Some(Each::Slot), json!({})).step(
        "one/set",
        "alone",
        Some(Each::ReplicationSet),
        json!({}),
    );
    assert_eq!(graph(&sketch, &world()).steps().count(), 0);
}

#[test]
fn a_service_with_nothing_to_hold_need_not_be_stopped() {
    let sketch = Sketch::new().step("one/hold", "service", Some(Each::Slot), json!({})).step(
        "one/stop",
        "alone",
        None,
        json!({ "stops": "hold" }),
    );
    let graph = graph(&sketch, &world());
    assert_eq!(graph.step(&"one/stop".into()).unwrap().stops, None);
}

#[test]
fn phases_that_are_taken_back_have_the_deadline_of_the_cutover() {
    let mut sketch = Sketch::new().step("before/a", "alone", None, json!({})).step(
        "fence/b",
        "alone",
        None,
        json!({}),
    );
    sketch.phases[1].on_failure = pgkedge_model::OnFailure::Undo;
    let graph = graph(&sketch, &world());
    let deadline = |phase: &str| graph.rule(&pgkedge_model::PhaseName(phase.into())).deadline;
    assert_eq!(
        (deadline("before"), deadline("fence")),
        (None, Some(sketch.settings.cutover.deadline))
    );
}
