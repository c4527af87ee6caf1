//! A pipeline's phases, and what a plan makes of them.

mod placement;
mod steps;

use std::collections::BTreeMap;

use pgkedge_model::{DeclaredStep, Finding, PhaseName};
use serde_json::Value;

use crate::plan::PhasePlan;
use crate::views::{self, PhaseView, StepView};

/// Whose text a step stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Plan,
    Pipeline,
}

/// The phases of a pipeline's document, with those of the parts that it includes.
pub(crate) fn declared(
    pipeline: &Value,
    parts: &BTreeMap<String, Vec<PhasePlan>>,
) -> Vec<PhasePlan> {
    let mut phases = Vec::new();
    for view in views::phases(pipeline) {
        let included = view.text("include").and_then(|part| parts.get(part));
        phases.extend(included.into_iter().flatten().cloned());
        phases.extend(declared_phase(&view));
    }
    phases
}

fn declared_phase(view: &PhaseView<'_>) -> Option<PhasePlan> {
    let name = PhaseName(view.name()?.to_owned());
    let declared = |step| declared_step(&step, &name, Origin::Pipeline);
    let steps = view.steps().into_iter().filter_map(declared).collect();
    Some(PhasePlan { name, on_failure: view.on_failure().unwrap_or_default(), steps })
}

/// The pipeline's phases with those of the plan put in, replaced and taken out.
pub(crate) fn merge(base: &[PhasePlan], plan: &Value) -> (Vec<PhasePlan>, Vec<Finding>) {
    let entries = views::phases(plan);
    let (order, mut findings) = placement::order(base, &entries);
    let mut phases = Vec::new();
    for name in order {
        let entry = entries.iter().find(|entry| entry.name() == Some(&name));
        let own = base.iter().find(|phase| phase.name.0 == name);
        if entry.is_some_and(PhaseView::removes) {
            continue;
        }
        let name = PhaseName(name);
        let on_failure = entry.and_then(PhaseView::on_failure);
        let on_failure = on_failure.or(own.map(|phase| phase.on_failure)).unwrap_or_default();
        let steps = own.map(|phase| phase.steps.clone()).unwrap_or_default();
        let steps = match entry {
            Some(entry) => steps::merge(&name, steps, entry, &mut findings),
            None => steps,
        };
        phases.push(PhasePlan { name, on_failure, steps });
    }
    (phases, findings)
}

fn declared_step(view: &StepView<'_>, phase: &PhaseName, origin: Origin) -> Option<DeclaredStep> {
    Some(DeclaredStep {
        phase: phase.clone(),
        name: view.name()?.to_owned(),
        kind: view.kind()?.to_owned(),
        each: view.each(),
        params: view.params(),
        pointer: (origin == Origin::Plan).then(|| view.pointer.clone()),
    })
}
