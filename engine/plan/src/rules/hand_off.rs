//! A hand-off is where a replica stands still, or where a load ends: without either there is none.

use pgkedge_model::Finding;

use super::Text;
use crate::codes;

const FROM: &str = "/change_capture/from";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(phases) = text.phases else { return Vec::new() };
    let has = |kind| phases.iter().flat_map(|phase| &phase.steps).any(|step| step.kind == kind);
    let from = text.json.pointer(FROM);
    let is_hand_off = from.is_none_or(|from| from == "hand_off");
    if !is_hand_off || !has("capture_hand_off") || has("pause_replay") {
        return Vec::new();
    }
    let message = "changes are to come from the hand-off, but no step of this plan pauses a replica \
                   there, and none loads rows up to it";
    let finding = Finding::error(codes::NO_HAND_OFF, message);
    let finding = match from {
        Some(_) => finding.at_value(FROM, "there is no hand-off"),
        None => finding.at_value("/pipeline", "needs `change_capture`"),
    };
    vec![finding.help(
        "both sides are equal now, and that is proved: `change_capture: { from: now }`; \
         they were equal at a position that is known, on a slot that is there already: \
         `change_capture: { from: { lsn: … } }`",
    )]
}
