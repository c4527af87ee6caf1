//! What a journal holds: facts of a run, in the order in which they became true.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Epoch, Failure, Ident, RunId, StepId, Timestamp};

/// One fact. Appended before it is acted upon, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A runner has taken the run: everything running before it is uncertain.
    RunOpened { run_id: RunId, epoch: Epoch, engine: String },
    /// The effect may happen from now on.
    StepStarted { step: StepId, attempt: u32 },
    /// A value that a crash must not lose, durable before it is used.
    Noted { step: StepId, key: String, value: Value },
    /// The effect holds. `adopted`: a probe found it, this runner did not make it.
    StepSucceeded { step: StepId, attempt: u32, output: Value, adopted: bool },
    /// This attempt failed. `retried`: the scheduler means to try again by itself.
    StepFailed { step: StepId, attempt: u32, failure: FailureFact, retried: bool },
    /// The effect was taken back.
    StepUndone { step: StepId },
    /// A service streams or holds; its dependants may start.
    ServiceReady { step: StepId, attempt: u32, output: Value },
    /// A service ended because another step stopped it.
    ServiceStopped { step: StepId },
    /// A group's load starts over.
    GroupVoided { group: Ident, generation: u32 },
    /// `resume PLAN` replaced pending steps; the journal's graph is the new one from here on.
    PlanEdited { changes: Vec<String> },
    /// Somebody changed what the run may take; holds until it is changed again.
    LimitsChanged { limits: LimitChange },
    /// This runner has let go of the run.
    RunClosed { status: CloseStatus },
}

impl Record {
    /// The step that it is about; none for records of the run itself.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::StepStarted { step, .. }
            | Self::Noted { step, .. }
            | Self::StepSucceeded { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepUndone { step }
            | Self::ServiceReady { step, .. }
            | Self::ServiceStopped { step } => Some(step),
            Self::RunOpened { .. }
            | Self::GroupVoided { .. }
            | Self::PlanEdited { .. }
            | Self::LimitsChanged { .. }
            | Self::RunClosed { .. } => None,
        }
    }
}

/// Limits that are changed while a run goes on; what is left out stays as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChange {
    pub workers: Option<u16>,
    pub source_connections: Option<u16>,
    pub target_connections: Option<u16>,
}

impl LimitChange {
    /// This change, and then a later one.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        Self {
            workers: later.workers.or(self.workers),
            source_connections: later.source_connections.or(self.source_connections),
            target_connections: later.target_connections.or(self.target_connections),
        }
    }
}

/// A failure as it is recorded.
pub type FailureFact = Failure;

/// How a runner let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseStatus {
    Succeeded,
    /// A step failed; the run can be resumed.
    Failed,
    /// The user stopped it; the run can be resumed.
    Interrupted,
    /// The scaffold was undone; the run cannot be resumed.
    CleanedUp,
    /// Everything was undone; the run cannot be resumed.
    Aborted,
}

impl CloseStatus {
    /// Whether the run is over for good.
    pub fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::CleanedUp | Self::Aborted => true,
            Self::Failed | Self::Interrupted => false,
        }
    }
}

/// A record with its place in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StampedRecord {
    /// 1 is the first.
    pub seq: u64,
    /// For people; nothing is decided by it.
    pub at: Timestamp,
    #[serde(flatten)]
    pub record: Record,
}

/// Fingerprint of what a step does: hex digits of BLAKE3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepDigest(pub String);
