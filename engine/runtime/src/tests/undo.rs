//! Taking a run back.

use pgkedge_model::{CloseStatus, FailureClass, Leaves, StepId};

use super::graph::{Sketch, header, step};
use super::world::{Trial, Turn};
use crate::{RunError, UndoScope};

fn sketches() -> Vec<Sketch> {
    vec![
        step("ledger", &[]).leaves(Leaves::Scaffold),
        step("hold", &["ledger"]).service(),
        step("table", &["hold"]),
        step("copy", &["table"]),
        step("check", &["copy"]).leaves(Leaves::Nothing),
        step("never", &["check"]),
    ]
}

async fn failed_run() -> Trial {
    let trial = Trial::new(header(&sketches(), 4, 4));
    trial.world.script("check", &[Turn::Fail(FailureClass::Differences)]);
    assert_eq!(trial.run().await.status, CloseStatus::Failed);
    trial
}

fn undone(trial: &Trial) -> Vec<String> {
    trial.world.state().undone.iter().map(|id| id.0.clone()).collect()
}

#[tokio::test]
async fn abort_undoes_everything_in_reverse_and_the_ledger_last() {
    let trial = failed_run().await;
    let report = trial.undo(UndoScope::Everything).await;
    assert_eq!(report.status, Some(CloseStatus::Aborted), "{report:?}");
    assert_eq!(undone(&trial), ["copy", "table", "ledger"]);
    assert!(trial.world.state().held.is_empty());
}

#[tokio::test]
async fn cleanup_undoes_the_scaffold_alone() {
    let trial = failed_run().await;
    let report = trial.undo(UndoScope::Scaffold).await;
    assert_eq!(report.status, Some(CloseStatus::CleanedUp));
    assert_eq!(undone(&trial), ["ledger"]);
    let again = trial.run().await;
    assert!(matches!(again.cause, Some(RunError::Over(CloseStatus::CleanedUp))), "{again:?}");
}

#[tokio::test]
async fn the_ledger_stays_while_anything_of_the_result_does_and_the_next_try_finishes() {
    let trial = failed_run().await;
    trial.world.script("table", &[Turn::Fail(FailureClass::Operator)]);
    let report = trial.undo(UndoScope::Everything).await;
    assert_eq!(report.status, Some(CloseStatus::Failed));
    let left: Vec<StepId> = report.left.into_iter().map(|(step, _)| step).collect();
    assert_eq!(left, [StepId::from("table"), StepId::from("ledger")]);
    let report = trial.undo(UndoScope::Everything).await;
    assert_eq!(report.status, Some(CloseStatus::Aborted));
    assert_eq!(undone(&trial), ["copy", "table", "ledger"]);
}

#[tokio::test]
async fn an_undo_that_panics_is_left_and_said() {
    let trial = failed_run().await;
    trial.world.script("copy", &[Turn::Panic]);
    let report = trial.undo(UndoScope::Everything).await;
    assert_eq!(report.left[0].0, StepId::from("copy"));
    assert_eq!(report.undone, [StepId::from("table")]);
}
