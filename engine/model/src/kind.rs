//! A step kind as `plan` and `compile` see it: plain data and function pointers.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Capture, Catalog, Constraint, Entry, Facts, Finding, Index, Part, PhaseName, QualifiedName,
    ReplicationSet, Script, Selection, Server, Settings, Slot, Table, Touch,
};

/// One step kind.
#[derive(Debug, Clone, Copy)]
pub struct KindSpec {
    /// For example `copy_part`.
    pub kind: &'static str,
    /// One sentence, for the schema and the docs.
    pub about: &'static str,
    /// JSON Schema of the parameters that stand beside `name`, `kind` and `each`.
    pub params: fn() -> Value,
    /// What it can be expanded over; empty: it takes no `each`.
    pub each: &'static [Each],
    /// Raised when the effect of the same parameters changes.
    pub version: u32,
    pub leaves: Leaves,
    pub service: bool,
    /// Counts against `load.workers` while it runs.
    pub worker: bool,
    /// Servers that it talks to while it runs, beside those that its statements go to.
    pub servers: &'static [Server],
    /// Turns a declared step and one item into drafts. Called once per item, in order.
    pub expand: fn(&Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>>,
}

/// What a finished step leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    /// Helps the move only: cleanup and abort undo it.
    Scaffold,
    /// Is what the move is for: only abort undoes it.
    Result,
    /// Nothing: reads, waits, compares.
    Nothing,
}

/// What a declared step is repeated for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Every selected table with rows of its own: ordinary tables and leaf partitions.
    Table,
    /// Every load part of those.
    Part,
    /// Every `INDEX` and `INDEX ATTACH` entry of the archive.
    Index,
    /// Every `CONSTRAINT` and `CHECK CONSTRAINT` entry after the data; foreign keys not among them.
    Constraint,
    /// Every `FK CONSTRAINT` entry.
    ForeignKey,
    Sequence,
    /// Populated ones, those first that others read.
    MaterializedView,
    /// Every slot of the plan.
    Slot,
    /// Every replication set of the plan.
    ReplicationSet,
    /// Every load part of unlogged tables, which no capture carries; `part` leaves them out then.
    UnloggedPart,
}

/// A step as the plan and its pipeline declare it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeclaredStep {
    pub phase: PhaseName,
    pub name: String,
    pub kind: String,
    pub each: Option<Each>,
    /// An object: the kind's own parameters.
    pub params: Value,
    /// Where it stands in the plan; none where it comes from the pipeline.
    pub pointer: Option<String>,
}

/// What `expand` is called with.
pub struct Expansion<'a> {
    pub declared: &'a DeclaredStep,
    pub item: Item<'a>,
    pub settings: &'a Settings,
    pub selection: &'a Selection,
    /// Empty where the plan captures no changes.
    pub capture: &'a Capture,
    /// Numbers of the archive entries that belong to, or hang on, tables that the plan leaves out.
    pub excluded_entries: &'a BTreeSet<u32>,
    pub facts: &'a Facts,
    pub source: &'a CatalogIndex<'a>,
}

/// One item of an `each`.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// The step has no `each`.
    Once,
    /// A table or a materialized view.
    Table(&'a Table),
    Part(&'a Table, &'a Part),
    /// An index, constraint or foreign key, by its archive entry.
    Entry(&'a Entry),
    Sequence(&'a crate::Sequence),
    Slot(&'a Slot),
    ReplicationSet(&'a ReplicationSet),
}

/// What a kind makes of one item. Compile turns drafts into nodes, alone or folded into bundles.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Unique within the declared step; empty for the only draft of a step without `each`.
    pub key: String,
    /// What the kind needs to know at run time.
    pub params: Value,
    pub touches: Vec<Touch>,
    pub script: Script,
    /// Estimated work in bytes.
    pub cost: u64,
    pub fold: Fold,
    /// The declared step (a service) that this one stops.
    pub stops: Option<String>,
}

/// How drafts of one declared step may share a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// A node of its own.
    Alone,
    /// With others of its kind, in any order.
    Small,
    /// With its neighbours, in order; each node waits for the one before it.
    Chain,
}

/// Looks into a catalog by OID, name and entry number.
pub struct CatalogIndex<'a> {
    pub tables: BTreeMap<u32, &'a Table>,
    pub tables_by_name: BTreeMap<&'a QualifiedName, &'a Table>,
    pub indexes: BTreeMap<u32, &'a Index>,
    pub constraints: BTreeMap<u32, &'a Constraint>,
    pub entries: BTreeMap<u32, &'a Entry>,
    /// Entries of objects, by class and OID.
    pub entries_by_object: BTreeMap<(u32, u32), &'a Entry>,
    /// Numbers of the entries that have their label in common with another one.
    pub namesakes: BTreeSet<u32>,
}

impl<'a> CatalogIndex<'a> {
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            tables: catalog.tables.iter().map(|table| (table.oid, table)).collect(),
            tables_by_name: catalog.tables.iter().map(|table| (&table.name, table)).collect(),
            indexes: catalog.indexes.iter().map(|index| (index.oid, index)).collect(),
            constraints: catalog.constraints.iter().map(|c| (c.oid, c)).collect(),
            entries: catalog.entries.iter().map(|entry| (entry.number, entry)).collect(),
            entries_by_object: catalog
                .entries
                .iter()
                .filter(|entry| entry.oid != 0)
                .map(|entry| ((entry.class, entry.oid), entry))
                .collect(),
            namesakes: namesakes(&catalog.entries),
        }
    }
}

fn namesakes(entries: &[Entry]) -> BTreeSet<u32> {
    let mut by_label: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in entries {
        by_label.entry(entry.label()).or_default().push(entry.number);
    }
    by_label.into_values().filter(|numbers| numbers.len() > 1).flatten().collect()
}
