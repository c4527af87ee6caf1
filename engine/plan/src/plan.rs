//! The checked plan: what `compile` works from.

use std::collections::BTreeMap;

use pgkedge_model::{
    DatabaseRef, DeclaredStep, Finding, Ident, OnFailure, PhaseName, QualifiedName, Server,
    Settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CapturePlan, Pattern, SourceMap};

/// A plan that passed every check of its text. Only [`crate::check`] makes one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    pub name: String,
    /// Where it was read from, for messages.
    pub path: String,
    /// The pipeline as the plan names it.
    pub pipeline: String,
    pub databases: BTreeMap<Server, DatabaseRef>,
    pub tables: TablePatterns,
    /// Never empty. A table belongs to the group that names it, or else to the first that describes it.
    pub groups: Vec<GroupPlan>,
    /// Empty where no step of the plan is repeated over slots.
    pub capture: CapturePlan,
    pub settings: Settings,
    /// Those of the pipeline with the plan's own, in order.
    pub phases: Vec<PhasePlan>,
    /// Warnings that were read and accepted.
    pub waive: Vec<Waiver>,
    /// What should be read before a run, but does not stop it.
    pub warnings: Vec<Finding>,
    pub map: SourceMap,
    /// The pipeline's own phases, before the plan changed them.
    pub(crate) base: Vec<PhasePlan>,
}

/// Which tables move: those that `include` matches and `exclude` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePatterns {
    /// Never empty.
    pub include: Vec<Pattern>,
    pub exclude: Vec<Pattern>,
}

impl TablePatterns {
    pub fn include(&self, name: &QualifiedName) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.include) && !any(&self.exclude)
    }
}

/// Tables that move together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    pub name: Ident,
    pub tables: Selector,
    /// The replication sets that carry its changes, all of one slot; none where nothing is captured.
    pub sets: Vec<Ident>,
    /// Where it stands in the plan; none for the group that is implied.
    pub pointer: Option<String>,
}

/// Chooses the tables of a group: those that match one of the patterns and have all properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Never empty.
    pub patterns: Vec<Pattern>,
    pub having: Vec<Property>,
    /// Where the properties stand in the plan; none where there are none.
    pub having_pointer: Option<String>,
}

/// What a table may have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// A primary key.
    PrimaryKey,
    /// No primary key.
    NoPrimaryKey,
    /// A unique index beside that of the primary key.
    OtherUniqueIndex,
    /// It is a partition of another table.
    Partitioned,
    /// It is unlogged.
    Unlogged,
}

/// A phase with its steps, in the order in which they are declared.
#[derive(Debug, Clone, PartialEq)]
pub struct PhasePlan {
    pub name: PhaseName,
    pub on_failure: OnFailure,
    pub steps: Vec<DeclaredStep>,
}

/// Accepts a warning, so that it is not shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The code of the warning.
    #[schemars(extend("examples" = ["plan::unverified"]))]
    pub code: String,
    /// Why it does not matter here: for whoever reads the plan next.
    #[schemars(length(min = 1), extend("examples" = ["compared by our own script"]))]
    pub reason: String,
}
