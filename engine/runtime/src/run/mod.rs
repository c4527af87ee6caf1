//! Runs a journal's graph to its end: rounds of one scheduler each, and what has to be taken back
//! between them.

mod halt;
mod round;
mod settle;

use std::collections::BTreeMap;
use std::sync::Arc;

use pgkedge_model::{
    BoxFuture, CloseStatus, EventSink, Failure, Fence, FenceError, FenceGuard, Performer, Record,
    StepId,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::halt::Halt;
use self::round::{End, Woken};
use crate::attempt::Service;
use crate::context::{Approvals, Context};
use crate::open::{self, Opened};
use crate::reporter::ServiceReady;
use crate::scheduler::Scheduler;
use crate::window::{Window, windows};
use crate::{
    Journal, JournalError, RunError, RunOptions, RunReport, StopSignal, StopStage, TakenBack,
};

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
    let graph = &journal.header().graph;
    let Some(until) = &options.until else { return Ok(()) };
    if !graph.phases().contains(until) {
        return Err(RunError::UnknownPhase(until.clone()));
    }
    match windows(graph).into_iter().find(|window| window.is_cut_by(until)) {
        Some(Window { phases, .. }) => Err(RunError::CutWindow { until: until.clone(), phases }),
        None => Ok(()),
    }
}

struct Runner {
    /// Renewed with each round, and its stop signal with it.
    context: Arc<Context>,
    /// How urgently the user wants the run to stop.
    user: StopSignal,
    scheduler: Scheduler,
    options: RunOptions,
    windows: Vec<Window>,
    tasks: JoinSet<Woken>,
    services: BTreeMap<StepId, Service>,
    ready: (UnboundedSender<ServiceReady>, UnboundedReceiver<ServiceReady>),
    /// Failures in a row, by step.
    failures: BTreeMap<StepId, u32>,
    /// How often services were lost that make scopes start over.
    losses: u32,
    stage: StopStage,
    cancel_until: Option<Instant>,
    /// The window that has begun, by its place, and when its time is over.
    deadline: Option<(usize, Instant)>,
    /// Why this round is brought to its end.
    halt: Option<Halt>,
    failed: Vec<(StepId, Failure)>,
    cancelled: Vec<StepId>,
    taken_back: Option<TakenBack>,
    /// Ends when the hold on the run is lost.
    lost: BoxFuture<'static, FenceError>,
    // Let go after the last step: fields are dropped in this order.
    _guard: Arc<dyn FenceGuard>,
}

impl Runner {
    fn new(
        journal: &Journal,
        opened: Opened,
        performer: Arc<dyn Performer>,
        options: RunOptions,
        user: StopSignal,
    ) -> Self {
        let header = journal.header();
        let guard = Arc::clone(&opened.guard);
        let context = Context {
            header: journal.shared_header(),
            journal: journal.appender(),
            performer,
            stop: StopSignal::new(),
            retry: options.retry.clone(),
            approvals: Approvals::default(),
        };
        Self {
            context: Arc::new(context),
            user,
            scheduler: Scheduler::new(header, &opened.checkpoint, options.until.as_ref()),
            options,
            windows: windows(&header.graph),
            tasks: JoinSet::new(),
            services: BTreeMap::new(),
            ready: unbounded_channel(),
            failures: BTreeMap::new(),
            losses: 0,
            stage: StopStage::Go,
            cancel_until: None,
            deadline: None,
            halt: None,
            failed: Vec::new(),
            cancelled: Vec::new(),
            taken_back: None,
            lost: Box::pin(async move { guard.lost().await }),
            _guard: opened.guard,
        }
    }

    /// What an earlier runner left half done comes first; then rounds, until one was the last.
    async fn work(&mut self) -> End {
        let mut next = self.settle().await;
        loop {
            if let Err(end) = next {
                return end;
            }
            let end = self.round().await;
            next = self.after(end).await;
        }
    }

    /// A new round, from where the journal stands.
    fn begin_anew(&mut self) {
        self.context = Arc::new(self.context.anew());
        let checkpoint = self.context.journal.checkpoint().clone();
        let until = self.options.until.as_ref();
        self.scheduler = Scheduler::new(&self.context.header, &checkpoint, until);
        self.services.clear();
        self.ready = unbounded_channel();
        self.cancel_until = None;
        self.deadline = None;
        self.halt = None;
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
            taken_back: self.taken_back,
            stopped_at,
            cause,
        }
    }
}
