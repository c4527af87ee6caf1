//! What other commands ask of a runner: rows that it turns into records.

use pgkedge_model::{LimitChange, StepId};
use serde::{Deserialize, Serialize};

/// One wish. Asked through a `JournalReader`, also while no runner is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Lets a step go on that waits for an approval.
    Approve {
        step: StepId,
        by: String,
    },
    SetLimits {
        limits: LimitChange,
    },
}

/// A request that no record has answered yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PendingRequest {
    pub(crate) id: i64,
    /// None where this engine cannot read it.
    pub(crate) request: Option<Request>,
}
