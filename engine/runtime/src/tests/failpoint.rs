//! A process that dies at a failpoint, and the run that goes on after it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use pgkedge_model::{CloseStatus, FailureClass, Performer, Record, StepState};

use super::graph::{clock, header, header_with_window, private_folder, step};
use super::world::{FakeFence, Trial, Turn, World, options};
use crate::{Journal, JournalReader, StopSignal};

const FOLDER: &str = "PGKEDGE_TEST_FOLDER";
const FAILPOINT: &str = "PGKEDGE_TEST_FAILPOINT";

/// The process that dies; it does nothing when the tests run as a whole.
#[tokio::test]
async fn child() {
    let (Ok(folder), Ok(failpoint)) = (std::env::var(FOLDER), std::env::var(FAILPOINT)) else {
        return;
    };
    let sketches = [step("a", &[]), step("b", &["a"])];
    let undoing = failpoint.contains("undo");
    let world = if undoing {
        // Both are a window, and the last step of it fails.
        let world = World::new(header_with_window(&sketches, 0..1, None));
        world.script("b", &[Turn::Fail(FailureClass::Permanent)])
    } else {
        World::new(header(&sketches, 1, 1))
    };
    let journal = Journal::create(&PathBuf::from(folder), world.header.clone(), clock()).unwrap();
    let fence = Arc::new(FakeFence(Arc::clone(&world)));
    let performer = Arc::clone(&world) as Arc<dyn Performer>;
    crate::arm_failpoint(&failpoint);
    crate::run(journal, performer, fence, Vec::new(), options(), StopSignal::new()).await;
}

#[tokio::test]
async fn a_process_dies_at_each_point_and_the_journal_says_how_far_it_was() {
    for (failpoint, a, b) in [
        ("before_intent::fake", "pending", "pending"),
        ("before_effect::fake", "running", "pending"),
        ("after_effect::fake", "running", "pending"),
        ("after_done::fake", "succeeded", "pending"),
        ("after_effect::fake:2", "succeeded", "running"),
        ("before_undo::fake", "succeeded", "failed"),
        ("after_undo::fake", "succeeded", "failed"),
        ("before_undo::fake:2", "succeeded", "undone"),
        ("after_undo::fake:2", "succeeded", "undone"),
    ] {
        let folder = private_folder();
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::failpoint::child"])
            .env(FOLDER, folder.path())
            .env(FAILPOINT, failpoint)
            .output()
            .unwrap();
        assert!(!ended.status.success(), "{failpoint}");
        let checkpoint = JournalReader::open(folder.path()).unwrap().checkpoint().unwrap();
        let states = ["a", "b"].map(|step| name(checkpoint.state(&step.into())));
        assert_eq!(states, [a, b], "{failpoint}");
        assert_eq!(checkpoint.closed, None);
    }
}

fn name(state: &StepState) -> &'static str {
    match state {
        StepState::Pending => "pending",
        StepState::Running { .. } => "running",
        StepState::Succeeded { .. } => "succeeded",
        StepState::Failed { .. } => "failed",
        StepState::Undone => "undone",
        StepState::Ready { .. } => "ready",
    }
}

#[tokio::test]
async fn a_run_without_a_failpoint_is_not_harmed() {
    let trial = Trial::new(header(&[step("a", &[])], 1, 1));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    let closed = Record::RunClosed { status: CloseStatus::Succeeded };
    assert_eq!(trial.records().last(), Some(&closed));
}
