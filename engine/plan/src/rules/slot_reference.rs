//! Sets and groups name slots that there are, groups name sets that there are.

use pgkedge_model::Finding;

use super::Text;
use crate::capture_view::CaptureView;
use crate::codes;
use crate::nearest::suggestion;
use crate::views::TextView;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let view = CaptureView::of(text.json);
    let (slots, sets) = (view.slot_names(), view.set_names());
    let of_sets = view.sets.iter().filter_map(|set| {
        let slot = set.slot.as_ref().filter(|slot| !slots.contains(&slot.text))?;
        Some(unknown_slot(&format!("replication set `{}`", set.name), slot, &slots))
    });
    let of_groups = view.groups.iter().filter_map(|group| {
        let slot = group.slot.as_ref().filter(|slot| !slots.contains(&slot.text))?;
        Some(unknown_slot(&format!("group `{}`", group.name), slot, &slots))
    });
    let of_names = view.groups.iter().flat_map(|group| {
        let unknown = group.sets.iter().filter(|set| !sets.contains(&set.text));
        unknown.map(|set| unknown_set(group.name, set, &sets))
    });
    of_sets.chain(of_groups).chain(of_names).collect()
}

fn unknown_slot(what: &str, slot: &TextView<'_>, slots: &[&str]) -> Finding {
    let message = format!("{what} names the slot `{}`, which there is not", slot.text);
    let help = if slots.is_empty() {
        format!("add `slots: {{ {}: {{}} }}`", slot.text)
    } else {
        suggestion(slot.text, "slots", slots)
    };
    Finding::error(codes::UNKNOWN_SLOT, message)
        .at_value(slot.pointer.clone(), "not a slot of this plan")
        .help(help)
}

fn unknown_set(group: &str, set: &TextView<'_>, sets: &[&str]) -> Finding {
    let message =
        format!("group `{group}` names the replication set `{}`, which there is not", set.text);
    let help = if sets.is_empty() {
        "add it under `replication_sets`, or let the group name its slot alone: `slot: …`"
            .to_owned()
    } else {
        suggestion(set.text, "replication sets", sets)
    };
    Finding::error(codes::UNKNOWN_SET, message)
        .at_value(set.pointer.clone(), "not a replication set of this plan")
        .help(help)
}
