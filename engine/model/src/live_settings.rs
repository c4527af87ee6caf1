//! The options of a plan that captures changes and cuts over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Lsn, TimeSpan};

/// Where change capture starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeCapture {
    pub from: CaptureFrom,
}

/// The position from which changes are carried over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFrom {
    /// Where the load ends.
    #[default]
    HandOff,
    /// The present, with data that are equal on both sides already.
    Now,
    /// A position that is known, on a slot that is there already.
    Lsn(#[schemars(with = "String", regex(pattern = r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$"))] Lsn),
}

/// What becomes of tables whose updates and deletes find no row on the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithoutIdentity {
    /// The plan is refused.
    #[default]
    Refuse,
    /// Only their inserts and truncates are captured: for tables that are only ever added to.
    InsertOnly,
    /// The whole row becomes their identity, before the slots are created: more WAL, slower apply.
    Full,
}

/// What of a partitioned table is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublishedPartitions {
    /// The root: a partition that is created meanwhile is captured, a truncate of one partition is
    /// not (PostgreSQL 13 and later; each partition by itself before).
    #[default]
    Root,
    /// Each partition: a truncate of one is captured, one that is created meanwhile is not.
    Leaf,
}

/// What becomes of changes of large objects, which no slot carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LargeObjectPolicy {
    /// They are copied again at the cutover.
    #[default]
    Recopy,
    /// Nobody changes them while the run goes on.
    Frozen,
}

/// What becomes of the rows of unlogged tables, which no slot carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnloggedPolicy {
    /// They are copied at the cutover.
    #[default]
    AtCutover,
    /// They stay behind.
    SchemaOnly,
}

/// How the writers change over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CutoverSettings {
    /// How long the source may be closed to writers; after that it is opened again.
    #[schemars(extend("examples" = ["30s"]))]
    pub deadline: TimeSpan,
    pub sequences: SequenceSettings,
    /// How the two sides are compared while the source is closed.
    pub verify: CutoverVerify,
    /// What becomes of prepared transactions that are open when the source is closed.
    pub prepared_transactions: PreparedTransactions,
}

impl Default for CutoverSettings {
    fn default() -> Self {
        Self {
            deadline: TimeSpan(30_000),
            sequences: SequenceSettings::default(),
            verify: CutoverVerify::default(),
            prepared_transactions: PreparedTransactions::default(),
        }
    }
}

/// How sequences are set on the target at the cutover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SequenceSettings {
    /// Values that are skipped, in the direction of the sequence.
    pub gap: u32,
}

impl Default for SequenceSettings {
    fn default() -> Self {
        Self { gap: 1_000 }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutoverVerify {
    /// Every row.
    #[default]
    Full,
    /// Row counts.
    Counts,
    /// Not at all: what was compared before must do.
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreparedTransactions {
    /// The cutover is taken back: whoever prepared them decides.
    #[default]
    Refuse,
    /// They are rolled back.
    Rollback,
}
