//! What other commands ask of a runner.

use std::time::Duration;

use pgkedge_model::{CloseStatus, LimitChange, Record};

use super::graph::{clock, header, step};
use super::world::{Trial, Turn};
use crate::{JournalReader, Request};

fn ask(trial: &Trial, request: &Request) {
    let reader = JournalReader::open(trial.folder.path()).unwrap();
    reader.request(request, clock().as_ref()).unwrap();
}

fn approval(step: &str) -> Request {
    Request::Approve { step: step.into(), by: "me".into() }
}

#[tokio::test]
async fn an_approval_may_come_before_the_runner() {
    let trial = Trial::new(header(&[step("a", &[]), step("ask", &["a"])], 4, 4));
    trial.world.script("ask", &[Turn::WaitForApproval]);
    drop(trial.journal());
    ask(&trial, &approval("ask"));
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    assert_eq!(trial.world.state().approved, ["me"]);
}

#[tokio::test]
async fn an_approval_reaches_a_step_that_waits_for_it() {
    let trial = Trial::new(header(&[step("ask", &[])], 4, 4));
    trial.world.script("ask", &[Turn::WaitForApproval]);
    let later = async {
        trial.world.until(|state| !state.running.is_empty()).await;
        ask(&trial, &approval("nothing of this name"));
        ask(&trial, &approval("ask"));
        std::future::pending::<()>().await;
    };
    let report = tokio::select! { report = trial.run() => report, () = later => unreachable!() };
    assert_eq!(report.status, CloseStatus::Succeeded);
    let noted =
        |record: &Record| matches!(record, Record::Noted { key, .. } if key == "approved_by");
    assert_eq!(trial.records().iter().filter(|record| noted(record)).count(), 1);
}

#[tokio::test]
async fn an_approval_survives_a_crash_of_the_runner() {
    let trial = Trial::new(header(&[step("ask", &[])], 4, 4));
    drop(trial.journal());
    trial.world.script("ask", &[Turn::WaitForApproval, Turn::WaitForApproval]);
    ask(&trial, &approval("ask"));
    let journal = trial.journal();
    let noted = [
        Record::StepStarted { step: "ask".into(), attempt: 1 },
        Record::Noted { step: "ask".into(), key: "approved_by".into(), value: "me".into() },
    ];
    for record in noted {
        journal.append(record).await.unwrap();
    }
    drop(journal);
    assert_eq!(trial.run().await.status, CloseStatus::Succeeded);
    assert_eq!(trial.world.state().approved, ["me"]);
}

#[tokio::test]
async fn limits_change_while_a_run_goes_on_and_hold_for_the_next() {
    let names: Vec<String> = (0..6).map(|n| format!("s{n}")).collect();
    let sketches: Vec<_> = names.iter().map(|name| step(name, &[])).collect();
    let mut wide = header(&sketches, 4, 9);
    wide.settings.load.workers = 1;
    let trial = Trial::new(wide);
    for name in &names {
        trial.world.script(name, &[Turn::WaitForApproval]);
    }
    let limits = LimitChange { workers: Some(3), ..LimitChange::default() };
    let user = async {
        trial.world.until(|state| state.running.len() == 1).await;
        ask(&trial, &Request::SetLimits { limits });
        trial.world.until(|state| state.running.len() == 3).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(trial.world.state().busiest, 3);
        for name in &names {
            ask(&trial, &approval(name));
        }
        std::future::pending::<()>().await;
    };
    let report = tokio::select! { report = trial.run() => report, () = user => unreachable!() };
    assert_eq!(report.status, CloseStatus::Succeeded);
    assert_eq!(trial.journal().checkpoint().limits, limits);
}
