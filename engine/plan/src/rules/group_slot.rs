//! A group is carried by one slot: its load starts over with it.

use pgkedge_model::Finding;

use super::Text;
use crate::capture_view::{CaptureView, GroupView};
use crate::codes;
use crate::nearest::listed;
use crate::pointer;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let view = CaptureView::of(text.json);
    view.groups.iter().filter_map(|group| finding(group, &view)).collect()
}

fn finding(group: &GroupView<'_>, view: &CaptureView<'_>) -> Option<Finding> {
    if let (Some(slot), [_, ..]) = (&group.slot, group.sets.as_slice()) {
        return Some(slot_and_sets(group, &slot.pointer));
    }
    if group.slot.is_some() || group.sets.is_empty() {
        let slots = view.slot_names();
        return (group.slot.is_none() && slots.len() > 1).then(|| without_slot(group, &slots));
    }
    let mut slots = group.sets.iter().filter_map(|name| {
        let slot = view.set(name.text)?.slot.as_ref()?;
        Some((name, slot.text))
    });
    let (first, slot) = slots.next()?;
    let (other, another) = slots.find(|(_, another)| *another != slot)?;
    let message = format!(
        "group `{}` is carried by two slots, `{slot}` and `{another}`, which are applied in no common order",
        group.name
    );
    Some(
        Finding::error(codes::TWO_SLOTS, message)
            .at_value(other.pointer.clone(), format!("a set of slot `{another}`"))
            .at_value(first.pointer.clone(), format!("a set of slot `{slot}`"))
            .help(format!("put the sets of a group on one slot, for example `slot: {slot}`")),
    )
}

fn slot_and_sets(group: &GroupView<'_>, slot: &str) -> Finding {
    let message = format!("group `{}` names a slot and replication sets", group.name);
    Finding::error(codes::SLOT_AND_SETS, message)
        .at_key(slot, "all operations by one set that is implied")
        .at_key(pointer::child(&group.pointer, "replication_sets"), "or these sets")
        .help("keep one of the two: the sets know their slot")
}

fn without_slot(group: &GroupView<'_>, slots: &[&str]) -> Finding {
    let message = format!("group `{}` does not say which slot carries its changes", group.name);
    Finding::error(codes::NO_SLOT, message)
        .at_value(pointer::child(&group.pointer, "name"), "needs `slot` or `replication_sets`")
        .help(format!("add `slot: {}`; slots: {}", slots[0], listed(slots)))
}
