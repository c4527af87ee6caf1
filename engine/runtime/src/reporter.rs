//! What a running step can tell the runtime, and ask it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgkedge_model::{BoxFuture, Event, Failure, Progress, Record, Reporter, StepId};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::StopStage;
use crate::context::{APPROVED_BY, Context};
use crate::failpoint::Point;
use crate::journal::{JournalError, locked};

/// A display needs no more than this; a fast COPY would say it a thousand times a second.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// The reporter of one attempt.
pub(crate) struct StepReporter {
    context: Arc<Context>,
    step: StepId,
    attempt: u32,
    /// None for a step that is no service.
    service: Option<ServiceSeat>,
    last_progress: Mutex<Option<Instant>>,
}

/// What a service has that other steps have not.
#[derive(Clone)]
pub(crate) struct ServiceSeat {
    /// Cancelled when the service is to end.
    pub(crate) end: CancellationToken,
    pub(crate) ready: UnboundedSender<ServiceReady>,
}

/// A service holds from now on.
pub(crate) struct ServiceReady {
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
}

impl StepReporter {
    pub(crate) fn new(
        context: Arc<Context>,
        step: StepId,
        attempt: u32,
        service: Option<ServiceSeat>,
    ) -> Self {
        Self { context, step, attempt, service, last_progress: Mutex::new(None) }
    }

    async fn append(&self, record: Record) -> Result<(), Failure> {
        match self.context.append(record).await {
            Ok(_) => Ok(()),
            Err(error) => Err(unwritten(&error)),
        }
    }

    fn progress_is_due(&self) -> bool {
        let (mut last, now) = (locked(&self.last_progress), Instant::now());
        let due = last.is_none_or(|last| now.duration_since(last) >= PROGRESS_PAUSE);
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Reporter for StepReporter {
    fn note(&self, key: &str, value: Value) -> BoxFuture<'_, Result<(), Failure>> {
        let record = Record::Noted { step: self.step.clone(), key: key.to_owned(), value };
        Box::pin(self.append(record))
    }

    fn progress(&self, progress: Progress) {
        if self.progress_is_due() {
            let progress = Progress { step: Some(self.step.clone()), ..progress };
            self.context.journal.publish(&Event::Progress(progress));
        }
    }

    fn waiting(&self, reason: &str) {
        let (step, reason) = (self.step.clone(), reason.to_owned());
        self.context.journal.publish(&Event::Waiting { step, reason });
    }

    fn ready(&self, output: Value) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let (step, attempt) = (self.step.clone(), self.attempt);
            let Some(service) = &self.service else {
                return Err(Failure::permanent(format!("`{step}` is ready but no service")));
            };
            let kind = self.context.header.graph.step(&step).map_or("", |node| &node.kind);
            Point::AfterEffect.reach(kind);
            self.append(Record::ServiceReady { step: step.clone(), attempt, output }).await?;
            Point::AfterDone.reach(kind);
            // Nobody listens any more when the run ends, and then nobody needs it.
            drop(service.ready.send(ServiceReady { step, attempt }));
            Ok(())
        })
    }

    /// For a step that is no service: when what runs is cancelled, so that a step which only waits
    /// can wait for this too.
    fn stopped(&self) -> BoxFuture<'_, ()> {
        match &self.service {
            Some(service) => Box::pin(service.end.cancelled()),
            None => Box::pin(self.context.stop.reached(StopStage::Cancel)),
        }
    }

    fn approved(&self) -> BoxFuture<'_, Option<String>> {
        let noted =
            self.context.journal.checkpoint().notes.get(&self.step).and_then(|notes| {
                notes.get(APPROVED_BY).and_then(Value::as_str).map(str::to_owned)
            });
        Box::pin(async move {
            if noted.is_some() {
                return noted;
            }
            tokio::select! {
                by = self.context.approvals.of(&self.step) => Some(by),
                () = self.context.stop.reached(StopStage::Finish) => None,
            }
        })
    }
}

/// The attempt fails with this; the run then ends, for nothing can be recorded any more.
fn unwritten(error: &JournalError) -> Failure {
    Failure::permanent("the journal cannot be written").detail(error.to_string())
}
