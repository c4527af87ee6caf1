//! One scope, done again at a user's word.

use pgkedge_model::{CloseStatus, FailureClass, Leaves};

use super::graph::{Sketch, header_with_window, step};
use super::scope::{check_whole, loads, names, voided};
use super::world::{Trial, Turn};
use crate::RunError;

/// Two loads, a check of both, and a window.
fn sketches() -> Vec<Sketch> {
    let mut sketches = loads();
    for sketch in &mut sketches {
        if sketch.id.starts_with("apply") {
            let stream = format!("stream:{}", &sketch.id[6..]);
            *sketch = sketch.clone().writes(&stream);
        }
    }
    sketches.push(
        step("lag", &["apply_a", "apply_b"])
            .leaves(Leaves::Nothing)
            .reads("stream:a")
            .reads("stream:b")
            .phase(2),
    );
    sketches.push(step("fence", &[]).phase(3));
    sketches.push(step("open", &["fence"]).irreversible().phase(3));
    sketches
}

async fn stopped_before(step: &str) -> Trial {
    let trial = Trial::new(header_with_window(&sketches(), 3..4, None));
    trial.world.script(step, &[Turn::Fail(FailureClass::Permanent)]);
    assert_eq!(trial.run().await.status, CloseStatus::Failed);
    trial
}

#[tokio::test]
async fn a_scope_goes_back_with_its_ground_and_its_checks_and_resume_does_them_again() {
    let trial = stopped_before("lag").await;
    let report = trial.redo("a").await;
    assert_eq!(report.status, Some(CloseStatus::Interrupted), "{report:?}");
    assert_eq!(
        names(&report.undone),
        [
            "lag", "apply_a", "release", "copy_a3", "index_a1", "copy_a2", "copy_a1", "prove_a",
            "hold"
        ]
    );
    assert_eq!(voided(&trial), [("a".to_owned(), 1)]);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    check_whole(&trial);
    let state = trial.world.state();
    assert_eq!(state.made[&"copy_b".into()], 1);
    assert_eq!(state.made[&"apply_b".into()], 1);
    assert_eq!(state.made[&"copy_a1".into()], 2);
    assert_eq!(state.made_of[&"copy_a1".into()].0, 1);
    drop(state);
    assert_eq!(voided(&trial), [("a".to_owned(), 1)]);
}

#[tokio::test]
async fn a_scope_that_is_not_finished_on_the_same_ground_goes_along() {
    let trial = stopped_before("copy_b").await;
    assert_eq!(trial.redo("a").await.status, Some(CloseStatus::Interrupted));
    assert_eq!(voided(&trial), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    check_whole(&trial);
}

#[tokio::test]
async fn nothing_is_redone_while_a_window_is_open_or_after_it() {
    let trial = Trial::new(header_with_window(&sketches(), 3..4, None));
    trial.world.script("fence", &[Turn::Linger]);
    let begun = async {
        trial.world.until(|state| state.running.contains(&"fence".into())).await;
    };
    tokio::select! { _ = trial.run() => unreachable!(), () = begun => {} }
    trial.world.until(|state| state.running.is_empty()).await;
    let report = trial.redo("a").await;
    assert!(matches!(report.cause, Some(RunError::Begun(_))), "{report:?}");
    assert!(trial.world.state().undone.is_empty());
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    let report = trial.redo("a").await;
    assert!(matches!(report.cause, Some(RunError::Over(CloseStatus::Succeeded))), "{report:?}");
}

#[tokio::test]
async fn a_scope_may_be_redone_after_the_window_was_taken_back() {
    let trial = stopped_before("open").await;
    assert_eq!(trial.redo("b").await.status, Some(CloseStatus::Interrupted));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    check_whole(&trial);
}

#[tokio::test]
async fn a_redo_whose_undo_fails_can_be_tried_again() {
    let trial = stopped_before("lag").await;
    trial.world.script("copy_a1", &[Turn::Fail(FailureClass::Operator)]);
    let report = trial.redo("a").await;
    assert_eq!(report.status, Some(CloseStatus::Failed));
    assert_eq!(report.left[0].0.0, "copy_a1");
    assert_eq!(voided(&trial), []);
    assert_eq!(trial.redo("a").await.status, Some(CloseStatus::Interrupted));
    assert_eq!(voided(&trial), [("a".to_owned(), 1)]);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    check_whole(&trial);
}
