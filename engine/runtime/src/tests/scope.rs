//! Scopes: a lost snapshot starts the unfinished ones over, and no other.

use std::collections::BTreeSet;

use pgkedge_model::{CloseStatus, FailureClass, Ident, Record, StepId};
use serde_json::Value;

use super::graph::{Sketch, header, step};
use super::world::{Trial, Turn, options};
use crate::{RunOptions, StopSignal};

const SNAPSHOT: &str = "snapshot:source";

/// Two slots that load from one snapshot, with what follows a load.
pub(super) fn loads() -> Vec<Sketch> {
    let reader = |id: &str, needs: &[&str], scope: &str| {
        step(id, needs).scope(scope).reads(SNAPSHOT).phase(1)
    };
    vec![
        step("slot", &[]),
        step("hold", &[]).service().writes(SNAPSHOT).writes("hand_off:lsn").phase(1),
        step("prove_a", &["hold"]).leaves(pgkedge_model::Leaves::Nothing).scope("a").phase(1),
        reader("copy_a1", &["hold", "prove_a"], "a"),
        reader("copy_a2", &["hold", "prove_a"], "a"),
        step("index_a1", &["copy_a1"]).scope("a").phase(1),
        reader("copy_a3", &["hold", "copy_a2"], "a"),
        reader("copy_b", &["hold"], "b"),
        step("release", &["hold", "copy_a1", "copy_a2", "copy_a3", "copy_b", "prove_a"])
            .writes(SNAPSHOT)
            .stops("hold")
            .phase(1),
        step("apply_a", &[]).scope("a").phase(2),
        step("apply_b", &[]).scope("b").phase(2),
    ]
}

fn doomed() -> Trial {
    let trial = Trial::new(header(&loads(), 8, 8));
    trial.world.doom("hold", &["copy_a1", "index_a1", "copy_a2", "copy_b"]);
    trial.world.script("copy_a2", &[Turn::Linger]);
    trial
}

pub(super) fn voided(trial: &Trial) -> Vec<(String, u32)> {
    trial
        .records()
        .into_iter()
        .filter_map(|record| {
            let Record::GroupVoided { group, generation } = record else { return None };
            Some((group.as_str().to_owned(), generation))
        })
        .collect()
}

pub(super) fn names(steps: &[StepId]) -> Vec<&str> {
    steps.iter().map(|step| step.0.as_str()).collect()
}

/// Every effect holds, and no scope was read from two snapshots.
pub(super) fn check_whole(trial: &Trial) {
    let state = trial.world.state();
    assert_eq!(state.wrong, Vec::<String>::new());
    let graph = &trial.world.header.graph;
    for node in graph.steps().filter(|node| !node.service) {
        assert!(state.held.contains(&node.id), "{} is missing", node.id);
    }
    for scope in ["a", "b"].map(|scope| Ident::new(scope).unwrap()) {
        let readers = graph.steps().filter(|node| node.scope.as_ref() == Some(&scope));
        let hold = StepId::from("hold");
        let snapshots: BTreeSet<String> = readers
            .filter_map(|node| state.made_of[&node.id].1.get(&hold).map(Value::to_string))
            .collect();
        assert!(snapshots.len() <= 1, "scope {scope} was read from snapshots {snapshots:?}");
    }
}

#[tokio::test]
async fn a_lost_snapshot_starts_unfinished_scopes_over_within_the_run_and_finished_ones_stay() {
    let trial = doomed();
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    check_whole(&trial);
    assert_eq!(voided(&trial), [("a".to_owned(), 1)]);
    let state = trial.world.state();
    assert_eq!(names(&state.undone), ["index_a1", "copy_a2", "copy_a1"]);
    assert_eq!(state.made[&"copy_a1".into()], 2);
    assert_eq!(state.made[&"copy_b".into()], 1);
    assert_eq!(state.made[&"prove_a".into()], 2);
    for (step, generation) in [("copy_a1", 1), ("apply_a", 1), ("copy_b", 0), ("slot", 0)] {
        assert_eq!(state.made_of[&step.into()].0, generation, "{step}");
    }
}

#[tokio::test]
async fn a_step_that_fails_because_the_snapshot_is_gone_is_no_failure_of_the_run() {
    let trial = Trial::new(header(&loads(), 8, 8));
    trial.world.script("copy_a2", &[Turn::Fail(FailureClass::Permanent)]);
    trial.world.script("copy_b", &[Turn::Linger]);
    trial.world.doom("hold", &["copy_a1", "copy_b"]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Succeeded, "{report:?}");
    assert!(report.failed.is_empty());
    check_whole(&trial);
}

#[tokio::test]
async fn a_snapshot_that_is_lost_again_and_again_ends_the_run_and_resume_goes_on() {
    let trial = Trial::new(header(&loads(), 8, 8));
    for _ in 0..3 {
        trial.world.doom("hold", &["copy_a1", "copy_a2", "copy_b"]);
    }
    trial.world.script("copy_a2", &[Turn::Linger; 9]);
    let mut options = options();
    options.retry.attempts = 3;
    let report = trial.run_with(&StopSignal::new(), RunOptions { ..options }).await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("hold"));
    trial.world.script("copy_a2", &[]);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    check_whole(&trial);
}

#[tokio::test]
async fn an_undo_that_fails_leaves_the_scope_void_and_the_next_run_finishes_it() {
    let trial = doomed();
    let fails = Turn::Fail(FailureClass::Operator);
    trial.world.script("copy_a1", &[Turn::Work, fails]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("copy_a1"));
    assert_eq!(voided(&trial), []);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    assert_eq!(voided(&trial), [("a".to_owned(), 1)]);
    check_whole(&trial);
}

#[tokio::test]
async fn killed_twice_anywhere_no_scope_is_read_from_two_snapshots() {
    for events in 1.. {
        let trial = Trial::new(header(&loads(), 8, 8));
        let ended = trial.crash_after(events).await;
        if !ended {
            trial.crash_after(1 + events * 7 % 23).await;
            assert_eq!(trial.run().await.status, CloseStatus::Succeeded, "after {events}");
        }
        check_whole(&trial);
        if ended {
            assert!(events > 30, "it was killed at only {events} events");
            return;
        }
    }
}

#[tokio::test]
async fn a_scope_that_has_not_begun_is_not_void_when_its_service_starts_again() {
    let sketches = [
        step("hold", &[]).service().writes(SNAPSHOT),
        step("first", &["hold"]),
        step("copy", &["hold", "first"]).scope("a").reads(SNAPSHOT),
    ];
    let trial = Trial::new(header(&sketches, 4, 4));
    trial.world.script("first", &[Turn::Fail(FailureClass::Permanent)]);
    assert_eq!(trial.run().await.status, CloseStatus::Failed);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    assert_eq!(voided(&trial), []);
    trial.check_complete();
}
