//! Takes a run back: its steps in reverse order.

use std::sync::Arc;

use pgkedge_model::{
    CloseStatus, EventSink, Failure, FailureClass, Fence, FenceGuard, Leaves, Performer, Record,
    StepId, StepNode, StepState,
};

use crate::attempt::caught;
use crate::context::{Approvals, Context};
use crate::failpoint::Point;
use crate::reporter::StepReporter;
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
    let mut report = UndoReport { undone: Vec::new(), left: Vec::new(), status: None, cause: None };
    let guard = match open::open(&journal, fence.as_ref(), sinks).await {
        Ok(opened) => opened.guard,
        Err(cause) => {
            report.cause = Some(cause);
            return report;
        }
    };
    let context = Arc::new(Context {
        header: journal.shared_header(),
        journal: journal.appender(),
        performer,
        stop,
        retry: RetryPolicy::default(),
        approvals: Approvals::default(),
    });
    let undoing = Undoing { context, scope, report };
    undoing.work(guard.as_ref()).await
}

struct Undoing {
    context: Arc<Context>,
    scope: UndoScope,
    report: UndoReport,
}

impl Undoing {
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
            done = self.undo_all() => {
                self.report.cause = done.err();
                self.report.cause.is_some()
            }
        };
        if !left_early {
            self.close().await;
        }
        self.report
    }

    async fn undo_all(&mut self) -> Result<(), RunError> {
        let context = Arc::clone(&self.context);
        let mut result_is_left = false;
        for node in context.header.graph.steps().rev() {
            if !self.concerns(node) {
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
    fn concerns(&self, node: &StepNode) -> bool {
        let covered = match node.leaves {
            Leaves::Scaffold => true,
            Leaves::Result => self.scope == UndoScope::Everything,
            Leaves::Nothing => false,
        };
        let may_hold = match self.context.journal.checkpoint().state(&node.id) {
            StepState::Pending | StepState::Undone => false,
            StepState::Running { .. }
            | StepState::Ready { .. }
            | StepState::Succeeded { .. }
            | StepState::Failed { .. } => true,
        };
        // What a service holds goes with its session.
        covered && may_hold && !node.service
    }

    async fn undo_step(&self, node: &Arc<StepNode>) -> Result<(), Failure> {
        let context = &self.context;
        let attempt = context.journal.checkpoint().state(&node.id).next_attempt() - 1;
        for round in 1.. {
            let reporter = StepReporter::new(Arc::clone(context), node.id.clone(), attempt, None);
            let call = context.call(node, attempt, Arc::new(reporter));
            let undone = caught(&node.id, async || context.performer.undo(call).await).await;
            let Err(failure) = undone else { break };
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
        let status = match self.scope {
            _ if self.context.stop.stage() > StopStage::Go && !self.report.left.is_empty() => {
                CloseStatus::Interrupted
            }
            _ if !self.report.left.is_empty() => CloseStatus::Failed,
            UndoScope::Scaffold => CloseStatus::CleanedUp,
            UndoScope::Everything => CloseStatus::Aborted,
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
