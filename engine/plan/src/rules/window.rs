//! Phases that are taken back on a failure stand together: what stands between them would stay done.

use std::collections::BTreeSet;

use pgkedge_model::{Finding, OnFailure};

use super::Text;
use crate::plan::PhasePlan;
use crate::{codes, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let of_pipeline = text.base.and_then(gap);
    let gap = match text.phases {
        // What is wrong with the pipeline is said of its own text.
        Some(_) if of_pipeline.is_some() => None,
        Some(phases) => gap(phases),
        None => of_pipeline,
    };
    gap.map(|gap| finding(text, &gap)).into_iter().collect()
}

/// A phase that stays, between two that are taken back.
struct Gap<'a> {
    before: &'a PhasePlan,
    stays: &'a PhasePlan,
    after: &'a PhasePlan,
}

fn gap(phases: &[PhasePlan]) -> Option<Gap<'_>> {
    let names: BTreeSet<&str> = phases.iter().map(|phase| phase.name.0.as_str()).collect();
    if names.len() < phases.len() {
        // Two phases of one name have a finding, and no order.
        return None;
    }
    let undone = |phase: &PhasePlan| phase.on_failure == OnFailure::Undo;
    let first = phases.iter().position(undone)?;
    let last = phases.iter().rposition(undone)?;
    let stays = (first..last).find(|at| !undone(&phases[*at]))?;
    Some(Gap { before: &phases[stays - 1], stays: &phases[stays], after: &phases[last] })
}

fn finding(text: &Text<'_>, gap: &Gap<'_>) -> Finding {
    let (before, name, after) = (&gap.before.name, &gap.stays.name, &gap.after.name);
    let message = format!(
        "phase `{name}` stands between `{before}` and `{after}`, which are taken back when they fail, \
         but would itself stay done"
    );
    let entries = views::phases(text.json);
    let entry = entries.iter().find(|entry| entry.name() == Some(&name.0));
    let at = match (entry, text.phases) {
        (Some(entry), _) => entry.at("name"),
        (None, Some(_)) => "/pipeline".to_owned(),
        (None, None) => "/phases".to_owned(),
    };
    Finding::error(codes::BROKEN_WINDOW, message)
        .at_value(at, "would stay done")
        .help("add `on_failure: undo` to it, or put it before the first or behind the last of them")
}
