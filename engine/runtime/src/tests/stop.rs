//! The three stages of Ctrl-C, and runs that are taken over.

use std::collections::VecDeque;
use std::time::Duration;

use pgkedge_model::{CloseStatus, FailureClass, Record, StepId, StepState};

use super::graph::{header, step};
use super::world::{State, Trial, Turn};
use crate::{JournalReader, RunError, RunReport, StopSignal, StopStage};

async fn stopped_while(trial: &Trial, running: &str, stages: &[StopStage]) -> RunReport {
    let stop = StopSignal::new();
    let running = StepId::from(running);
    let user = async {
        let begun = |state: &State| state.script.get(&running).is_none_or(VecDeque::is_empty);
        trial.world.until(|state| state.running.contains(&running) && begun(state)).await;
        for stage in stages {
            stop.raise(*stage);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        report = trial.run_until(&stop) => report,
        () = user => unreachable!(),
    }
}

#[tokio::test]
async fn the_first_ctrl_c_lets_steps_finish_and_starts_nothing_new() {
    let sketches = [step("hold", &[]).service(), step("a", &["hold"]), step("b", &["a"])];
    let trial = Trial::new(header(&sketches, 4, 4));
    trial.world.script("a", &[Turn::Linger]);
    let report = stopped_while(&trial, "a", &[StopStage::Finish]).await;
    assert_eq!(report.status, CloseStatus::Interrupted);
    assert!(trial.world.state().held.contains(&"a".into()));
    assert!(!trial.world.state().started.contains(&"b".into()));
    assert!(matches!(
        trial.records().last(),
        Some(Record::RunClosed { status: CloseStatus::Interrupted })
    ));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn the_second_ctrl_c_cancels() {
    let sketches = [step("hold", &[]).service(), step("a", &["hold"])];
    let trial = Trial::new(header(&sketches, 4, 4));
    trial.world.script("a", &[Turn::Hang]);
    let report = stopped_while(&trial, "a", &[StopStage::Finish, StopStage::Cancel]).await;
    assert_eq!(report.status, CloseStatus::Interrupted);
    assert_eq!(report.cancelled, [StepId::from("a")]);
    assert!(report.failed.is_empty());
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn a_step_that_does_not_heed_a_cancel_is_left_uncertain() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::Ignore]);
    let report = stopped_while(&trial, "a", &[StopStage::Cancel]).await;
    assert_eq!(report.status, CloseStatus::Interrupted);
    let reader = JournalReader::open(trial.folder.path()).unwrap();
    let state = reader.checkpoint().unwrap().state(&"a".into()).clone();
    assert_eq!(state, StepState::Running { attempt: 1 });
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn the_third_ctrl_c_returns_at_once_and_records_nothing() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::Ignore]);
    let report = stopped_while(&trial, "a", &[StopStage::Leave]).await;
    assert_eq!(report.status, CloseStatus::Interrupted);
    assert!(matches!(trial.records().last(), Some(Record::StepStarted { .. })));
    trial.world.until(|state| state.running.is_empty()).await;
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn a_runner_that_lost_its_fence_stops_at_once() {
    let trial = Trial::new(header(&[step("a", &[]), step("b", &["a"])], 4, 4));
    trial.world.script("a", &[Turn::Ignore]);
    let lose = async {
        trial.world.until(|state| !state.running.is_empty()).await;
        trial.world.fence_lost.notify_one();
        std::future::pending::<()>().await;
    };
    let report = tokio::select! { report = trial.run() => report, () = lose => unreachable!() };
    assert_eq!(report.status, CloseStatus::Failed);
    assert!(report.is_fenced());
    assert!(trial.world.state().running.is_empty());
}

#[tokio::test]
async fn a_step_that_is_fenced_off_stops_the_whole_run() {
    let trial = Trial::new(header(&[step("a", &[]), step("b", &[])], 4, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Fenced)]).script("b", &[Turn::Ignore]);
    let report = trial.run().await;
    assert!(matches!(report.cause, Some(RunError::Fenced(_))), "{report:?}");
    assert!(report.is_fenced());
}

#[tokio::test]
async fn every_runner_has_an_epoch_of_its_own() {
    let trial = Trial::new(header(&[step("a", &[])], 4, 4));
    trial.world.script("a", &[Turn::Fail(FailureClass::Permanent)]);
    trial.run().await;
    trial.run().await;
    let epochs: Vec<u64> = trial.world.state().epochs.iter().map(|epoch| epoch.0).collect();
    assert_eq!(epochs, [1, 2]);
}
