//! What names a run and its steps.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Capture, DatabaseRef, Facts, Server, Settings, StepGraph};

/// Identifies a run for ever: a UUID of version 7.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl RunId {
    /// The last eight hex digits: the first are a clock, and alike for runs of one moment.
    pub fn tag(&self) -> RunTag {
        let start = self.0.len().saturating_sub(8);
        RunTag(self.0[start..].to_owned())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Eight hex digits that every name carries which a run creates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunTag(pub String);

impl fmt::Display for RunTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts the runners that one run has had. Only the newest may commit on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The name of a phase.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct PhaseName(pub String);

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a node of the graph: `phase/step`, `phase/step/member` or `phase/step/bundle-0001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for StepId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// Everything that a run needs to go on without its plan: the first thing in a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    pub run_id: RunId,
    /// Version of the engine that compiled the graph.
    pub engine: String,
    pub plan_name: String,
    /// Where the plan was read from, for messages.
    pub plan_path: String,
    pub databases: BTreeMap<Server, DatabaseRef>,
    pub settings: Settings,
    pub facts: Facts,
    /// Which slot carries the changes of which groups; empty where no changes are captured.
    #[serde(default, skip_serializing_if = "Capture::is_empty")]
    pub capture: Capture,
    pub graph: StepGraph,
}
