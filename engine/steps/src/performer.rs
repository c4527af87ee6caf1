//! Does what steps say: finds the kind of a node and calls it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgkedge_model::{
    BoxFuture, Call, Epoch, Failure, FailureClass, Performer, Probe, RunHeader, Server,
};
use pgkedge_postgres::Endpoint;
use serde_json::Value;

use crate::context::{Cancel, SharedEpoch, StepContext};
use crate::kinds::find;
use crate::step::Kind;

/// How long a step has to end after its queries were cancelled, before its sessions are dropped.
const GRACE: Duration = Duration::from_secs(10);

/// Performs the steps of one run over the step kinds.
pub struct StepPerformer {
    endpoints: BTreeMap<Server, Endpoint>,
    header: Arc<RunHeader>,
    epoch: SharedEpoch,
    context: Mutex<Option<Arc<StepContext>>>,
    cancel: Cancel,
}

impl StepPerformer {
    /// `epoch` is the cell that the run's `ServerFence` fills when it has taken the run.
    pub fn new(
        endpoints: BTreeMap<Server, Endpoint>,
        header: Arc<RunHeader>,
        epoch: SharedEpoch,
    ) -> Self {
        let (context, cancel) = (Mutex::default(), Cancel::default());
        Self { endpoints, header, epoch, context, cancel }
    }

    /// The context of the present epoch; a new epoch gets new sessions, under its own name.
    fn context(&self) -> Result<Arc<StepContext>, Failure> {
        let epoch = self.epoch.get().ok_or_else(|| {
            Failure::permanent("this run has not been taken, so no step of it may run")
        })?;
        let mut kept = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = kept.as_ref().filter(|context| context.epoch() == epoch) {
            return Ok(Arc::clone(context));
        }
        let context = Arc::new(self.fresh(epoch));
        *kept = Some(Arc::clone(&context));
        Ok(context)
    }

    fn fresh(&self, epoch: Epoch) -> StepContext {
        StepContext::new(&self.endpoints, Arc::clone(&self.header), epoch, self.cancel.clone())
    }

    /// The output of an effect that holds already.
    async fn held(&self, call: Call) -> Option<Value> {
        match self.probe(call).await {
            Ok(Probe::Applied(output)) => Some(output),
            Ok(Probe::Absent | Probe::Partial | Probe::InProgress(_) | Probe::Foreign(_))
            | Err(_) => None,
        }
    }

    /// Runs one action of a kind, and ends it when it is cancelled.
    async fn act<T>(
        &self,
        call: &Call,
        action: impl for<'a> Fn(
            &'static Kind,
            &'a StepContext,
            &'a Call,
        ) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let kind = find(&call.node.kind).ok_or_else(|| {
            let (step, kind) = (&call.node.id, &call.node.kind);
            Failure::permanent(format!("{step} is of kind `{kind}`, which this pgkedge lacks"))
                .help("resume with the version of pgkedge that started the run")
        })?;
        let context = self.context()?;
        let token = self.cancel.token();
        let mut work = pin!(action(kind, &context, call));
        tokio::select! {
            result = &mut work => return result,
            () = token.cancelled() => {}
        }
        context.cancel_all().await;
        match tokio::time::timeout(GRACE, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(Failure { class: FailureClass::Cancelled, ..failure }),
            Err(_) => Err(Failure::new(
                FailureClass::Cancelled,
                format!("{} was cancelled", call.node.id),
            )),
        }
    }
}

/// Whether a failure may come of the step's own effect: a journal that was restored from a copy, or
/// has lost its end, knows nothing of an attempt that did commit.
fn may_hold(call: &Call, failure: &Failure) -> bool {
    let refused = matches!(failure.class, FailureClass::Operator | FailureClass::Permanent);
    refused && !call.node.service && call.node.statements().next().is_some()
}

impl Performer for StepPerformer {
    fn perform(&self, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            let made = self.act(&call, |kind, context, call| (kind.run)(context, call)).await;
            match made {
                Err(failure) if may_hold(&call, &failure) => {
                    Ok(self.held(call).await.ok_or(failure)?)
                }
                made => made,
            }
        })
    }

    fn probe(&self, call: Call) -> BoxFuture<'_, Result<Probe, Failure>> {
        Box::pin(
            async move { self.act(&call, |kind, context, call| (kind.probe)(context, call)).await },
        )
    }

    fn undo(&self, call: Call) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(
            async move { self.act(&call, |kind, context, call| (kind.undo)(context, call)).await },
        )
    }

    fn cancel(&self) {
        self.cancel.cancel();
    }
}
