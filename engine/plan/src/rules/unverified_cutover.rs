//! What is not compared at the cutover may differ from then on, and nobody knows.

use pgkedge_model::{DeclaredStep, Finding};
use serde_json::Value;

use super::Text;
use crate::plan::PhasePlan;
use crate::{codes, views};

/// The steps that begin and end the time in which nobody writes, and the one that compares rows.
const FENCE: &str = "fence_source";
const OPEN: &str = "open_target";
const VERIFY: &str = "verify";

const SETTING: &str = "/cutover/verify";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(closed) = text.phases.and_then(while_closed) else { return Vec::new() };
    let off = text.json.pointer(SETTING).and_then(Value::as_str) == Some("none");
    let mut comparing = closed.iter().filter(|step| compares(step));
    if comparing.any(|step| !off || !is_quick(step)) {
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

/// The steps from the fence on, until the target is opened; none where nothing is fenced.
fn while_closed(phases: &[PhasePlan]) -> Option<Vec<&DeclaredStep>> {
    let steps = phases.iter().flat_map(|phase| &phase.steps);
    let mut closed = steps.skip_while(|step| step.kind != FENCE).peekable();
    closed.peek()?;
    Some(closed.take_while(|step| step.kind != OPEN).collect())
}

/// With the source as it is, not as it was at the hand-off.
fn compares(step: &DeclaredStep) -> bool {
    let against = step.params.get("against").and_then(Value::as_str);
    step.kind == VERIFY && matches!(against, None | Some("source"))
}

/// Whether it compares what `cutover.verify` says.
fn is_quick(step: &DeclaredStep) -> bool {
    step.params.get("at").and_then(Value::as_str) == Some("cutover")
}

/// The entry of the plan that took the comparison away; the pipeline where none did.
fn culprit(text: &Text<'_>) -> String {
    let base = text.base.and_then(while_closed).unwrap_or_default();
    let lost = base.into_iter().find(|step| compares(step)).map(|step| &step.phase);
    let entries = views::phases(text.json);
    let entry = lost.and_then(|lost| entries.iter().find(|view| view.name() == Some(&lost.0)));
    entry.map_or_else(|| "/pipeline".to_owned(), |entry| entry.at("name"))
}
