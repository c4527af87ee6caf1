//! A position that is known belongs to a slot and publications that are there: new ones begin where
//! they are created.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::capture_view::CaptureView;
use crate::codes;

const AT: &str = "/change_capture/from/lsn";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(lsn) = text.json.pointer(AT).and_then(Value::as_str) else { return Vec::new() };
    let view = CaptureView::of(text.json);
    new_slots(lsn, &view).into_iter().chain(new_publications(lsn, &view)).collect()
}

fn new_slots(lsn: &str, view: &CaptureView<'_>) -> Vec<Finding> {
    let finding = |slot: Option<&str>| {
        let of = slot.map_or_else(|| "the slot".to_owned(), |name| format!("slot `{name}`"));
        let message =
            format!("changes are to come from {lsn}, but {of} is created by the run, further on");
        Finding::error(codes::LSN_WITHOUT_SLOT, message)
            .at_value(AT, "before the slot begins")
            .help(format!(
                "name a slot that was there at this position: `slots: {{ {}: {{ existing: true }} }}`; \
                 or leave `from` out",
                slot.unwrap_or("the_slot")
            ))
    };
    if view.slots.is_empty() {
        return vec![finding(None)];
    }
    let new = view.slots.iter().filter(|slot| !slot.existing);
    new.map(|slot| finding(Some(slot.name)).at_key(slot.pointer.clone(), "this slot")).collect()
}

/// A slot decodes by the catalog as it was: to it, a publication that is younger is not there.
fn new_publications(lsn: &str, view: &CaptureView<'_>) -> Vec<Finding> {
    let slot = view.slots.first().map_or("the_slot", |slot| slot.name);
    let finding = |of: &str, set: &str, slot: &str| {
        let message = format!(
            "changes are to come from {lsn}, but the publication of {of} is created by the run, \
             further on: it would not be there yet"
        );
        Finding::error(codes::LSN_WITHOUT_PUBLICATION, message)
            .at_value(AT, "before the publication begins")
            .help(format!(
                "name a publication that was there when the slot was created: \
                 `replication_sets: {{ {set}: {{ slot: {slot}, publication: the_publication }} }}`; \
                 or leave `from` out"
            ))
    };
    let new = view.sets.iter().filter(|set| set.publication.is_none()).map(|set| {
        let slot = set.slot.as_ref().map_or(slot, |slot| slot.text);
        finding(&format!("replication set `{}`", set.name), set.name, slot)
            .at_key(set.pointer.clone(), "this set")
    });
    let implied = view.groups.iter().filter(|group| group.sets.is_empty()).map(|group| {
        let slot = group.slot.as_ref().map_or(slot, |slot| slot.text);
        finding(&format!("group `{}`", group.name), group.name, slot)
            .at_value(format!("{}/name", group.pointer), "names no replication set")
    });
    let found: Vec<Finding> = new.chain(implied).collect();
    if found.is_empty() && view.groups.is_empty() {
        return vec![finding("all tables", "rows", slot)];
    }
    found
}
