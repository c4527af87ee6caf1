//! Slots are for pipelines that capture changes.

use pgkedge_model::{Finding, Place};
use serde_json::Value;

use super::Text;
use crate::capture::captures;
use crate::capture_view::CaptureView;
use crate::codes;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(phases) = text.phases.filter(|phases| !captures(phases)) else { return Vec::new() };
    let Some(place) = first_place(text.json) else { return Vec::new() };
    let fences =
        phases.iter().flat_map(|phase| &phase.steps).any(|step| step.kind == "fence_source");
    let message = "no step of this plan captures changes, so nothing uses its slots and sets";
    let finding = Finding::error(codes::NOTHING_CAPTURED, message).at(place);
    vec![finding.help(if fences {
        "keep the pipeline's steps that are repeated over slots (`each: slot`)"
    } else {
        "take it out, or choose a pipeline that captures changes, such as \
         `pipeline: full-load-and-capture`"
    })]
}

/// Where the plan first speaks of capture.
fn first_place(document: &Value) -> Option<Place> {
    let place = |pointer: &str, key: bool| {
        Place::Plan(pgkedge_model::PlanPlace {
            pointer: pointer.to_owned(),
            key,
            label: "for nothing".to_owned(),
        })
    };
    let view = CaptureView::of(document);
    let of_group = view.groups.iter().find_map(|group| {
        group.slot.as_ref().or(group.sets.first()).map(|named| place(&named.pointer, false))
    });
    let fields = ["/slots", "/replication_sets", "/crossing_foreign_keys"];
    let field = fields.into_iter().find(|field| document.pointer(field).is_some());
    field.map(|field| place(field, true)).or(of_group)
}
