//! Slots, sets and tables that are captured.

use pgkedge_model::{Column, Operation, ReplicaIdentity, Table};
use pgkedge_plan::{CrossingKey, SetPlan, SlotPlan};

use super::{Sketch, World, group, ident};

impl Sketch {
    pub(crate) fn slots(mut self, names: &[&str]) -> Self {
        self.capture.slots = names
            .iter()
            .map(|name| SlotPlan {
                name: ident(name),
                existing: false,
                pointer: Some(format!("/slots/{name}")),
            })
            .collect();
        self
    }

    /// A set, which is named by its place among those that are told.
    pub(crate) fn set(mut self, name: &str, slot: &str, operations: &[Operation]) -> Self {
        self.capture.sets.push(SetPlan {
            name: ident(name),
            slot: ident(slot),
            publication: None,
            operations: operations.iter().copied().collect(),
            pointer: Some(format!("/replication_sets/{name}")),
        });
        self
    }

    /// Groups, each with its tables and its set; one that there is not yet has all operations of the
    /// slot of its name.
    pub(crate) fn carried(mut self, groups: &[(&str, &[&str], &str)]) -> Self {
        self.groups.clear();
        for (at, (name, tables, set)) in groups.iter().enumerate() {
            if !self.capture.sets.iter().any(|known| known.name.as_str() == *set) {
                self = self.set(set, set, &Operation::ALL);
            }
            let mut group = group(Some(at), name, tables);
            group.sets = vec![ident(set)];
            self.groups.push(group);
        }
        self
    }

    pub(crate) fn crossing(mut self, keys: &[&str]) -> Self {
        let numbered = keys.iter().enumerate().map(|(n, key)| {
            CrossingKey::parse(key).unwrap().at(format!("/crossing_foreign_keys/{n}"))
        });
        self.capture.crossing_foreign_keys = numbered.collect();
        self
    }

    /// One slot for all tables.
    pub(crate) fn captured(self) -> Self {
        self.slots(&["changes"]).carried(&[("all", &["*"], "changes")])
    }
}

impl World {
    pub(crate) fn change(mut self, oid: u32, change: impl Fn(&mut Table)) -> Self {
        change(self.0.source.tables.iter_mut().find(|table| table.oid == oid).unwrap());
        self
    }

    pub(crate) fn keyless(self, oid: u32) -> Self {
        self.change(oid, |table| table.identity = ReplicaIdentity::default())
    }

    pub(crate) fn unlogged(self, oid: u32) -> Self {
        self.change(oid, |table| table.unlogged = true)
    }

    pub(crate) fn column(self, oid: u32, name: &str, generated: bool) -> Self {
        self.change(oid, |table| {
            table.columns.push(Column {
                name: ident(name),
                type_oid: 23,
                type_name: "integer".into(),
                not_null: true,
                generated,
                nondeterministic: false,
            });
        })
    }
}
