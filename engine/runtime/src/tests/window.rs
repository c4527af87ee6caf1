//! Windows: phases that are taken back together, up to a point.

use pgkedge_model::{CloseStatus, FailureClass, Leaves, Probe, StepId};

use super::graph::{Sketch, header_with_window, phase, step};
use super::scope::names;
use super::world::{State, Trial, Turn, options};
use crate::{RunError, RunOptions, RunReport, StopSignal, StopStage, UndoScope};

/// A load; a window of three phases, whose last step cannot be taken back; and what comes after.
fn sketches() -> Vec<Sketch> {
    vec![
        step("ledger", &[]).leaves(Leaves::Scaffold),
        step("load", &["ledger"]),
        step("watch", &["load"]).service(),
        step("fence", &[]).phase(1),
        step("quiet", &["fence"]).leaves(Leaves::Nothing).phase(1),
        step("drain", &[]).leaves(Leaves::Scaffold).phase(2),
        step("open", &[]).irreversible().phase(3),
        step("stop", &["watch"]).stops("watch").phase(4),
        step("tidy", &["stop"]).leaves(Leaves::Nothing).phase(4),
    ]
}

fn trial(deadline: Option<u64>) -> Trial {
    Trial::new(header_with_window(&sketches(), 1..4, deadline))
}

fn is_taken_back(trial: &Trial, report: &RunReport) {
    let taken = report.taken_back.as_ref().expect("something was taken back");
    assert_eq!(taken.phases, [phase(1), phase(2), phase(3)]);
    assert!(taken.left.is_empty(), "{taken:?}");
    let held = &trial.world.state().held;
    for step in ["fence", "quiet", "drain", "open"] {
        assert!(!held.contains(&step.into()), "{step} is still there");
    }
    assert!(held.contains(&"load".into()));
}

async fn goes_on(trial: &Trial) {
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Succeeded, "{report:?}");
    assert!(report.taken_back.is_none());
    let state = trial.world.state();
    assert_eq!(state.wrong, Vec::<String>::new());
    assert_eq!(state.made[&"load".into()], 1);
    assert_eq!(state.made[&"open".into()], 1);
    assert!(!state.undone.contains(&"open".into()));
}

#[tokio::test]
async fn a_window_that_fails_is_taken_back_in_reverse_and_the_next_run_starts_it_anew() {
    let trial = trial(None);
    trial.world.script("drain", &[Turn::Fail(FailureClass::Differences)]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("drain"));
    is_taken_back(&trial, &report);
    assert_eq!(names(&report.taken_back.unwrap().undone), ["drain", "quiet", "fence"]);
    assert_eq!(names(&trial.world.state().undone), ["drain", "fence"]);
    goes_on(&trial).await;
    assert_eq!(trial.world.state().made[&"fence".into()], 2);
    assert_eq!(trial.world.state().made[&"quiet".into()], 2);
}

#[tokio::test]
async fn a_failure_before_the_window_takes_nothing_back() {
    let trial = trial(None);
    trial.world.script("load", &[Turn::Fail(FailureClass::Permanent)]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert!(report.taken_back.is_none());
    assert!(trial.world.state().undone.is_empty());
    goes_on(&trial).await;
}

#[tokio::test]
async fn a_failure_after_the_window_takes_nothing_back() {
    let trial = trial(None);
    trial.world.script("tidy", &[Turn::Fail(FailureClass::Permanent)]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert!(report.taken_back.is_none());
    goes_on(&trial).await;
    assert_eq!(trial.world.state().made[&"fence".into()], 1);
}

#[tokio::test]
async fn a_service_that_fails_for_good_in_a_window_takes_it_back() {
    let trial = trial(None);
    trial.world.script("drain", &[Turn::Hang]);
    trial.world.doom("watch", &["drain"]);
    let mut options = options();
    options.retry.attempts = 1;
    let report = trial.run_with(&StopSignal::new(), options).await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("watch"));
    is_taken_back(&trial, &report);
    goes_on(&trial).await;
}

#[tokio::test]
async fn a_window_that_takes_too_long_is_taken_back_and_its_failure_names_the_running_step() {
    let trial = trial(Some(1_000));
    trial.world.script("drain", &[Turn::Hang]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    let (step, failure) = &report.failed[0];
    assert_eq!(step, &StepId::from("drain"));
    assert_eq!(failure.message, "`drain` was not done when the deadline of 1s was over");
    assert!(failure.help.as_ref().unwrap().contains("cutover.deadline"));
    assert_eq!(report.failed.len(), 1);
    is_taken_back(&trial, &report);
    goes_on(&trial).await;
}

#[tokio::test]
async fn a_step_that_does_not_heed_the_deadline_is_left_alone_and_the_rest_taken_back() {
    let trial = trial(Some(1_000));
    trial.world.script("drain", &[Turn::Ignore]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("drain"));
    is_taken_back(&trial, &report);
    goes_on(&trial).await;
}

#[tokio::test]
async fn a_retry_does_not_outlast_the_deadline() {
    let trial = trial(Some(1_000));
    trial.world.script("drain", &[Turn::Fail(FailureClass::Transient)]);
    let mut options = options();
    options.retry.first = std::time::Duration::from_mins(1);
    options.retry.longest = options.retry.first;
    let report = trial.run_with(&StopSignal::new(), options).await;
    assert_eq!(report.failed[0].0, StepId::from("drain"));
    assert!(report.failed[0].1.message.contains("deadline"));
    is_taken_back(&trial, &report);
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_asked_for_and_then_there_is_only_forward() {
    let trial = trial(None);
    trial.world.script("open", &[Turn::LoseReply]);
    let mut options = options();
    options.retry.attempts = 1;
    let report = trial.run_with(&StopSignal::new(), options).await;
    assert_eq!(report.status, CloseStatus::Succeeded, "{report:?}");
    assert!(report.failed.is_empty() && report.taken_back.is_none());
    assert!(trial.world.state().undone.is_empty());
    trial.check_complete();
}

#[tokio::test]
async fn nothing_is_taken_back_while_nobody_can_say_whether_the_target_is_open() {
    let trial = trial(None);
    trial.world.script("open", &[Turn::Fail(FailureClass::Permanent)]);
    let unknown = Probe::Foreign("the target does not answer".into());
    trial.world.state().probes.insert("open".into(), [unknown].into());
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].1.message, "as the script says");
    let taken = report.taken_back.unwrap();
    assert_eq!((names(&taken.undone), taken.left[0].0.0.as_str()), (vec![], "open"));
    assert!(trial.world.state().undone.is_empty());
    goes_on(&trial).await;
    assert_eq!(names(&trial.world.state().undone), ["drain", "fence"]);
}

async fn stopped_in(trial: &Trial, running: &str, stage: StopStage) -> RunReport {
    let (stop, running) = (StopSignal::new(), StepId::from(running));
    let user = async {
        let begun = |state: &State| {
            let asked = state.script.get(&running).is_none_or(std::collections::VecDeque::is_empty);
            state.running.contains(&running) && asked
        };
        trial.world.until(begun).await;
        stop.raise(stage);
        std::future::pending::<()>().await;
    };
    tokio::select! { report = trial.run_until(&stop) => report, () = user => unreachable!() }
}

#[tokio::test]
async fn ctrl_c_in_a_window_takes_it_back() {
    for (turn, stage) in [(Turn::Linger, StopStage::Finish), (Turn::Hang, StopStage::Cancel)] {
        let trial = trial(None);
        trial.world.script("drain", &[turn]);
        let report = stopped_in(&trial, "drain", stage).await;
        assert_eq!(report.status, CloseStatus::Interrupted, "{stage:?}");
        assert!(report.failed.is_empty());
        is_taken_back(&trial, &report);
        goes_on(&trial).await;
    }
}

#[tokio::test]
async fn a_window_that_was_left_half_done_is_taken_back_by_the_next_run() {
    let trial = trial(None);
    trial.world.script("drain", &[Turn::Ignore]);
    stopped_in(&trial, "drain", StopStage::Leave).await;
    trial.world.until(|state| state.running.is_empty()).await;
    assert!(trial.world.state().undone.is_empty());
    goes_on(&trial).await;
    assert_eq!(names(&trial.world.state().undone), ["drain", "fence"]);
}

#[tokio::test]
async fn killed_twice_anywhere_a_window_is_never_half_there() {
    for events in 1.. {
        let trial = trial(None);
        trial.world.script("open", &[Turn::LoseReply]);
        trial.world.script("quiet", &[Turn::Fail(FailureClass::Transient)]);
        let ended = trial.crash_after(events).await;
        if !ended {
            trial.crash_after(1 + events * 5 % 17).await;
            goes_on(&trial).await;
        }
        if ended {
            assert!(events > 30, "it was killed at only {events} events");
            return;
        }
    }
}

#[tokio::test]
async fn what_could_not_be_taken_back_is_said_and_does_not_keep_the_rest() {
    let trial = trial(None);
    let fails = Turn::Fail(FailureClass::Operator);
    trial.world.script("drain", &[Turn::Work, fails]);
    trial.world.script("open", &[Turn::Fail(FailureClass::Permanent)]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.failed[0].0, StepId::from("open"));
    let taken = report.taken_back.unwrap();
    assert_eq!(names(&taken.undone), ["open", "quiet", "fence"]);
    assert_eq!(taken.left[0].0, StepId::from("drain"));
    goes_on(&trial).await;
    assert_eq!(names(&trial.world.state().undone), ["fence", "drain"]);
}

#[tokio::test]
async fn an_undo_that_may_yet_work_is_tried_again_after_the_others() {
    let trial = trial(None);
    let again = Turn::Fail(FailureClass::Transient);
    trial.world.script("drain", &[Turn::Work, again, again]);
    trial.world.script("open", &[Turn::Fail(FailureClass::Permanent)]);
    let report = trial.run().await;
    is_taken_back(&trial, &report);
    assert_eq!(names(&trial.world.state().undone), ["fence", "drain"]);
    goes_on(&trial).await;
}

#[tokio::test]
async fn a_run_does_not_stop_in_the_middle_of_a_window() {
    let trial = trial(None);
    let until = |at| RunOptions { until: Some(phase(at)), ..options() };
    for at in [1, 2] {
        let report = trial.run_with(&StopSignal::new(), until(at)).await;
        assert!(matches!(report.cause, Some(RunError::CutWindow { .. })), "{report:?}");
    }
    for at in [0, 3] {
        let report = trial.run_with(&StopSignal::new(), until(at)).await;
        assert_eq!(report.stopped_at, Some(phase(at)));
    }
    goes_on(&trial).await;
    assert!(trial.world.state().undone.is_empty());
}

/// The engine died in the window, before `open` or with it.
async fn died_in(running: &str, turn: Turn) -> Trial {
    let trial = trial(None);
    trial.world.script(running, &[turn]);
    stopped_in(&trial, running, StopStage::Leave).await;
    trial.world.until(|state| state.running.is_empty()).await;
    trial
}

#[tokio::test]
async fn cleanup_and_abort_take_an_unfinished_window_back_first() {
    let trial = died_in("drain", Turn::Ignore).await;
    let report = trial.undo(UndoScope::Scaffold).await;
    assert_eq!(report.status, Some(CloseStatus::CleanedUp), "{report:?}");
    assert_eq!(names(&report.undone), ["drain", "quiet", "fence", "ledger"]);
    let trial = died_in("open", Turn::Ignore).await;
    let report = trial.undo(UndoScope::Everything).await;
    assert_eq!(report.status, Some(CloseStatus::Aborted), "{report:?}");
    assert_eq!(names(&report.undone), ["open", "drain", "quiet", "fence", "load", "ledger"]);
    assert!(trial.world.state().held.is_empty());
}

#[tokio::test]
async fn a_finished_window_stays_in_a_cleanup_and_forbids_an_abort() {
    let trial = trial(None);
    trial.world.script("tidy", &[Turn::Fail(FailureClass::Permanent)]);
    trial.run().await;
    let report = trial.undo(UndoScope::Everything).await;
    assert!(matches!(&report.cause, Some(RunError::InUse(step)) if step.0 == "open"), "{report:?}");
    assert_eq!(report.status, Some(CloseStatus::Failed));
    assert!(trial.world.state().undone.is_empty());
    let report = trial.undo(UndoScope::Scaffold).await;
    assert_eq!(report.status, Some(CloseStatus::CleanedUp));
    assert_eq!(names(&report.undone), ["ledger"]);
}

#[tokio::test]
async fn an_abort_asks_whether_the_target_is_open_before_it_touches_anything() {
    let trial = died_in("open", Turn::Ignore).await;
    trial.world.state().held.insert("open".into());
    let report = trial.undo(UndoScope::Everything).await;
    assert!(matches!(report.cause, Some(RunError::InUse(_))), "{report:?}");
    let unknown = Probe::Foreign("the target does not answer".into());
    let trial = died_in("open", Turn::Ignore).await;
    trial.world.state().probes.insert("open".into(), [unknown].into());
    let report = trial.undo(UndoScope::Everything).await;
    assert_eq!(report.status, Some(CloseStatus::Failed));
    assert_eq!(report.left[0].0, StepId::from("open"));
    assert!(trial.world.state().undone.is_empty());
}
