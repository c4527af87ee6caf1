//! A move that nobody compares is one that nobody knows to be right.

use pgkedge_model::Finding;

use super::Text;
use crate::codes;
use crate::plan::PhasePlan;
use crate::views;

/// The kind of step that compares rows.
const KIND: &str = "verify";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let (Some(base), Some(phases)) = (text.base, text.phases) else { return Vec::new() };
    if verifies(phases) {
        return Vec::new();
    }
    let (at, label) = match culprit(text, base) {
        Some(at) => (at, "verification ends here"),
        None => ("/pipeline".to_owned(), "has no step that verifies"),
    };
    vec![
        Finding::warning(codes::UNVERIFIED, "no step compares the rows of source and target")
            .at_value(at, label)
            .help(
                "keep a step of kind `verify`; `verify: { method: count }` is the cheap one\n\
                 to go without, add `waive: [{ code: plan::unverified, reason: \"…\" }]`",
            ),
    ]
}

fn verifies(phases: &[PhasePlan]) -> bool {
    phases.iter().flat_map(|phase| &phase.steps).any(|step| step.kind == KIND)
}

/// The entry of the plan that took the last such step away.
fn culprit(text: &Text<'_>, base: &[PhasePlan]) -> Option<String> {
    let phases = views::phases(text.json);
    for phase in base.iter().filter(|phase| verifies(std::slice::from_ref(phase))) {
        let Some(entry) = phases.iter().find(|entry| entry.name() == Some(&phase.name.0)) else {
            continue;
        };
        if entry.removes() {
            return Some(entry.at("name"));
        }
        let steps = entry.steps();
        let lost = phase.steps.iter().filter(|step| step.kind == KIND);
        let lost =
            lost.filter_map(|lost| steps.iter().find(|step| step.name() == Some(&lost.name)));
        let mut lost = lost;
        if let Some(step) = lost.next() {
            return Some(step.at("name"));
        }
    }
    None
}
