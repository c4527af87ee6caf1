//! A plan and a pipeline as they are written: the types behind the two JSON Schemas.
//!
//! Comments on fields become descriptions that editors show. A field enters when it works.

use std::borrow::Cow;
use std::collections::BTreeSet;

use indexmap::IndexMap;
use pgkedge_model::{
    ChangeCapture, CutoverSettings, DatabaseRef, LargeObjectPolicy, LimitSettings, LoadSettings,
    OnFailure, Operation, PublishedPartitions, UnloggedPolicy, VerifySettings, WithoutIdentity,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Property, Waiver};

/// A plan: which database moves where, which of its tables, and in which phases.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "pgkedge plan")]
pub(crate) struct PlanDocument {
    /// The version of the plan language: 1.
    #[schemars(extend("const" = 1, "examples" = [1]))]
    pub(crate) version: u32,
    /// Names the move: in messages, reports and the folder of its journal.
    #[schemars(extend("examples" = ["move-shop"]))]
    pub(crate) name: Name,
    /// The pipeline whose phases run: the name of a shipped one, or the path of a YAML file, from the
    /// folder of the plan.
    #[schemars(length(min = 1), extend("examples" = ["full-load"]))]
    pub(crate) pipeline: String,
    #[schemars(extend("examples" = [{ "source": { "url": { "env": "SOURCE_URL" } }, "target": { "url": { "env": "TARGET_URL" } } }]))]
    pub(crate) databases: Databases,
    #[serde(default)]
    pub(crate) tables: Tables,
    /// Groups of tables that move together. A table goes to the group that names it by a pattern; what
    /// no group names goes to the first that describes it, by properties or by `*`. Every table must
    /// have a group. Left out, all tables are one group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub(crate) groups: Vec<Group>,
    /// Logical replication slots on the source, by names of one's choice. Left out, where the pipeline
    /// captures changes: one for all groups.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) slots: IndexMap<String, SlotText>,
    /// What the slots carry, by names of one's choice. A group that names a slot alone has a set of all
    /// operations.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) replication_sets: IndexMap<String, SetText>,
    /// Foreign keys between tables of different slots, each as `schema.table.constraint`. They are
    /// created once all changes have arrived; any other such key is an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["public.orders.orders_customer_fkey"]]))]
    pub(crate) crossing_foreign_keys: Vec<String>,
    #[serde(default)]
    pub(crate) change_capture: ChangeCapture,
    #[serde(default)]
    pub(crate) tables_without_identity: WithoutIdentity,
    #[serde(default)]
    pub(crate) partitions: PublishedPartitions,
    #[serde(default)]
    pub(crate) large_objects: LargeObjectPolicy,
    #[serde(default)]
    pub(crate) unlogged: UnloggedPolicy,
    #[serde(default)]
    pub(crate) cutover: CutoverSettings,
    #[serde(default)]
    pub(crate) load: LoadSettings,
    #[serde(default)]
    pub(crate) limits: LimitSettings,
    #[serde(default)]
    pub(crate) verify: VerifySettings,
    /// What differs from the pipeline: phases and steps that are added, replaced or removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) phases: Vec<Phase>,
    /// Warnings that were read and accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) waive: Vec<Waiver>,
}

/// The databases of the move.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Databases {
    /// Where the data comes from.
    #[schemars(extend("examples" = [{ "url": { "env": "SOURCE_URL" } }]))]
    pub(crate) source: DatabaseRef,
    /// The maintenance replica: a physical standby of the source, from which the rows are read while
    /// it stands still. For pipelines that use one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{ "url": { "env": "REPLICA_URL" } }]))]
    pub(crate) replica: Option<DatabaseRef>,
    /// Where it goes: an empty database.
    #[schemars(extend("examples" = [{ "url": { "env": "TARGET_URL" } }]))]
    pub(crate) target: DatabaseRef,
}

/// Which tables move. Left out: all of them.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tables {
    /// Tables that move. A pattern that matches nothing is an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub(crate) include: Vec<PatternText>,
    /// Tables that stay behind, although `include` matches them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<PatternText>,
}

/// Tables that move together.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    #[schemars(extend("examples" = ["orders"]))]
    pub(crate) name: Name,
    #[schemars(extend("examples" = [["public.orders"]]))]
    pub(crate) tables: GroupTables,
    /// The slot that carries all changes of these tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("examples" = ["orders"]))]
    pub(crate) slot: Option<String>,
    /// The replication sets that carry them, instead of `slot`: all of one slot, and each operation in
    /// one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), extend("examples" = [["orders_rows", "orders_inserts"]]))]
    pub(crate) replication_sets: Vec<String>,
}

/// A logical replication slot on the source, with the subscription on the target that reads it.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotText {
    /// It is there already, under this very name, and stays when the run is over.
    #[serde(default)]
    pub(crate) existing: bool,
}

/// A publication on the source: which operations a slot carries for the groups that name the set.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetText {
    /// The slot that carries it.
    #[schemars(extend("examples" = ["orders"]))]
    pub(crate) slot: String,
    /// The publication of that name is there already, is taken as it is, and stays when the run is
    /// over. It publishes exactly the tables of the groups. Left out: the run creates one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("examples" = ["orders_changes"]))]
    pub(crate) publication: Option<String>,
    /// Left out: all four.
    #[serde(default = "all_operations")]
    #[schemars(length(min = 1))]
    pub(crate) operations: BTreeSet<Operation>,
}

fn all_operations() -> BTreeSet<Operation> {
    Operation::ALL.into()
}

/// The tables of a group: a list of patterns, or properties that the tables have.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum GroupTables {
    Patterns(#[schemars(length(min = 1))] Vec<PatternText>),
    Having(Having),
}

/// Tables by their properties; those that have all of them.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Having {
    #[schemars(length(min = 1), extend("examples" = [["primary_key"]]))]
    pub(crate) having: Vec<Property>,
    /// Only tables that also match one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub(crate) matching: Vec<PatternText>,
}

/// A phase: `steps` of a phase that the pipeline has are added to it, or replace the step of the same
/// name; a phase of another name is new and says where it goes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phase {
    #[schemars(extend("examples" = ["smoke"]))]
    name: Name,
    /// A new phase goes right behind this one, and the phase that followed then waits for it. Several
    /// that go behind the same one keep their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    after: Option<String>,
    /// A new phase goes right before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    before: Option<String>,
    /// Takes a phase out of the pipeline, with all its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool", extend("const" = true))]
    remove: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnFailure")]
    on_failure: Option<OnFailure>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepText>,
}

/// A pipeline: the phases that plans name by it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "pgkedge pipeline")]
pub(crate) struct PipelineDocument {
    /// The version of the pipeline language: 1.
    #[schemars(extend("const" = 1, "examples" = [1]))]
    version: u32,
    /// The name by which plans use it.
    #[schemars(extend("examples" = ["full-load"]))]
    pipeline: Name,
    /// Each phase waits for the one before it.
    #[schemars(length(min = 1))]
    phases: Vec<PhaseItem>,
}

/// A phase, or `include`, which tells the two apart by one field, so that what is wrong is said of the
/// one that is meant.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct PhaseItem(Value);

impl JsonSchema for PhaseItem {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PhaseItem".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "if": { "required": ["include"] },
            "then": generator.subschema_for::<Include>(),
            "else": generator.subschema_for::<PipelinePhase>(),
        })
    }
}

/// Stands for the phases of a shipped part.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Include {
    /// The name of the part.
    #[schemars(extend("examples" = ["cutover"]))]
    include: Name,
}

/// A phase. Its steps start as soon as what they need is there, side by side where they can.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelinePhase {
    #[schemars(extend("examples" = ["load"]))]
    name: Name,
    #[serde(default)]
    on_failure: OnFailure,
    #[schemars(length(min = 1))]
    steps: Vec<StepText>,
}

/// A name: letters, digits, `_` and `-`, beginning with a letter.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Name(#[schemars(regex(pattern = r"^[A-Za-z][A-Za-z0-9_-]*$"))] pub(crate) String);

/// A pattern: `schema.table`, where `*` is any text and `?` any one character; `*` alone is every table.
/// Letters match as the catalog holds them; odd names stand in double quotes, as in SQL: `"Odd.Schema".x`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct PatternText(pub(crate) String);

/// A step: its schema depends on the kinds and is put together by `schema`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct StepText(Value);

impl JsonSchema for StepText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "#/$defs/Step" })
    }
}
