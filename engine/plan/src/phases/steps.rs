//! The steps of one phase: the pipeline's, with those of the plan added, replaced and taken out.

use pgkedge_model::{DeclaredStep, Finding, PhaseName};

use super::{Origin, declared_step};
use crate::codes;
use crate::nearest::suggestion;
use crate::views::{PhaseView, StepView};

/// Goes through the plan's steps in order: each sees what those before it have made.
pub(super) fn merge(
    phase: &PhaseName,
    mut steps: Vec<DeclaredStep>,
    entry: &PhaseView<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<DeclaredStep> {
    for view in entry.steps() {
        let Some(name) = view.name() else { continue };
        let existing = steps.iter().position(|step| step.name == name);
        if view.removes() {
            match existing {
                Some(at) => drop(steps.remove(at)),
                None => findings.push(nothing_to_remove(phase, &view, name, &steps)),
            }
            continue;
        }
        let Some(step) = declared_step(&view, phase, Origin::Plan) else { continue };
        match existing {
            Some(at) => steps[at] = step,
            None => match place(phase, &view, &steps) {
                Ok(at) => steps.insert(at, step),
                Err(finding) => {
                    findings.push(finding);
                    steps.push(step);
                }
            },
        }
    }
    steps
}

fn place(phase: &PhaseName, view: &StepView<'_>, steps: &[DeclaredStep]) -> Result<usize, Finding> {
    let (field, offset) = if view.has("after") { ("after", 1) } else { ("before", 0) };
    let Some(anchor) = view.text(field) else { return Ok(steps.len()) };
    if let Some(at) = steps.iter().position(|step| step.name == anchor) {
        return Ok(at + offset);
    }
    let name = view.name().unwrap_or_default();
    let message =
        format!("step `{name}` goes {field} `{anchor}`, which is not a step of `{phase}`");
    Err(Finding::error(codes::UNKNOWN_STEP, message)
        .at_value(view.at(field), "not a step of this phase")
        .help(suggestion(anchor, "steps so far", &names(steps))))
}

fn nothing_to_remove(
    phase: &PhaseName,
    view: &StepView<'_>,
    name: &str,
    steps: &[DeclaredStep],
) -> Finding {
    Finding::error(codes::UNKNOWN_STEP, format!("phase `{phase}` has no step `{name}` to remove"))
        .at_value(view.at("name"), "not a step of this phase")
        .help(suggestion(name, "steps", &names(steps)))
}

fn names(steps: &[DeclaredStep]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}
