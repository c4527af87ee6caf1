//! Which slot's load a draft belongs to: what starts over together when a snapshot is lost.

use pgkedge_model::{Entry, Ident, Item, QualifiedName};

use super::expand::Expanded;
use crate::compile::Scene;

/// What a load of its own position begins with: the hand-off of one slot.
const HAND_OFF: &str = "slot_hand_off:";

/// The slot that carries the item's table.
pub(crate) fn of(item: &Item<'_>, scene: &Scene<'_>) -> Option<Ident> {
    let slot_of = |table: &QualifiedName| scene.capture.slot_of(table, scene.selection);
    let slot = match item {
        Item::Slot(slot) => return Some(slot.name.clone()),
        Item::Table(table) | Item::Part(table, _) => slot_of(&table.name),
        Item::Entry(entry) => table_of(entry, scene).and_then(slot_of),
        Item::Once | Item::Sequence(_) | Item::ReplicationSet(_) => None,
    };
    slot.map(|slot| slot.name.clone())
}

/// Only what comes at or after the first hand-off of a slot belongs to that slot alone.
pub(crate) fn keep_from_the_hand_off(expanded: &mut [Expanded<'_>]) {
    let hands_off = |step: &Expanded<'_>| {
        let touches = step.drafts.iter().flat_map(|scoped| &scoped.draft.touches);
        touches.into_iter().any(|touch| touch.object.0.starts_with(HAND_OFF))
    };
    let first = expanded.iter().position(hands_off).unwrap_or(expanded.len());
    for step in &mut expanded[..first] {
        for scoped in &mut step.drafts {
            scoped.scope = None;
        }
    }
}

/// The table of an index or constraint; what joins two indexes belongs to that of either.
fn table_of<'a>(entry: &Entry, scene: &Scene<'a>) -> Option<&'a QualifiedName> {
    let own = |entry: &Entry| {
        let index = scene.source.indexes.get(&entry.oid).map(|index| &index.table);
        index.or_else(|| scene.source.constraints.get(&entry.oid).map(|found| &found.table))
    };
    own(entry).or_else(|| {
        let mut needed = entry.depends.iter().filter_map(|needed| scene.source.entries.get(needed));
        needed.find_map(|needed| own(needed))
    })
}
