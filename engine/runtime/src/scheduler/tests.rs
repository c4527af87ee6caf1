//! The state machine alone, driven by a world that is nothing but a list of what runs.

use std::collections::BTreeSet;

use pgkedge_model::{Checkpoint, CloseStatus, LimitChange, StepGraph, StepId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Action, Input, Limits, Scheduler};
use crate::tests::graph::{Sketch, header, step};

/// Random steps, each with needs among those before it; with how each of them ends.
fn sketches() -> impl Strategy<Value = (Vec<Sketch>, Vec<bool>)> {
    let needs = vec(any::<prop::sample::Index>(), 0..3);
    let one = (needs, 0..3_usize, 0..9_u64, 1..4_u16, prop::bool::weighted(0.1));
    vec(one, 1..40).prop_map(|drawn| {
        let mut phases: Vec<usize> = drawn.iter().map(|one| one.1).collect();
        phases.sort_unstable();
        let fails = drawn.iter().map(|one| one.4).collect();
        let sketches =
            drawn.into_iter().enumerate().map(|(at, (needs, _, cost, connections, _))| {
                let needs =
                    needs.iter().filter(|_| at > 0).map(|need| format!("s{}", need.index(at)));
                let (id, needs) = (format!("s{at}"), needs.collect());
                Sketch { id, phase: phases[at], needs, cost, connections, ..step("", &[]) }
            });
        (sketches.collect(), fails)
    })
}

/// What a whole run came to.
#[derive(Default)]
struct Played {
    succeeded: BTreeSet<StepId>,
    failed: BTreeSet<StepId>,
    closed: Vec<CloseStatus>,
    abandoned: BTreeSet<StepId>,
}

/// Plays a run to its end; `order` says which of the running steps ends next.
fn play(
    sketches: &[Sketch],
    fails: &BTreeSet<StepId>,
    limits: (u16, u16),
    order: &[prop::sample::Index],
) -> Played {
    let header = header(sketches, limits.0, limits.1);
    let mut scheduler = Scheduler::new(&header, &Checkpoint::default(), None);
    let (mut played, mut running) = (Played::default(), Vec::new());
    let mut actions = scheduler.next(Input::Opened);
    for turn in 0.. {
        for action in actions {
            match action {
                Action::Start { step, attempt, probe } => {
                    assert_eq!((attempt, probe), (1, false));
                    for need in behind(&header.graph, &step) {
                        assert!(played.succeeded.contains(&need), "{step} before {need}");
                    }
                    running.push(step);
                }
                Action::Close(status) => played.closed.push(status),
                Action::StopService(_) | Action::ReleaseService(_) => panic!("no service is there"),
            }
        }
        check_limits(&header.graph, &running, limits);
        if running.is_empty() {
            break;
        }
        let ended = running.remove(order[turn % order.len()].index(running.len()));
        let input = if fails.contains(&ended) {
            played.failed.insert(ended.clone());
            Input::Failed { step: ended, retry: false }
        } else {
            played.succeeded.insert(ended.clone());
            Input::Succeeded(ended)
        };
        actions = scheduler.next(input);
    }
    played.abandoned = scheduler.abandoned().into_iter().map(|(step, _)| step).collect();
    played
}

fn check_limits(graph: &StepGraph, running: &[StepId], (workers, connections): (u16, u16)) {
    assert!(running.len() <= usize::from(workers));
    let taken = running.iter().filter_map(|id| graph.step(id));
    let taken: u16 = taken.flat_map(|node| &node.resources.connections).map(|pair| pair.1).sum();
    assert!(taken <= connections || running.len() == 1, "{taken} of {connections}");
}

/// The steps before a step, through barriers.
fn behind(graph: &StepGraph, step: &StepId) -> BTreeSet<StepId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&StepId> = graph.needs(step).collect();
    while let Some(id) = open.pop() {
        if found.insert(id.clone()) {
            open.extend(graph.needs(id));
        }
    }
    found.retain(|id| graph.step(id).is_some());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_step_succeeds_fails_or_is_abandoned_behind_a_failed_one(
        (sketches, fails) in sketches(),
        workers in 1..5_u16,
        connections in 1..6_u16,
        order in vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let graph = header(&sketches, 1, 1).graph;
        let fails: BTreeSet<StepId> = sketches
            .iter()
            .zip(&fails)
            .filter(|(_, fails)| **fails)
            .map(|(sketch, _)| sketch.id.as_str().into())
            .collect();
        let played = play(&sketches, &fails, (workers, connections), &order);
        for node in graph.steps() {
            let dead = behind(&graph, &node.id).iter().any(|id| fails.contains(id));
            let fails = fails.contains(&node.id);
            prop_assert_eq!(played.abandoned.contains(&node.id), dead);
            prop_assert_eq!(played.failed.contains(&node.id), fails && !dead);
            prop_assert_eq!(played.succeeded.contains(&node.id), !fails && !dead);
        }
        let status =
            if played.failed.is_empty() { CloseStatus::Succeeded } else { CloseStatus::Failed };
        prop_assert_eq!(played.closed, [status]);
    }
}

fn starts(actions: &[Action]) -> Vec<&str> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Start { step, .. } => Some(step.0.as_str()),
            Action::StopService(_) | Action::ReleaseService(_) | Action::Close(_) => None,
        })
        .collect()
}

fn scheduler(sketches: &[Sketch], workers: u16, connections: u16) -> Scheduler {
    let header = header(sketches, workers, connections);
    Scheduler::new(&header, &Checkpoint::default(), None)
}

fn sized(id: &str, cost: u64, connections: u16) -> Sketch {
    Sketch { cost, connections, ..step(id, &[]) }
}

#[test]
fn smaller_steps_do_not_slip_past_a_bigger_one_that_waits_for_connections() {
    let sketches = [sized("l", 9, 2), sized("m", 5, 3), sized("s", 1, 1)];
    let mut scheduler = scheduler(&sketches, 9, 3);
    assert_eq!(starts(&scheduler.next(Input::Opened)), ["l"]);
    assert_eq!(starts(&scheduler.next(Input::Succeeded("l".into()))), ["m"]);
    assert_eq!(starts(&scheduler.next(Input::Succeeded("m".into()))), ["s"]);
}

#[test]
fn a_step_that_is_bigger_than_the_limit_runs_alone() {
    let mut scheduler = scheduler(&[sized("l", 9, 7), sized("s", 1, 1)], 9, 3);
    assert_eq!(starts(&scheduler.next(Input::Opened)), ["l"]);
    assert_eq!(starts(&scheduler.next(Input::Succeeded("l".into()))), ["s"]);
}

#[test]
fn a_raised_limit_starts_more_and_a_lowered_one_stops_nothing() {
    let sketches: Vec<_> = ["a", "b", "c", "d"].iter().map(|id| step(id, &[])).collect();
    let settings = header(&sketches, 1, 9).settings;
    let limits =
        |workers| Limits::new(&settings, LimitChange { workers, ..LimitChange::default() });
    let mut scheduler = scheduler(&sketches, 1, 9);
    assert_eq!(starts(&scheduler.next(Input::Opened)), ["a"]);
    assert_eq!(starts(&scheduler.next(Input::Limits(limits(Some(3))))), ["b", "c"]);
    assert!(scheduler.next(Input::Limits(limits(Some(1)))).is_empty());
    assert!(scheduler.next(Input::Succeeded("a".into())).is_empty());
    assert!(scheduler.next(Input::Succeeded("b".into())).is_empty());
    assert_eq!(starts(&scheduler.next(Input::Succeeded("c".into()))), ["d"]);
}

#[test]
fn a_lost_service_holds_its_dependants_back_and_its_failure_abandons_them() {
    let sketches = [step("hold", &[]).service(), step("a", &["hold"]), step("b", &["hold"])];
    let mut scheduler = scheduler(&sketches, 1, 9);
    scheduler.next(Input::Opened);
    let ready = |attempt| Input::ServiceReady { step: "hold".into(), attempt };
    assert_eq!(starts(&scheduler.next(ready(1))), ["a"]);
    scheduler.next(Input::Failed { step: "hold".into(), retry: true });
    assert!(starts(&scheduler.next(Input::Succeeded("a".into()))).is_empty());
    assert_eq!(starts(&scheduler.next(Input::RetryDue("hold".into()))), ["hold"]);
    assert!(starts(&scheduler.next(ready(1))).is_empty(), "that was another attempt");
    let closed = scheduler.next(Input::Failed { step: "hold".into(), retry: false });
    assert_eq!(closed, [Action::Close(CloseStatus::Failed)]);
    assert_eq!(scheduler.abandoned(), [("b".into(), "hold".into())]);
}

#[test]
fn ten_thousand_steps_are_scheduled_in_a_moment() {
    let names: Vec<String> = (0..10_000).map(|at| format!("s{at}")).collect();
    let sketches: Vec<_> = names.iter().map(|name| step(name, &[])).collect();
    let mut scheduler = scheduler(&sketches, 8, 8);
    let mut open: BTreeSet<StepId> = BTreeSet::new();
    let mut actions = scheduler.next(Input::Opened);
    let mut ended = 0;
    loop {
        open.extend(starts(&actions).into_iter().map(StepId::from));
        let Some(step) = open.pop_first() else { break };
        ended += 1;
        actions = scheduler.next(Input::Succeeded(step));
    }
    assert_eq!(ended, 10_000);
    assert_eq!(actions, [Action::Close(CloseStatus::Succeeded)]);
}
