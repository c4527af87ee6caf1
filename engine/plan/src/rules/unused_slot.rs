//! Every slot has a group, and so has every replication set.

use pgkedge_model::Finding;

use super::Text;
use crate::capture_view::CaptureView;
use crate::codes;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let view = CaptureView::of(text.json);
    // Whoever names what there is not meant one of those that nobody names.
    if view.names_unknown() {
        return Vec::new();
    }
    // The only slot is that of all groups which name none.
    let implied = view.slots.len() == 1
        && (view.groups.is_empty()
            || view.groups.iter().any(|group| group.slot.is_none() && group.sets.is_empty()));
    let of_groups = |slot: &str| {
        view.groups.iter().any(|group| group.slot.as_ref().is_some_and(|own| own.text == slot))
    };
    let of_sets = |slot: &str| {
        view.sets.iter().any(|set| set.slot.as_ref().is_some_and(|own| own.text == slot))
    };
    let used = |slot: &str| implied || of_groups(slot) || of_sets(slot);
    let slots = view.slots.iter().filter(|slot| !used(slot.name)).map(|slot| {
        let message = format!("no group uses the slot `{}`", slot.name);
        Finding::error(codes::UNUSED_SLOT, message)
            .at_key(slot.pointer.clone(), "holds back WAL for nobody")
            .help(format!("let a group name it, `slot: {}`, or take it out", slot.name))
    });
    let named =
        |set: &str| view.groups.iter().any(|group| group.sets.iter().any(|own| own.text == set));
    let sets = view.sets.iter().filter(|set| !named(set.name)).map(|set| {
        let message = format!("no group uses the replication set `{}`", set.name);
        Finding::error(codes::UNUSED_SET, message)
            .at_key(set.pointer.clone(), "carries nothing")
            .help(format!(
                "let a group name it, `replication_sets: [{}]`, or take it out",
                set.name
            ))
    });
    slots.chain(sets).collect()
}
