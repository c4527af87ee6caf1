//! What a run is asked to do, and what came of it.

use std::time::Duration;

use pgkedge_model::{CloseStatus, Failure, FenceError, PhaseName, StepId};

use crate::{JournalError, RetryPolicy};

/// How to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The last phase to work on; none means all.
    pub until: Option<PhaseName>,
    pub retry: RetryPolicy,
    /// How long a cancelled step may take to end before it is left alone.
    pub cancel_grace: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { until: None, retry: RetryPolicy::default(), cancel_grace: Duration::from_secs(10) }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct RunReport {
    pub status: CloseStatus,
    /// Steps that failed for good, in the order in which they did: the first is the error.
    pub failed: Vec<(StepId, Failure)>,
    /// Steps that never ran, each with the failed step that it is because of.
    pub abandoned: Vec<(StepId, StepId)>,
    /// Steps that ended because the user stopped the run.
    pub cancelled: Vec<StepId>,
    /// What was taken back because a phase that says so failed, or was left half done.
    pub taken_back: Option<TakenBack>,
    /// The run ended after this phase because it was asked to.
    pub stopped_at: Option<PhaseName>,
    /// Why the runner could not go on; none where the run came to an end of its own.
    pub cause: Option<RunError>,
}

impl RunReport {
    pub(crate) fn broken(cause: RunError) -> Self {
        Self {
            status: CloseStatus::Failed,
            failed: Vec::new(),
            abandoned: Vec::new(),
            cancelled: Vec::new(),
            taken_back: None,
            stopped_at: None,
            cause: Some(cause),
        }
    }

    /// Whether a newer runner has taken over, or another one holds the run.
    pub fn is_fenced(&self) -> bool {
        matches!(
            self.cause,
            Some(
                RunError::Fence(FenceError::Held { .. } | FenceError::Stale)
                    | RunError::Fenced(_)
                    | RunError::Journal(JournalError::TakenOver)
            )
        )
    }
}

/// Phases that were taken back together.
#[derive(Debug, Clone, Default)]
pub struct TakenBack {
    pub phases: Vec<PhaseName>,
    /// In the order in which it was done.
    pub undone: Vec<StepId>,
    /// What could not be taken back: the next run tries that first.
    pub left: Vec<(StepId, Failure)>,
}

/// How an undo ended.
#[derive(Debug, Default)]
pub struct UndoReport {
    pub undone: Vec<StepId>,
    /// What could not be taken back, in the order in which it was tried.
    pub left: Vec<(StepId, Failure)>,
    /// How the journal was closed; none where it was not.
    pub status: Option<CloseStatus>,
    pub cause: Option<RunError>,
}

/// Why a runner could not go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The run could not be taken, or was lost.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// A step found out that a newer runner has taken over.
    #[error(transparent)]
    Fenced(Failure),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the run is over: it was {}", match .0 {
        CloseStatus::CleanedUp => "cleaned up",
        CloseStatus::Aborted => "aborted",
        CloseStatus::Succeeded => "completed",
        CloseStatus::Failed | CloseStatus::Interrupted => "closed",
    })]
    Over(CloseStatus),
    #[error("the run has no phase `{0}`")]
    UnknownPhase(PhaseName),
    /// A run may not end where it would leave a window half done.
    #[error("a run cannot stop after `{until}`: {} belong together", shown(phases))]
    CutWindow { until: PhaseName, phases: Vec<PhaseName> },
    /// Steps of a window were started, so that its load is in use.
    #[error("phase `{0}` has begun")]
    Begun(PhaseName),
    /// A step that cannot be taken back is done.
    #[error("`{0}` is done and cannot be taken back: the target is in use")]
    InUse(StepId),
    /// A bug in the runner itself.
    #[error("the runner stopped: {0}")]
    Internal(String),
}

/// The names of phases, in a row.
fn shown(phases: &[PhaseName]) -> String {
    let names: Vec<_> = phases.iter().map(|phase| format!("`{phase}`")).collect();
    names.join(", ")
}
