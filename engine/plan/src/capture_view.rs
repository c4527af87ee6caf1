//! Tolerant looks at what a plan says of slots, sets and groups; see `views`.

use std::collections::BTreeSet;

use pgkedge_model::Operation;
use serde_json::{Map, Value};

use crate::pointer;
use crate::views::{self, TextView};

/// All that a plan says of change capture by name.
pub(crate) struct CaptureView<'a> {
    pub(crate) slots: Vec<SlotView<'a>>,
    pub(crate) sets: Vec<SetView<'a>>,
    pub(crate) groups: Vec<GroupView<'a>>,
}

/// An entry of `slots`.
pub(crate) struct SlotView<'a> {
    pub(crate) pointer: String,
    pub(crate) name: &'a str,
    pub(crate) existing: bool,
}

/// An entry of `replication_sets`.
pub(crate) struct SetView<'a> {
    pub(crate) pointer: String,
    pub(crate) name: &'a str,
    pub(crate) slot: Option<TextView<'a>>,
    pub(crate) publication: Option<TextView<'a>>,
    pub(crate) operations: BTreeSet<Operation>,
}

/// What an entry of `groups` says of its capture.
pub(crate) struct GroupView<'a> {
    pub(crate) pointer: String,
    pub(crate) name: &'a str,
    pub(crate) slot: Option<TextView<'a>>,
    /// The sets that it names.
    pub(crate) sets: Vec<TextView<'a>>,
}

impl<'a> CaptureView<'a> {
    pub(crate) fn of(document: &'a Value) -> Self {
        Self {
            slots: entries(document, "/slots").map(slot).collect(),
            sets: entries(document, "/replication_sets").map(set).collect(),
            groups: groups(document),
        }
    }

    pub(crate) fn slot_names(&self) -> Vec<&'a str> {
        self.slots.iter().map(|slot| slot.name).collect()
    }

    pub(crate) fn set_names(&self) -> Vec<&'a str> {
        self.sets.iter().map(|set| set.name).collect()
    }

    /// Whether a slot or set is named that there is not.
    pub(crate) fn names_unknown(&self) -> bool {
        let (slots, sets) = (self.slot_names(), self.set_names());
        let of_sets = self.sets.iter().filter_map(|set| set.slot.as_ref());
        let of_groups = self.groups.iter().filter_map(|group| group.slot.as_ref());
        of_sets.chain(of_groups).any(|slot| !slots.contains(&slot.text))
            || self.groups.iter().flat_map(|group| &group.sets).any(|set| !sets.contains(&set.text))
    }

    pub(crate) fn set(&self, name: &str) -> Option<&SetView<'a>> {
        self.sets.iter().find(|set| set.name == name)
    }
}

/// Fields of a mapping, each with its place.
fn entries<'a>(
    document: &'a Value,
    mapping: &'static str,
) -> impl Iterator<Item = (String, &'a str, &'a Value)> {
    let fields = document.pointer(mapping).and_then(Value::as_object).into_iter().flatten();
    fields.map(move |(name, value)| (pointer::child(mapping, name), name.as_str(), value))
}

fn slot<'a>((pointer, name, value): (String, &'a str, &'a Value)) -> SlotView<'a> {
    SlotView { pointer, name, existing: value.get("existing") == Some(&Value::Bool(true)) }
}

fn set<'a>((pointer, name, value): (String, &'a str, &'a Value)) -> SetView<'a> {
    let field = |name| value.as_object().and_then(|fields| text(&pointer, fields, name));
    let (slot, publication) = (field("slot"), field("publication"));
    let operations = match value.get("operations").and_then(Value::as_array) {
        Some(operations) => {
            let known = |operation: &Value| serde_json::from_value(operation.clone()).ok();
            operations.iter().filter_map(known).collect()
        }
        None => Operation::ALL.into(),
    };
    SetView { pointer, name, slot, publication, operations }
}

fn groups(document: &Value) -> Vec<GroupView<'_>> {
    views::objects(document, "/groups")
        .filter_map(|(pointer, fields)| {
            let name = fields.get("name").and_then(Value::as_str)?;
            let slot = text(&pointer, fields, "slot");
            let sets = views::texts(document, &pointer::child(&pointer, "replication_sets"));
            Some(GroupView { pointer, name, slot, sets })
        })
        .collect()
}

fn text<'a>(at: &str, fields: &'a Map<String, Value>, field: &str) -> Option<TextView<'a>> {
    let text = fields.get(field)?.as_str()?;
    Some(TextView { pointer: pointer::child(at, field), text })
}
