//! Killed anywhere, a run goes on and makes every effect once.

use std::collections::BTreeSet;

use pgkedge_model::{CloseStatus, FailureClass, Record, StepState};
use proptest::collection::vec;
use proptest::prelude::*;

use super::graph::{Sketch, clock, header, step};
use super::world::{Trial, Turn};
use crate::Journal;

/// Steps that need some of those before them; phases go up; one service that the last step stops.
fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let one = (vec(any::<prop::sample::Index>(), 0..3), 0..3_usize, 0..100_u64, 1..4_u16);
    vec(one, 1..12).prop_map(|drawn| {
        let mut sketches = vec![step("hold", &[]).service()];
        let mut phases: Vec<usize> = drawn.iter().map(|(_, phase, _, _)| *phase).collect();
        phases.sort_unstable();
        for (at, (needs, _, cost, connections)) in drawn.into_iter().enumerate() {
            let mut needed: BTreeSet<String> = ["hold".to_owned()].into();
            if at > 0 {
                needed.extend(needs.iter().map(|need| format!("s{}", need.index(at))));
            }
            let id = format!("s{at}");
            let needs = needed.into_iter().collect();
            sketches.push(Sketch {
                id,
                phase: phases[at],
                needs,
                cost,
                connections,
                ..step("", &[])
            });
        }
        let all: Vec<String> = sketches.iter().map(|sketch| sketch.id.clone()).collect();
        let last = sketches.last().map_or(0, |sketch| sketch.phase);
        sketches.push(Sketch { needs: all, ..step("release", &[]).stops("hold").phase(last) });
        sketches
    })
}

fn turns() -> impl Strategy<Value = Vec<(prop::sample::Index, Turn)>> {
    let turn = prop_oneof![
        Just(Turn::Fail(FailureClass::Transient)),
        Just(Turn::Fail(FailureClass::Permanent)),
        Just(Turn::LoseReply),
        Just(Turn::Panic),
    ];
    vec((any::<prop::sample::Index>(), turn), 0..4)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn runs_to_its_end(trial: &Trial, crashes: &[i64]) -> Result<(), TestCaseError> {
    for events in crashes {
        if trial.crash_after(*events).await {
            break;
        }
    }
    // A permanent failure ends a run; resuming tries again.
    for _ in 0..8 {
        let report = trial.run().await;
        prop_assert!(report.cause.is_none(), "{report:?}");
        if report.status == CloseStatus::Succeeded {
            trial.check_complete();
            return Ok(());
        }
        prop_assert!(!report.failed.is_empty(), "{report:?}");
    }
    Err(TestCaseError::fail("it never succeeded"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_run_that_is_killed_anywhere_makes_every_effect_once(
        sketches in sketches(),
        turns in turns(),
        crashes in vec(1..60_i64, 0..4),
        workers in 1..4_u16,
        connections in 1..4_u16,
    ) {
        let trial = Trial::new(header(&sketches, workers, connections));
        for (at, turn) in turns {
            let id = sketches[at.index(sketches.len())].id.as_str().into();
            trial.world.state().script.entry(id).or_default().push_back(turn);
        }
        block_on(runs_to_its_end(&trial, &crashes))?;
    }
}

#[tokio::test]
async fn a_run_can_be_killed_at_every_single_event() {
    let sketches = [
        step("ledger", &[]),
        step("hold", &[]).service().phase(1),
        step("copy1", &["hold"]).phase(1),
        step("copy2", &["hold"]).phase(1),
        step("index", &["copy1", "copy2"]).phase(1),
        step("release", &["hold", "copy1", "copy2"]).stops("hold").phase(1),
        step("verify", &[]).phase(2),
    ];
    for events in 1.. {
        let trial = Trial::new(header(&sketches, 2, 2));
        trial.world.script("copy2", &[Turn::LoseReply]);
        let ended = trial.crash_after(events).await;
        if !ended {
            assert_eq!(trial.run().await.status, CloseStatus::Succeeded, "after {events}");
        }
        trial.check_complete();
        if ended {
            assert!(events > 20, "it was killed at only {events} events");
            return;
        }
    }
}

#[tokio::test]
async fn every_prefix_of_a_journal_resumes() {
    let sketches = [
        step("a", &[]),
        step("hold", &["a"]).service(),
        step("b", &["hold"]),
        step("release", &["b", "hold"]).stops("hold"),
        step("c", &["a"]).phase(1),
    ];
    let recorded = Trial::new(header(&sketches, 2, 2));
    recorded.world.script("b", &[Turn::Fail(FailureClass::Transient)]);
    recorded.run().await;
    let records = recorded.records();
    assert!(records.len() > 12);
    for end in 0..=records.len() {
        for uncertain_are_done in [false, true] {
            resumes_from(&recorded, &records[..end], uncertain_are_done).await;
        }
    }
}

async fn resumes_from(recorded: &Trial, records: &[Record], uncertain_are_done: bool) {
    let trial = Trial::new(recorded.world.header.clone());
    let journal =
        Journal::create(trial.folder.path(), trial.world.header.clone(), clock()).unwrap();
    for record in records {
        journal.append(record.clone()).await.unwrap();
    }
    let checkpoint = journal.appender().checkpoint().clone();
    drop(journal);
    for (id, state) in &checkpoint.steps {
        let service = trial.world.header.graph.step(id).unwrap().service;
        let unknown = matches!(state, StepState::Running { .. }) && uncertain_are_done;
        if !service && (state.is_succeeded() || unknown) {
            let mut world = trial.world.state();
            world.held.insert(id.clone());
            world.made.insert(id.clone(), 1);
        }
    }
    let report = trial.run().await;
    assert_eq!(report.status, CloseStatus::Succeeded, "after {} records", records.len());
    trial.check_complete();
}
