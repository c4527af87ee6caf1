//! What becomes of a failed attempt: another one, the end of its descendants, or the end of the
//! round because something has to be taken back first.

use std::collections::BTreeSet;
use std::time::Duration;

use pgkedge_model::{Event, Failure, FailureClass, Ident, PhaseName, Record, StepId, StepState};
use tokio::time::Instant;

use super::Runner;
use super::round::{End, Woken};
use crate::scheduler::Input;
use crate::window::Stand;
use crate::{RunError, StopStage, scope};

/// Why a round is brought to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// A service is gone, and with it what these scopes were loaded from.
    StartOver { scopes: BTreeSet<Ident>, pause: Duration },
    /// A window failed.
    TakeBack,
    /// A window took too long; how long it may take, for people.
    Overdue { limit: String },
}

/// What follows from a failure.
enum Verdict {
    Retry(Duration),
    /// The next round does it again.
    NextRound,
    Fail,
}

impl Runner {
    pub(super) async fn attempt_failed(
        &mut self,
        step: StepId,
        attempt: u32,
        failure: Failure,
    ) -> Result<Option<End>, RunError> {
        let failure = self.overdue(&step, failure);
        let verdict = self.verdict(&step, &failure);
        let retried = !matches!(verdict, Verdict::Fail);
        let record =
            Record::StepFailed { step: step.clone(), attempt, failure: failure.clone(), retried };
        self.context.append(record).await?;
        if failure.class == FailureClass::Fenced {
            self.failed.push((step, failure.clone()));
            return Err(RunError::Fenced(failure));
        }
        match verdict {
            Verdict::Retry(pause) => {
                let step = step.clone();
                self.tasks.spawn(async move {
                    tokio::time::sleep(pause).await;
                    Woken::RetryDue(step)
                });
            }
            Verdict::NextRound => {}
            Verdict::Fail => self.failed_for_good(&step, failure),
        }
        Ok(self.feed(Input::Failed { step, retry: retried }))
    }

    fn verdict(&mut self, step: &StepId, failure: &Failure) -> Verdict {
        match &self.halt {
            Some(Halt::StartOver { scopes, .. }) => {
                let scope =
                    self.context.header.graph.step(step).and_then(|node| node.scope.as_ref());
                let is_void = scope.is_some_and(|scope| scopes.contains(scope));
                let may_pass =
                    matches!(failure.class, FailureClass::Transient | FailureClass::Cancelled);
                return if is_void || may_pass { Verdict::NextRound } else { Verdict::Fail };
            }
            Some(Halt::TakeBack | Halt::Overdue { .. }) => return Verdict::Fail,
            None => {}
        }
        if let Some(verdict) = self.after_loss(step, failure) {
            return verdict;
        }
        let failures = self.failures.entry(step.clone()).or_default();
        *failures += 1;
        let pause = self.options.retry.pause(step, failure, *failures);
        match pause.filter(|_| self.scheduler.may_retry(step)) {
            Some(pause) => Verdict::Retry(pause),
            None => Verdict::Fail,
        }
    }

    /// What follows from the loss of a service that scopes stand on: what runs may end, nothing new
    /// starts, and the next round loads these scopes anew. None for any other failure. Such a service
    /// is never just started again: its readers would go on with another snapshot.
    fn after_loss(&mut self, step: &StepId, failure: &Failure) -> Option<Verdict> {
        let scopes = self.scopes_on(step);
        if scopes.is_empty() {
            return None;
        }
        self.losses += 1;
        let pause = self.options.retry.pause(step, failure, self.losses);
        let Some(pause) = pause.filter(|_| self.stage == StopStage::Go) else {
            return Some(Verdict::Fail);
        };
        let names: Vec<_> = scopes.iter().map(Ident::as_str).collect();
        let names = names.join(", ");
        let reason = format!("what runs ends first; then the load of {names} starts over");
        self.context.journal.publish(&Event::Waiting { step: step.clone(), reason });
        self.halt = Some(Halt::StartOver { scopes, pause });
        self.context.stop.raise(StopStage::Finish);
        self.finish();
        Some(Verdict::NextRound)
    }

    /// Scopes that stand unfinished on a service which holds, as far as the journal knows.
    fn scopes_on(&self, service: &StepId) -> BTreeSet<Ident> {
        let graph = &self.context.header.graph;
        let checkpoint = self.context.journal.checkpoint();
        match (graph.step(service), checkpoint.state(service)) {
            (Some(node), StepState::Ready { .. }) => {
                scope::standing_on(graph, &checkpoint, &[node])
            }
            (Some(_) | None, _) => BTreeSet::new(),
        }
    }

    fn failed_for_good(&mut self, step: &StepId, failure: Failure) {
        let cancelled = failure.class == FailureClass::Cancelled;
        match self.halt {
            Some(Halt::TakeBack) if cancelled => {}
            // It is the first failure already.
            Some(Halt::Overdue { .. }) if self.failed.iter().any(|(known, _)| known == step) => {}
            Some(_) => self.failed.push((step.clone(), failure)),
            None if cancelled && self.stage > StopStage::Go => self.cancelled.push(step.clone()),
            None => {
                self.failed.push((step.clone(), failure));
                if self.open_window().is_some() {
                    self.halt = Some(Halt::TakeBack);
                    self.cancel_running();
                    self.finish();
                }
            }
        }
    }

    /// The scheduler starts nothing new. Nothing can be over by that: a step is still to be fed.
    fn finish(&mut self) {
        drop(self.feed(Input::Finish));
    }

    /// A step that was cancelled because its window took too long failed of that.
    fn overdue(&self, step: &StepId, failure: Failure) -> Failure {
        match &self.halt {
            Some(Halt::Overdue { limit }) if failure.class == FailureClass::Cancelled => {
                too_late(step, limit)
            }
            Some(_) | None => failure,
        }
    }

    pub(super) fn deadline_over(&mut self) -> Option<End> {
        let (at, _) = self.deadline.take()?;
        if self.halt.is_some() || self.open_window() != Some(at) {
            return None;
        }
        let window = &self.windows[at];
        let (limit, step) = {
            let checkpoint = self.context.journal.checkpoint();
            (window.deadline?.to_string(), window.first_at_work(&checkpoint)?.id.clone())
        };
        self.failed.push((step.clone(), too_late(&step, &limit)));
        self.halt = Some(Halt::Overdue { limit });
        self.cancel_running();
        self.feed(Input::Finish)
    }

    /// The time of a window runs from its first step on.
    pub(super) fn enter_window(&mut self, phase: &PhaseName) {
        let Some(at) = self.windows.iter().position(|window| window.phases.contains(phase)) else {
            return;
        };
        if self.deadline.is_none_or(|(known, _)| known != at) {
            let limit = self.windows[at].deadline;
            self.deadline = limit.map(|limit| (at, Instant::now() + limit.duration()));
        }
    }

    /// The place of the window that has begun and is not finished.
    pub(super) fn open_window(&self) -> Option<usize> {
        let checkpoint = self.context.journal.checkpoint();
        self.windows.iter().position(|window| window.stand(&checkpoint) == Stand::Open)
    }
}

fn too_late(step: &StepId, limit: &str) -> Failure {
    let message = format!("`{step}` was not done when the deadline of {limit} was over");
    Failure::new(FailureClass::Operator, message)
        .help("see what it waited for, or raise `cutover.deadline` in the plan")
}
