//! The loop around the scheduler: append before act, act before publish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{
    CloseStatus, EventSink, Failure, FailureClass, Fence, FenceError, FenceGuard, Performer,
    Record, StepId,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::attempt::{Attempt, Ending, Service, message};
use crate::context::{Approvals, Context};
use crate::open::{self, Opened};
use crate::reporter::{ServiceReady, ServiceSeat};
use crate::scheduler::{Action, Input, Limits, Scheduler};
use crate::{Journal, JournalError, RunError, RunOptions, RunReport, StopSignal, StopStage};

/// How soon a request of another command is seen.
const REQUEST_PAUSE: Duration = Duration::from_millis(250);

/// Runs, or goes on with, the run of a journal until it is done, failed or stopped.
pub async fn run(
    journal: Journal,
    performer: Arc<dyn Performer>,
    fence: Arc<dyn Fence>,
    sinks: Vec<Arc<dyn EventSink>>,
    options: RunOptions,
    stop: StopSignal,
) -> RunReport {
    if let Err(cause) = check(&journal, &options) {
        return RunReport::broken(cause);
    }
    let opened = match open::open(&journal, fence.as_ref(), sinks).await {
        Ok(opened) => opened,
        Err(cause) => return RunReport::broken(cause),
    };
    let mut runner = Runner::new(&journal, opened, performer, options, stop);
    let end = Box::pin(runner.work()).await;
    let report = Box::pin(runner.close(end)).await;
    // The folder is let go last.
    drop(journal);
    report
}

fn check(journal: &Journal, options: &RunOptions) -> Result<(), RunError> {
    if let Some(status @ (CloseStatus::CleanedUp | CloseStatus::Aborted)) =
        journal.checkpoint().closed
    {
        return Err(RunError::Over(status));
    }
    match &options.until {
        Some(phase) if !journal.header().graph.phases().contains(phase) => {
            Err(RunError::UnknownPhase(phase.clone()))
        }
        Some(_) | None => Ok(()),
    }
}

/// What wakes the loop.
enum Woken {
    Attempt(StepId, u32, Result<Ending, JournalError>),
    RetryDue(StepId),
    FenceLost(FenceError),
    ServiceReady(ServiceReady),
    Stop(StopStage),
    LookForRequests,
    CancelGraceOver,
    Panicked(JoinError),
}

/// Why the loop ended.
enum End {
    Closed(CloseStatus),
    /// The user did not want to wait any longer.
    Left,
    CancelGraceOver,
    Broken(RunError),
}

struct Runner {
    context: Arc<Context>,
    scheduler: Scheduler,
    options: RunOptions,
    tasks: JoinSet<Woken>,
    services: BTreeMap<StepId, Service>,
    ready: (UnboundedSender<ServiceReady>, UnboundedReceiver<ServiceReady>),
    /// Failures in a row, by step.
    failures: BTreeMap<StepId, u32>,
    stage: StopStage,
    cancel_until: Option<Instant>,
    failed: Vec<(StepId, Failure)>,
    cancelled: Vec<StepId>,
    // Let go after the last step: fields are dropped in this order.
    _guard: Arc<dyn FenceGuard>,
}

impl Runner {
    fn new(
        journal: &Journal,
        opened: Opened,
        performer: Arc<dyn Performer>,
        options: RunOptions,
        stop: StopSignal,
    ) -> Self {
        let scheduler =
            Scheduler::new(journal.header(), &opened.checkpoint, options.until.as_ref());
        let context = Arc::new(Context {
            header: journal.shared_header(),
            journal: journal.appender(),
            performer,
            stop,
            retry: options.retry.clone(),
            approvals: Approvals::default(),
        });
        let mut tasks = JoinSet::new();
        let guard = Arc::clone(&opened.guard);
        tasks.spawn(async move { Woken::FenceLost(guard.lost().await) });
        Self {
            context,
            scheduler,
            options,
            tasks,
            services: BTreeMap::new(),
            ready: unbounded_channel(),
            failures: BTreeMap::new(),
            stage: StopStage::Go,
            cancel_until: None,
            failed: Vec::new(),
            cancelled: Vec::new(),
            _guard: opened.guard,
        }
    }

    async fn work(&mut self) -> End {
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

    async fn woken(&mut self, ticks: &mut tokio::time::Interval) -> Woken {
        let stop = self.context.stop.clone();
        let further = match self.stage {
            StopStage::Go => StopStage::Finish,
            StopStage::Finish => StopStage::Cancel,
            StopStage::Cancel | StopStage::Leave => StopStage::Leave,
        };
        let grace = self.cancel_until;
        tokio::select! {
            biased;
            () = stop.reached(further) => Woken::Stop(stop.stage()),
            // Before the end of the service that it is about.
            Some(ready) = self.ready.1.recv() => Woken::ServiceReady(ready),
            Some(ended) = self.tasks.join_next() => ended.unwrap_or_else(Woken::Panicked),
            () = sleep_until(grace.unwrap_or_else(Instant::now)), if grace.is_some() => {
                Woken::CancelGraceOver
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
            Woken::FenceLost(error) => return Err(error.into()),
            Woken::Panicked(error) => return Err(RunError::Internal(panic_text(error))),
        };
        Ok(self.feed(input))
    }

    /// Tells the scheduler what happened, and does what it says.
    fn feed(&mut self, input: Input) -> Option<End> {
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
        let Some(node) = self.context.header.graph.step(&step) else { return };
        let service = node.service.then(|| Service {
            seat: ServiceSeat { end: CancellationToken::new(), ready: self.ready.0.clone() },
            released: CancellationToken::new(),
        });
        if let Some(service) = &service {
            self.services.insert(step.clone(), service.clone());
        }
        let (context, node) = (Arc::clone(&self.context), Arc::clone(node));
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

    async fn attempt_failed(
        &mut self,
        step: StepId,
        attempt: u32,
        failure: Failure,
    ) -> Result<Option<End>, RunError> {
        let failures = self.failures.entry(step.clone()).or_default();
        *failures += 1;
        let pause = self.options.retry.pause(&step, &failure, *failures);
        let pause = pause.filter(|_| self.scheduler.may_retry(&step));
        let retried = pause.is_some();
        let record =
            Record::StepFailed { step: step.clone(), attempt, failure: failure.clone(), retried };
        self.context.append(record).await?;
        if failure.class == FailureClass::Fenced {
            self.failed.push((step, failure.clone()));
            return Err(RunError::Fenced(failure));
        }
        if let Some(pause) = pause {
            let step = step.clone();
            self.tasks.spawn(async move {
                tokio::time::sleep(pause).await;
                Woken::RetryDue(step)
            });
        } else if failure.class == FailureClass::Cancelled && self.stage > StopStage::Go {
            self.cancelled.push(step.clone());
        } else {
            self.failed.push((step.clone(), failure));
        }
        Ok(self.feed(Input::Failed { step, retry: retried }))
    }

    fn stop(&mut self, stage: StopStage) -> Option<End> {
        self.stage = stage;
        if stage == StopStage::Cancel {
            self.cancel_until = Some(Instant::now() + self.options.cancel_grace);
            // What a service answers to this is no failure of it.
            for step in self.scheduler.services().cloned().collect::<Vec<_>>() {
                self.end_service(&step, true);
            }
            self.context.performer.cancel();
        }
        self.feed(Input::Finish)
    }

    async fn take_requests(&mut self) -> Result<Option<End>, RunError> {
        let limits = crate::requests::take(&self.context).await?;
        let Some(change) = limits else { return Ok(None) };
        let limits = Limits::new(&self.context.header.settings, change);
        Ok(self.feed(Input::Limits(limits)))
    }

    /// Ends what still runs, and records how the run ended where that is known.
    async fn close(mut self, end: End) -> RunReport {
        let (status, cause) = match end {
            End::Closed(status) => (status, None),
            End::Left | End::CancelGraceOver => (CloseStatus::Interrupted, None),
            End::Broken(ref cause) => (CloseStatus::Failed, Some(cause.clone())),
        };
        if matches!(end, End::Broken(_)) {
            self.context.performer.cancel();
        }
        if matches!(end, End::Left) {
            self.tasks.abort_all();
        } else {
            self.tasks.shutdown().await;
        }
        let closed = match end {
            End::Left | End::Broken(RunError::Journal(_)) => Ok(()),
            End::Closed(_) | End::CancelGraceOver | End::Broken(_) => {
                self.context.append(Record::RunClosed { status }).await.map(|_| ())
            }
        };
        let cause = match closed {
            // It is why everything else failed.
            Err(error @ JournalError::TakenOver) => Some(error.into()),
            closed => cause.or_else(|| closed.err().map(RunError::from)),
        };
        self.report(if cause.is_some() { CloseStatus::Failed } else { status }, cause)
    }

    fn report(self, status: CloseStatus, cause: Option<RunError>) -> RunReport {
        let as_asked = status == CloseStatus::Interrupted && self.scheduler.is_done_for_now();
        let stopped_at = self.options.until.filter(|_| as_asked);
        RunReport {
            status,
            abandoned: self.scheduler.abandoned(),
            failed: self.failed,
            cancelled: self.cancelled,
            stopped_at,
            cause,
        }
    }
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => message(panic.as_ref()),
        Err(error) => error.to_string(),
    }
}
