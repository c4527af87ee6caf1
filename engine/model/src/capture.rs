//! Change capture as a plan asks for it, settled at compile time: slots, replication sets, tables.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ident, QualifiedName, Selection};

/// What is captured. Without slots nothing is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// In the plan's order.
    pub slots: Vec<Slot>,
}

/// A logical replication slot on the source, and the subscription on the target that reads it.
///
/// A slot that pgkedge creates is named `pgkedge_<name>_<tag>` on the server, and so is the
/// subscription; one that is there already goes by its own name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// As the plan names it: small letters, digits and underscores, at most 46 bytes.
    pub name: Ident,
    /// It was there before the run, and stays when the run is over.
    pub existing: bool,
    /// The groups whose changes it carries: their load starts over together.
    pub groups: Vec<Ident>,
    /// Never empty.
    pub sets: Vec<ReplicationSet>,
}

/// A publication on the source: which operations of which tables a slot carries.
///
/// One that pgkedge creates is named `pgkedge_<name>_<tag>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicationSet {
    pub name: Ident,
    pub slot: Ident,
    /// The publication that was there before the run: it is taken as it is, and stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Ident>,
    /// Never empty.
    pub operations: BTreeSet<Operation>,
    /// As they are published: sorted, roots instead of their partitions where `through_root`.
    pub tables: Vec<QualifiedName>,
    /// `publish_via_partition_root`.
    pub through_root: bool,
}

/// What can be done to a table's rows. The order is that of `publish`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Operation {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate];
}

impl Slot {
    /// Whether any of its publications is created by the run.
    pub fn publishes_anew(&self) -> bool {
        self.sets.iter().any(|set| set.publication.is_none())
    }
}

impl Capture {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slot that carries the changes of a selected table, leaf or root.
    pub fn slot_of(&self, table: &QualifiedName, selection: &Selection) -> Option<&Slot> {
        let group = selection.group_of(table)?;
        self.slots.iter().find(|slot| slot.groups.contains(&group.name))
    }

    pub fn sets(&self) -> impl Iterator<Item = &ReplicationSet> {
        self.slots.iter().flat_map(|slot| &slot.sets)
    }
}
