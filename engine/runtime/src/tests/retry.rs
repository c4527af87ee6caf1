//! What is tried again, what is asked first, and what fails for good.

use std::time::Duration;

use pgkedge_model::{CloseStatus, Event, FailureClass, Probe, Record, StepId};

use serde_json::json;

use super::graph::{Sketch, header, step};
use super::world::{Trial, Turn};
use crate::{RunOptions, StopSignal};

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_until_the_budget_is_spent() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Transient); 20]);
    let began = tokio::time::Instant::now();
    let report = trial.run_with(&StopSignal::new(), RunOptions::default()).await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert!(began.elapsed() > Duration::from_secs(75), "{:?}", began.elapsed());
    let failures: Vec<bool> = trial
        .records()
        .iter()
        .filter_map(|record| {
            let Record::StepFailed { retried, .. } = record else { return None };
            Some(*retried)
        })
        .collect();
    assert_eq!(failures, [true, true, true, true, true, true, true, false]);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_and_not_made_again() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::LoseReply]);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
    assert!(
        trial.records().iter().any(|record| matches!(
            record,
            Record::StepSucceeded { attempt: 2, adopted: true, .. }
        ))
    );
}

#[tokio::test]
async fn a_session_that_still_works_is_waited_for() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Transient)]);
    let busy = Probe::InProgress("session 4711 builds it".into());
    trial.world.state().probes.insert("a".into(), [busy.clone(), busy, Probe::Partial].into());
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    let waits = |event: &&Event| matches!(event, Event::Waiting { .. });
    assert_eq!(trial.world.state().events.iter().filter(waits).count(), 2);
}

#[tokio::test]
async fn what_another_made_is_left_alone() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Transient)]);
    let foreign = Probe::Foreign("the schema was there before".into());
    trial.world.state().probes.insert("a".into(), [foreign].into());
    let report = trial.run().await;
    assert_eq!(report.failed[0].1.class, FailureClass::Blocked);
    assert!(trial.world.state().made.is_empty());
}

#[tokio::test]
async fn a_panic_is_the_failure_of_its_step() {
    let trial = Trial::new(header(&[step("a", &[]), step("b", &["a"]), step("c", &[])], 4, 4));
    trial.world.script("a", &[Turn::Panic]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("a"));
    assert_eq!(report.abandoned, [(StepId::from("b"), StepId::from("a"))]);
    assert!(trial.world.state().held.contains(&"c".into()));
}

#[tokio::test]
async fn other_branches_go_on_until_the_phase_needs_the_failed_step() {
    let sketches = [step("a", &[]), step("b", &[]), step("c", &["b"]), step("d", &[]).phase(1)];
    let trial = Trial::new(header(&sketches, 1, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Operator)]);
    let report = trial.run().await;
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.abandoned, [(StepId::from("d"), StepId::from("a"))]);
    assert!(trial.world.state().held.contains(&"c".into()));
}

#[tokio::test]
async fn the_biggest_goes_first() {
    let sized = |id: &str, cost| Sketch { cost, ..step(id, &[]) };
    let trial = Trial::new(header(&[sized("s", 1), sized("l", 9), sized("m", 5)], 1, 4));
    trial.run().await;
    let started: Vec<_> = trial.world.state().started.iter().map(|id| id.0.clone()).collect();
    assert_eq!(started, ["l", "m", "s"]);
}

#[tokio::test]
async fn outputs_of_what_a_step_waits_for_are_its_inputs() {
    let trial = Trial::new(header(&[step("a", &[]), step("b", &["a"])], 1, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Transient)]);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    let inputs = &trial.world.state().inputs[&"b".into()];
    assert_eq!(inputs[&"a".into()], json!({ "made_by": 2 }));
}
