//! One attempt at one step: durable intent, effect, durable outcome.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use pgkedge_model::{Call, Event, Failure, FailureClass, Probe, Record, StepId, StepNode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::StopStage;
use crate::context::Context;
use crate::failpoint::Point;
use crate::journal::JournalError;
use crate::reporter::{ServiceSeat, StepReporter};

/// An attempt that is about to be made.
pub(crate) struct Attempt {
    pub(crate) context: Arc<Context>,
    pub(crate) node: Arc<StepNode>,
    pub(crate) number: u32,
    /// Whether to ask first whether the effect holds.
    pub(crate) probe: bool,
    pub(crate) service: Option<Service>,
}

/// How a running service is told to end.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) seat: ServiceSeat,
    /// Cancelled, before `seat.end` is, when it ends with the run and not for good.
    pub(crate) released: CancellationToken,
}

/// How an attempt ended. Everything but a failure is in the journal already.
#[derive(Debug)]
pub(crate) enum Ending {
    Succeeded,
    ServiceStopped,
    /// The service ended with the run: the next run starts it again.
    ServiceReleased,
    Failed(Failure),
}

/// What a step's own code came to.
enum Made {
    Effect(Value),
    Adopted(Value),
}

impl Attempt {
    /// An error means that the journal can take no more: the run must end.
    pub(crate) async fn make(self) -> Result<Ending, JournalError> {
        let (step, attempt) = (self.node.id.clone(), self.number);
        Point::BeforeIntent.reach(&self.node.kind);
        self.context.append(Record::StepStarted { step: step.clone(), attempt }).await?;
        let made = self.act().await;
        if self.is_released() {
            return Ok(Ending::ServiceReleased);
        }
        let (output, adopted) = match made {
            Ok(Made::Effect(_)) if self.service.is_some() => return self.end_service().await,
            Ok(Made::Effect(output)) => (output, false),
            Ok(Made::Adopted(output)) => (output, true),
            Err(failure) => return Ok(Ending::Failed(failure)),
        };
        let record = Record::StepSucceeded { step, attempt, output, adopted };
        self.context.append(record).await?;
        Point::AfterDone.reach(&self.node.kind);
        Ok(Ending::Succeeded)
    }

    async fn act(&self) -> Result<Made, Failure> {
        if self.probe
            && let Some(output) = self.ask().await?
        {
            return Ok(Made::Adopted(output));
        }
        // A query that starts after the others were cancelled would not be.
        if self.context.stop.stage() >= StopStage::Cancel {
            return Err(Context::cancelled(&self.node.id));
        }
        Point::BeforeEffect.reach(&self.node.kind);
        let output =
            caught(&self.node.id, async || self.context.performer.perform(self.call()).await)
                .await?;
        // A service reaches these points when it holds.
        if self.service.is_none() {
            Point::AfterEffect.reach(&self.node.kind);
        }
        Ok(Made::Effect(output))
    }

    /// Asks the world until it knows. Returns the output if the effect holds.
    async fn ask(&self) -> Result<Option<Value>, Failure> {
        let step = &self.node.id;
        for round in 1.. {
            let found =
                caught(step, async || self.context.performer.probe(self.call()).await).await?;
            let reason = match found {
                Probe::Applied(output) => return Ok(Some(output)),
                Probe::Absent | Probe::Partial => return Ok(None),
                Probe::Foreign(what) => return Err(Failure::new(FailureClass::Blocked, what)),
                Probe::InProgress(reason) => reason,
            };
            let step = step.clone();
            self.context.journal.publish(&Event::Waiting { step, reason });
            tokio::select! {
                () = tokio::time::sleep(self.context.retry.backoff(&self.node.id, round)) => {}
                () = self.context.stop.reached(StopStage::Cancel) => break,
            }
        }
        Err(Context::cancelled(step))
    }

    fn call(&self) -> Call {
        let seat = self.service.as_ref().map(|service| service.seat.clone());
        let context = Arc::clone(&self.context);
        let reporter = StepReporter::new(context, self.node.id.clone(), self.number, seat);
        self.context.call(&self.node, self.number, Arc::new(reporter))
    }

    /// A service may only end after it was told to.
    async fn end_service(&self) -> Result<Ending, JournalError> {
        let step = self.node.id.clone();
        let stopped = self.service.as_ref().is_some_and(|service| service.seat.end.is_cancelled());
        if !stopped {
            let failure = Failure::transient(format!("the service `{step}` ended by itself"));
            return Ok(Ending::Failed(failure));
        }
        self.context.append(Record::ServiceStopped { step }).await?;
        Ok(Ending::ServiceStopped)
    }

    fn is_released(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.released.is_cancelled())
    }
}

/// Makes a failure of a panic in a step's own code.
pub(crate) async fn caught<T>(
    step: &StepId,
    act: impl AsyncFnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    match AssertUnwindSafe(act()).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(Failure::permanent(format!("`{step}` panicked"))
            .detail(message(panic.as_ref()))
            .help("this is a bug in pgkedge; please report it")),
    }
}

pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it did not say why".to_owned())
}
