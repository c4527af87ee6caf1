//! The loop around one scheduler: append before act, act before publish.

use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{CloseStatus, FenceError, StepId};
use tokio::task::JoinError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Runner;
use crate::attempt::{Attempt, Ending, Service, message};
use crate::reporter::{ServiceReady, ServiceSeat};
use crate::scheduler::{Action, Input, Limits};
use crate::{JournalError, RunError, StopStage};

/// How soon a request of another command is seen.
const REQUEST_PAUSE: Duration = Duration::from_millis(250);

/// What wakes the loop.
pub(super) enum Woken {
    Attempt(StepId, u32, Result<Ending, JournalError>),
    RetryDue(StepId),
    FenceLost(FenceError),
    ServiceReady(ServiceReady),
    Stop(StopStage),
    LookForRequests,
    CancelGraceOver,
    DeadlineOver,
    Panicked(JoinError),
}

/// Why a round, or the run, ended.
#[derive(Debug)]
pub(super) enum End {
    Closed(CloseStatus),
    /// The user did not want to wait any longer.
    Left,
    CancelGraceOver,
    Broken(RunError),
}

impl Runner {
    pub(super) async fn round(&mut self) -> End {
        let mut ticks = interval(REQUEST_PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end = self.feed(Input::Opened);
        while end.is_none() {
            let woken = self.woken(&mut ticks).await;
            end = match self.handle(woken).await {
                Ok(end) => end,
                Err(cause) => Some(End::Broken(cause)),
            };
        }
        end.unwrap_or(End::Left)
    }

    async fn woken(&mut self, ticks: &mut Interval) -> Woken {
        let user = self.user.clone();
        let further = match self.stage {
            StopStage::Go => StopStage::Finish,
            StopStage::Finish => StopStage::Cancel,
            StopStage::Cancel | StopStage::Leave => StopStage::Leave,
        };
        let grace = self.cancel_until;
        let deadline = self.deadline.map(|(_, at)| at);
        tokio::select! {
            biased;
            () = user.reached(further) => Woken::Stop(user.stage()),
            error = &mut self.lost => Woken::FenceLost(error),
            // Before the end of the service that it is about.
            Some(ready) = self.ready.1.recv() => Woken::ServiceReady(ready),
            Some(ended) = self.tasks.join_next() => ended.unwrap_or_else(Woken::Panicked),
            () = sleep_until(grace.unwrap_or_else(Instant::now)), if grace.is_some() => {
                Woken::CancelGraceOver
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Woken::DeadlineOver
            }
            _ = ticks.tick() => Woken::LookForRequests,
        }
    }

    async fn handle(&mut self, woken: Woken) -> Result<Option<End>, RunError> {
        let input = match woken {
            Woken::Attempt(step, attempt, ending) => {
                return self.attempt_ended(step, attempt, ending?).await;
            }
            Woken::RetryDue(step) => Input::RetryDue(step),
            Woken::ServiceReady(ServiceReady { step, attempt }) => {
                self.failures.remove(&step);
                Input::ServiceReady { step, attempt }
            }
            Woken::Stop(StopStage::Leave) => return Ok(Some(End::Left)),
            Woken::Stop(stage) => return Ok(self.stop(stage)),
            Woken::LookForRequests => return self.take_requests().await,
            Woken::CancelGraceOver => return Ok(Some(End::CancelGraceOver)),
            Woken::DeadlineOver => return Ok(self.deadline_over()),
            Woken::FenceLost(error) => return Err(error.into()),
            Woken::Panicked(error) => return Err(RunError::Internal(panic_text(error))),
        };
        Ok(self.feed(input))
    }

    /// Tells the scheduler what happened, and does what it says.
    pub(super) fn feed(&mut self, input: Input) -> Option<End> {
        let mut end = None;
        for action in self.scheduler.next(input) {
            match action {
                Action::Start { step, attempt, probe } => self.start(step, attempt, probe),
                Action::StopService(step) => self.end_service(&step, false),
                Action::ReleaseService(step) => self.end_service(&step, true),
                Action::Close(status) => end = Some(End::Closed(status)),
            }
        }
        end
    }

    fn start(&mut self, step: StepId, number: u32, probe: bool) {
        let Some(node) = self.context.header.graph.step(&step).cloned() else { return };
        let service = node.service.then(|| Service {
            seat: ServiceSeat { end: CancellationToken::new(), ready: self.ready.0.clone() },
            released: CancellationToken::new(),
        });
        if let Some(service) = &service {
            self.services.insert(step.clone(), service.clone());
        }
        self.enter_window(&node.phase);
        let context = Arc::clone(&self.context);
        let attempt = Attempt { context, node, number, probe, service };
        self.tasks.spawn(async move { Woken::Attempt(step, number, attempt.make().await) });
    }

    fn end_service(&mut self, step: &StepId, release: bool) {
        if let Some(service) = self.services.get(step) {
            if release {
                service.released.cancel();
            }
            service.seat.end.cancel();
        }
    }

    async fn attempt_ended(
        &mut self,
        step: StepId,
        attempt: u32,
        ending: Ending,
    ) -> Result<Option<End>, RunError> {
        let input = match ending {
            Ending::Succeeded => Input::Succeeded(step),
            Ending::ServiceStopped => Input::ServiceStopped(step),
            Ending::ServiceReleased => Input::ServiceReleased(step),
            Ending::Failed(failure) => return self.attempt_failed(step, attempt, failure).await,
        };
        Ok(self.feed(input))
    }

    fn stop(&mut self, stage: StopStage) -> Option<End> {
        self.stage = stage;
        self.context.stop.raise(stage);
        if stage == StopStage::Cancel {
            self.cancel_running();
        }
        self.feed(Input::Finish)
    }

    /// Cancels what runs, and gives it some time to end.
    pub(super) fn cancel_running(&mut self) {
        self.context.stop.raise(StopStage::Cancel);
        self.cancel_until = Some(Instant::now() + self.options.cancel_grace);
        // What a service answers to this is no failure of it.
        for step in self.scheduler.services().cloned().collect::<Vec<_>>() {
            self.end_service(&step, true);
        }
        self.context.performer.cancel();
    }

    async fn take_requests(&mut self) -> Result<Option<End>, RunError> {
        let limits = crate::requests::take(&self.context).await?;
        let Some(change) = limits else { return Ok(None) };
        let limits = Limits::new(&self.context.header.settings, change);
        Ok(self.feed(Input::Limits(limits)))
    }
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => message(panic.as_ref()),
        Err(error) => error.to_string(),
    }
}
