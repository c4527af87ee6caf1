//! Takes a run back: its steps in reverse order.

use std::collections::BTreeSet;
use std::sync::Arc;

use pgkedge_model::{
    CloseStatus, EventSink, Failure, FailureClass, Fence, FenceGuard, Ident, Leaves, Performer,
    Record, StepId, StepNode,
};

use crate::context::{Approvals, Context};
use crate::failpoint::Point;
use crate::scope::{Redone, redone};
use crate::take_back::{Doubt, is_beyond, take_back, undo_once, void};
use crate::window::{Stand, Window, windows};
use crate::{Journal, RetryPolicy, RunError, StopSignal, StopStage, UndoReport, open};

/// How much is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoScope {
    /// What helped the move only: cleanup.
    Scaffold,
    /// That, and what the move is for: abort.
    Everything,
}

/// Undoes the steps that may have left something, last one first.
pub async fn undo(
    journal: Journal,
    performer: Arc<dyn Performer>,
    fence: Arc<dyn Fence>,
    sinks: Vec<Arc<dyn EventSink>>,
    scope: UndoScope,
    stop: StopSignal,
) -> UndoReport {
    let undoing = Undoing::new(&journal, performer, Job::Within(scope), stop);
    match open::open(&journal, fence.as_ref(), sinks).await {
        Ok(opened) => undoing.work(opened.guard.as_ref()).await,
        Err(cause) => UndoReport { cause: Some(cause), ..undoing.report },
    }
}

/// Takes the load of a scope back, with what it was founded on, so that the next run does it again.
/// What stands unfinished on the same ground goes with it. Nothing of a window may have begun.
pub async fn redo(
    journal: Journal,
    performer: Arc<dyn Performer>,
    fence: Arc<dyn Fence>,
    sinks: Vec<Arc<dyn EventSink>>,
    scope: Ident,
    stop: StopSignal,
) -> UndoReport {
    let undoing = Undoing::new(&journal, performer, Job::Again(scope), stop);
    if let Err(cause) = may_redo(&journal) {
        return UndoReport { cause: Some(cause), ..undoing.report };
    }
    match open::open(&journal, fence.as_ref(), sinks).await {
        Ok(opened) => undoing.work(opened.guard.as_ref()).await,
        Err(cause) => UndoReport { cause: Some(cause), ..undoing.report },
    }
}

fn may_redo(journal: &Journal) -> Result<(), RunError> {
    let checkpoint = journal.checkpoint();
    if let Some(status) = checkpoint.closed.filter(|status| status.is_final()) {
        return Err(RunError::Over(status));
    }
    let begun = |window: &Window| window.stand(checkpoint) != Stand::Untouched;
    match windows(&journal.header().graph).iter().find(|window| begun(window)) {
        Some(window) => Err(RunError::Begun(window.phases[0].clone())),
        None => Ok(()),
    }
}

/// What is to be undone.
enum Job {
    Within(UndoScope),
    /// A scope, to be done again.
    Again(Ident),
}

struct Undoing {
    context: Arc<Context>,
    job: Job,
    /// How the journal was closed before.
    before: CloseStatus,
    report: UndoReport,
}

impl Undoing {
    fn new(journal: &Journal, performer: Arc<dyn Performer>, job: Job, stop: StopSignal) -> Self {
        let context = Context {
            header: journal.shared_header(),
            journal: journal.appender(),
            performer,
            stop,
            retry: RetryPolicy::default(),
            approvals: Approvals::default(),
        };
        let before = journal.checkpoint().closed.unwrap_or(CloseStatus::Failed);
        Self { context: Arc::new(context), job, before, report: UndoReport::default() }
    }

    async fn work(mut self, guard: &dyn FenceGuard) -> UndoReport {
        let performer = Arc::clone(&self.context.performer);
        let stop = self.context.stop.clone();
        let cancel = async {
            stop.reached(StopStage::Cancel).await;
            performer.cancel();
            stop.reached(StopStage::Leave).await;
        };
        let left_early = tokio::select! {
            biased;
            error = guard.lost() => {
                performer.cancel();
                self.report.cause = Some(error.into());
                true
            }
            () = cancel => true,
            done = self.undo_job() => {
                self.report.cause = done.err();
                // What is refused leaves everything as it was.
                !matches!(self.report.cause, None | Some(RunError::InUse(_)))
            }
        };
        if !left_early {
            self.close().await;
        }
        self.report
    }

    async fn undo_job(&mut self) -> Result<(), RunError> {
        match &self.job {
            Job::Within(scope) => {
                let scope = *scope;
                let Some(settled) = self.settle_windows(scope).await? else { return Ok(()) };
                self.undo_all(scope, &settled).await
            }
            Job::Again(scope) => {
                let scope = scope.clone();
                self.undo_scope(&scope).await
            }
        }
    }

    /// A window that was begun and not finished is taken back first, whatever the scope; of one that
    /// cannot be taken back any more, everything stays. Returns the steps that are settled by that;
    /// none where nobody can say what may be undone.
    async fn settle_windows(
        &mut self,
        scope: UndoScope,
    ) -> Result<Option<BTreeSet<StepId>>, RunError> {
        let context = Arc::clone(&self.context);
        let begun = |window: &Window| {
            let stand = window.stand(&context.journal.checkpoint());
            matches!(stand, Stand::Open | Stand::Beyond)
        };
        let windows = windows(&context.header.graph).into_iter().filter(begun);
        let (mut settled, mut open) = (BTreeSet::new(), Vec::new());
        for window in windows {
            match is_beyond(&context, &window).await {
                Ok(false) => open.push(window),
                Ok(true) if scope == UndoScope::Everything => {
                    let checkpoint = context.journal.checkpoint();
                    let done = window
                        .point_of_no_return(&checkpoint)
                        .or_else(|| Some(&window.first_at_work(&checkpoint)?.id));
                    return match done {
                        Some(step) => Err(RunError::InUse(step.clone())),
                        None => Ok(None),
                    };
                }
                Ok(true) => settled.extend(window.steps.iter().map(|node| node.id.clone())),
                Err(Doubt::Broken(cause)) => return Err(cause),
                Err(Doubt::Step(step, failure)) => {
                    self.report.left.push((step, failure));
                    return Ok(None);
                }
            }
        }
        for window in open.iter().rev() {
            let taken = take_back(&context, &window.steps).await?;
            settled.extend(taken.left.iter().map(|(step, _)| step.clone()));
            self.report.undone.extend(taken.undone);
            self.report.left.extend(taken.left);
        }
        Ok(Some(settled))
    }

    async fn undo_scope(&mut self, scope: &Ident) -> Result<(), RunError> {
        let context = Arc::clone(&self.context);
        let Redone { scopes, steps } =
            redone(&context.header.graph, &context.journal.checkpoint(), scope);
        let taken = void(&context, &steps, scopes).await?;
        self.report.undone = taken.undone;
        self.report.left = taken.left;
        Ok(())
    }

    async fn undo_all(
        &mut self,
        scope: UndoScope,
        settled: &BTreeSet<StepId>,
    ) -> Result<(), RunError> {
        let context = Arc::clone(&self.context);
        let left = |step: &StepId| context.header.graph.step(step).map(|node| node.leaves);
        let mut result_is_left =
            self.report.left.iter().any(|(step, _)| left(step) == Some(Leaves::Result));
        for node in context.header.graph.steps().rev() {
            if settled.contains(&node.id) || !self.concerns(node, scope) {
                continue;
            }
            if context.stop.stage() >= StopStage::Finish {
                self.leave(node, Context::cancelled(&node.id));
                continue;
            }
            // The ledger says what is there: it stays as long as anything of the result does.
            if result_is_left && node.leaves == Leaves::Scaffold {
                let kept = "is kept: what could not be undone may need it";
                self.leave(node, Failure::permanent(format!("`{}` {kept}", node.id)));
                continue;
            }
            Point::BeforeUndo.reach(&node.kind);
            match self.undo_step(node).await {
                Ok(()) => {
                    Point::AfterUndo.reach(&node.kind);
                    context.append(Record::StepUndone { step: node.id.clone() }).await?;
                    self.report.undone.push(node.id.clone());
                }
                Err(failure) if failure.class == FailureClass::Fenced => {
                    self.leave(node, failure.clone());
                    return Err(RunError::Fenced(failure));
                }
                Err(failure) => {
                    result_is_left |= node.leaves == Leaves::Result;
                    self.leave(node, failure);
                }
            }
        }
        Ok(())
    }

    /// Whether a step may have left something that the scope covers.
    fn concerns(&self, node: &StepNode, scope: UndoScope) -> bool {
        let covered = match node.leaves {
            Leaves::Scaffold => true,
            Leaves::Result => scope == UndoScope::Everything,
            Leaves::Nothing => false,
        };
        let may_hold = self.context.journal.checkpoint().state(&node.id).may_hold();
        // What a service holds goes with its session.
        covered && may_hold && !node.service
    }

    async fn undo_step(&self, node: &Arc<StepNode>) -> Result<(), Failure> {
        let context = &self.context;
        for round in 1.. {
            let Err(failure) = undo_once(context, node).await else { break };
            let Some(pause) = context.retry.pause(&node.id, &failure, round) else {
                return Err(failure);
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = context.stop.reached(StopStage::Finish) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn close(&mut self) {
        let interrupted = self.context.stop.stage() > StopStage::Go;
        let status = match &self.job {
            _ if self.report.cause.is_some() => self.before,
            _ if interrupted && !self.report.left.is_empty() => CloseStatus::Interrupted,
            _ if !self.report.left.is_empty() => CloseStatus::Failed,
            Job::Within(UndoScope::Scaffold) => CloseStatus::CleanedUp,
            Job::Within(UndoScope::Everything) => CloseStatus::Aborted,
            Job::Again(_) => CloseStatus::Interrupted,
        };
        match self.context.append(Record::RunClosed { status }).await {
            Ok(_) => self.report.status = Some(status),
            Err(error) => self.report.cause = Some(error.into()),
        }
    }

    fn leave(&mut self, node: &StepNode, failure: Failure) {
        let step: StepId = node.id.clone();
        self.report.left.push((step, failure));
    }
}
