//! Services: ready, stopped, released, started again.

use pgkedge_model::{CloseStatus, FailureClass, Record, StepId, StepState};

use super::graph::{Sketch, clock, header, phase, step};
use super::world::{State, Trial, Turn, options};
use crate::{JournalReader, Request, RunOptions, StopSignal};

fn held() -> Vec<Sketch> {
    vec![
        step("hold", &[]).service(),
        step("copy", &["hold"]),
        step("other", &["hold"]),
        step("release", &["hold", "copy", "other"]).stops("hold"),
    ]
}

fn place(records: &[Record], wanted: impl Fn(&Record) -> bool) -> usize {
    records.iter().position(wanted).expect("it was recorded")
}

fn is_start(record: &Record, id: &str) -> bool {
    matches!(record, Record::StepStarted { step, .. } if step.0 == id)
}

#[tokio::test]
async fn dependants_start_when_a_service_is_ready_and_its_stopper_after_its_end() {
    let trial = Trial::new(header(&held(), 4, 4));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
    let records = trial.records();
    let ready = place(&records, |record| matches!(record, Record::ServiceReady { .. }));
    let stopped = place(&records, |record| matches!(record, Record::ServiceStopped { .. }));
    assert!(ready < place(&records, |record| is_start(record, "copy")));
    assert!(stopped < place(&records, |record| is_start(record, "release")));
    assert!(trial.world.state().services.is_empty());
}

#[tokio::test]
async fn a_service_that_takes_all_connections_does_not_starve_its_dependants() {
    let trial = Trial::new(header(&held(), 4, 1));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn a_service_is_released_when_its_run_fails_and_started_again_by_the_next() {
    let trial = Trial::new(header(&held(), 4, 4));
    trial.world.script("copy", &[Turn::Fail(FailureClass::Permanent)]);
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Failed);
    assert_eq!(report.abandoned, [(StepId::from("release"), StepId::from("copy"))]);
    let reader = JournalReader::open(trial.folder.path()).unwrap();
    let state = reader.checkpoint().unwrap().state(&"hold".into()).clone();
    assert!(matches!(state, StepState::Ready { attempt: 1, .. }), "{state:?}");
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
    let starts = trial.records().iter().filter(|record| is_start(record, "hold")).count();
    assert_eq!(starts, 2);
}

#[tokio::test]
async fn a_service_that_nothing_needs_any_more_is_not_started_again() {
    let sketches = [step("hold", &[]).service(), step("copy", &["hold"]), step("z", &[]).phase(1)];
    let trial = Trial::new(header(&sketches, 4, 4));
    trial.world.script("z", &[Turn::Fail(FailureClass::Permanent)]);
    assert_eq!(trial.run().await.status, CloseStatus::Failed);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
    let starts = trial.records().iter().filter(|record| is_start(record, "hold")).count();
    assert_eq!(starts, 1);
}

#[tokio::test]
async fn a_service_that_nobody_stops_ends_with_the_run() {
    let sketches = [step("hold", &[]).service(), step("copy", &["hold"])];
    let trial = Trial::new(header(&sketches, 4, 4));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    assert!(trial.records().iter().any(|record| matches!(record, Record::ServiceStopped { .. })));
}

#[tokio::test]
async fn a_service_that_is_lost_is_started_again() {
    let sketches =
        [step("hold", &[]).service(), step("slow", &["hold"]), step("later", &["hold", "slow"])];
    let trial = Trial::new(header(&sketches, 1, 4));
    trial.world.script("hold", &[Turn::Fail(FailureClass::Transient)]);
    trial.world.script("slow", &[Turn::WaitForApproval]);
    let hold = StepId::from("hold");
    let approve = async {
        let begun = |state: &State| state.started.iter().filter(|step| **step == hold).count();
        trial.world.until(|state| begun(state) == 2 && state.services.contains(&hold)).await;
        let reader = JournalReader::open(trial.folder.path()).unwrap();
        let request = Request::Approve { step: "slow".into(), by: "me".into() };
        reader.request(&request, clock().as_ref()).unwrap();
        std::future::pending::<()>().await;
    };
    let report = tokio::select! { report = trial.run() => report, () = approve => unreachable!() };
    assert_eq!(report.status, CloseStatus::Succeeded);
    trial.check_complete();
}

#[tokio::test]
async fn a_run_can_stop_after_a_phase_and_go_on() {
    let sketches = [
        step("hold", &[]).service(),
        step("copy", &["hold"]),
        step("release", &["hold"]).stops("hold").phase(1),
        step("verify", &[]).phase(1),
    ];
    let trial = Trial::new(header(&sketches, 4, 4));
    let options = RunOptions { until: Some(phase(0)), ..options() };
    let report = trial.run_with(&StopSignal::new(), options).await;
    assert_eq!((report.status, report.stopped_at), (CloseStatus::Interrupted, Some(phase(0))));
    assert!(report.abandoned.is_empty() && report.failed.is_empty());
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    trial.check_complete();
}
