//! What displays, logs and status read: every record, and progress in between.

use serde::{Deserialize, Serialize};

use crate::{StampedRecord, StepId};

/// What happened. Records are lossless and in order; progress may be dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Durable in the journal when it is published.
    Lifecycle(StampedRecord),
    Progress(Progress),
    /// The run waits for something that a person may want to know.
    Waiting {
        step: StepId,
        reason: String,
    },
}

/// How far a running step has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub step: Option<StepId>,
    /// Since the attempt began.
    pub bytes: u64,
    pub rows: u64,
}

/// Takes events; must not block.
pub trait EventSink: Send + Sync {
    fn publish(&self, event: &Event);
}
