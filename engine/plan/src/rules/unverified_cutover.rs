//! What is not compared at the cutover may differ from then on, and nobody knows.

use pgkedge_model::{DeclaredStep, Finding};
use serde_json::Value;

use super::Text;
use crate::plan::PhasePlan;
use crate::{codes, views};

/// The step that begins a cutover, and the one that compares rows.
const FENCE: &str = "fence_source";
const VERIFY: &str = "verify";

const SETTING: &str = "/cutover/verify";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(phases) = text.phases.filter(|phases| any(phases, |step| step.kind == FENCE)) else {
        return Vec::new();
    };
    let off = text.json.pointer(SETTING).and_then(Value::as_str) == Some("none");
    if !off && any(phases, compares) {
        return Vec::new();
    }
    let at = if off { SETTING.to_owned() } else { culprit(text) };
    let message = "no step compares source and target while the source is closed, so a change that was \
                   lost on the way would not be seen";
    vec![
        Finding::warning(codes::UNVERIFIED_CUTOVER, message)
            .at_value(at, "nothing is compared at the cutover")
            .help(
                "keep `cutover: { verify: full }`; `counts` is the quick one\n\
                 to go without, add `waive: [{ code: plan::unverified_cutover, reason: \"…\" }]`",
            ),
    ]
}

fn any(phases: &[PhasePlan], wanted: impl Fn(&DeclaredStep) -> bool) -> bool {
    phases.iter().flat_map(|phase| &phase.steps).any(wanted)
}

fn compares(step: &DeclaredStep) -> bool {
    step.kind == VERIFY && step.params.get("at").and_then(Value::as_str) == Some("cutover")
}

/// The entry of the plan that took the comparison away; the pipeline where none did.
fn culprit(text: &Text<'_>) -> String {
    let lost = text.base.into_iter().flatten().find(|phase| phase.steps.iter().any(compares));
    let entries = views::phases(text.json);
    let entry = lost.and_then(|lost| entries.iter().find(|view| view.name() == Some(&lost.name.0)));
    entry.map_or_else(|| "/pipeline".to_owned(), |entry| entry.at("name"))
}
