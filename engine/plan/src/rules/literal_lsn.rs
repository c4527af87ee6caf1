//! A position that is known belongs to a slot that is there: a new one begins where it is created.

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::capture_view::CaptureView;
use crate::codes;

const AT: &str = "/change_capture/from/lsn";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(lsn) = text.json.pointer(AT).and_then(Value::as_str) else { return Vec::new() };
    let view = CaptureView::of(text.json);
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
