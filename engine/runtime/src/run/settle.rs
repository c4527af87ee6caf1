//! Between two rounds: windows that failed are taken back, scopes that lost their ground are voided.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pgkedge_model::{CloseStatus, Ident, StepId};

use super::Runner;
use super::halt::Halt;
use super::round::End;
use crate::take_back::{Doubt, is_beyond, take_back, void};
use crate::{RunError, StopStage, TakenBack, scope};

/// What came of a window that was begun and not finished.
enum Closed {
    TakenBack,
    /// It cannot be taken back any more.
    Beyond,
}

impl Runner {
    /// Takes back what an earlier runner left half done.
    pub(super) async fn settle(&mut self) -> Result<(), End> {
        let mut changed = false;
        while let Some(at) = self.open_window() {
            changed = true;
            match self.close_window(at).await? {
                Closed::TakenBack => self.taken_back = None,
                Closed::Beyond => break,
            }
        }
        changed |= self.void_lost().await?;
        if !changed {
            return Ok(());
        }
        if self.user.stage() > StopStage::Go {
            return Err(End::Closed(CloseStatus::Interrupted));
        }
        self.begin_anew();
        Ok(())
    }

    /// Whether another round follows.
    pub(super) async fn after(&mut self, end: End) -> Result<(), End> {
        match end {
            End::Left | End::Broken(_) | End::Closed(CloseStatus::Succeeded) => return Err(end),
            End::Closed(_) | End::CancelGraceOver => {}
        }
        self.tasks.shutdown().await;
        match (self.halt.take(), self.open_window()) {
            (halt, Some(at)) => match self.close_window(at).await? {
                Closed::TakenBack if self.failed.is_empty() => {
                    Err(End::Closed(CloseStatus::Interrupted))
                }
                Closed::TakenBack => Err(End::Closed(CloseStatus::Failed)),
                Closed::Beyond => self.go_forward(halt.as_ref(), end),
            },
            (Some(Halt::StartOver { scopes, pause }), None) => {
                self.start_over(&scopes, pause).await
            }
            (halt @ Some(_), None) => self.go_forward(halt.as_ref(), end),
            (None, None) => Err(end),
        }
    }

    /// A step that cannot be taken back turned out to be done: nothing that came in its way counts.
    fn go_forward(&mut self, halt: Option<&Halt>, end: End) -> Result<(), End> {
        if let Some(Halt::Overdue { .. }) = halt {
            self.failed.clear();
        }
        let checkpoint = self.context.journal.checkpoint().clone();
        self.failed.retain(|(step, _)| !checkpoint.state(step).is_succeeded());
        if !self.failed.is_empty() {
            return Err(End::Closed(CloseStatus::Failed));
        }
        if self.user.stage() > StopStage::Go {
            return Err(end);
        }
        self.begin_anew();
        Ok(())
    }

    async fn start_over(&mut self, scopes: &BTreeSet<Ident>, pause: Duration) -> Result<(), End> {
        let graph = &self.context.header.graph;
        let is_void = |step: &StepId| {
            let scope = graph.step(step).and_then(|node| node.scope.as_ref());
            scope.is_some_and(|scope| scopes.contains(scope))
        };
        self.failed.retain(|(step, _)| !is_void(step));
        if !self.failed.is_empty() {
            return Err(End::Closed(CloseStatus::Failed));
        }
        let user = self.user.clone();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = user.reached(StopStage::Finish) => {
                return Err(End::Closed(CloseStatus::Interrupted));
            }
        }
        self.void_lost().await?;
        self.begin_anew();
        Ok(())
    }

    /// Asks whether a window can be taken back, and takes it back.
    async fn close_window(&mut self, at: usize) -> Result<Closed, End> {
        let window = self.windows[at].clone();
        let context = Arc::new(self.context.anew());
        let mut report = TakenBack { phases: window.phases.clone(), ..TakenBack::default() };
        let asked = async { Ok(is_beyond(&context, &window).await) };
        match self.unless_lost(StopStage::Leave, asked).await? {
            Ok(true) => return Ok(Closed::Beyond),
            Ok(false) => {}
            Err(Doubt::Broken(cause)) => return Err(End::Broken(cause)),
            Err(Doubt::Step(step, failure)) => {
                report.left.push((step, failure));
                self.taken_back = Some(report);
                return Err(End::Closed(CloseStatus::Failed));
            }
        }
        let taken = self.unless_lost(StopStage::Leave, take_back(&context, &window.steps)).await?;
        let is_left = !taken.left.is_empty();
        self.taken_back = Some(TakenBack { undone: taken.undone, left: taken.left, ..report });
        if is_left { Err(End::Closed(CloseStatus::Failed)) } else { Ok(Closed::TakenBack) }
    }

    /// Takes scopes back that stand on a service which has to start again. Says whether there were
    /// any.
    async fn void_lost(&mut self) -> Result<bool, End> {
        let context = Arc::new(self.context.anew());
        let scopes = scope::lost(&context.header.graph, &context.journal.checkpoint());
        if scopes.is_empty() {
            return Ok(false);
        }
        let steps = scope::steps_of(&context.header.graph, &scopes);
        let taken = self.unless_lost(StopStage::Cancel, void(&context, &steps, scopes)).await?;
        if taken.left.is_empty() {
            return Ok(true);
        }
        self.failed.extend(taken.left);
        Err(End::Closed(CloseStatus::Failed))
    }

    /// Works as long as the run is held, and the user wants to wait.
    async fn unless_lost<T>(
        &mut self,
        patience: StopStage,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, End> {
        let user = self.user.clone();
        tokio::select! {
            biased;
            error = &mut self.lost => Err(End::Broken(error.into())),
            () = user.reached(patience) => {
                if user.stage() >= StopStage::Leave {
                    return Err(End::Left);
                }
                self.context.performer.cancel();
                Err(End::Closed(CloseStatus::Interrupted))
            }
            done = work => done.map_err(End::Broken),
        }
    }
}
