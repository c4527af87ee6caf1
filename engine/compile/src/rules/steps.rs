//! Steps that do not fit together.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{DeclaredStep, Finding, Object, OnFailure, PhaseName, StepId, TouchMode, Undo};

use super::at_plan;
use crate::passes::Unit;
use pgkedge_plan::{PhasePlan, nearest};

/// Kinds that write what others read, for the help line.
const WRITERS: &[(&str, &str)] = &[
    ("snapshot", "hold_snapshot"),
    ("ledger", "create_ledger"),
    ("publication", "create_publication"),
    ("slot", "create_slot"),
    ("hand_off", "capture_hand_off"),
    ("slot_hand_off", "prove_hand_off"),
    ("replay", "pause_replay"),
    ("stream", "start_apply"),
    ("marker", "write_marker"),
    ("writes", "fence_source"),
];

const UNKNOWN_SERVICE: &str = "compile::unknown_service";

pub(crate) fn unknown_kind<'a>(
    declared: &DeclaredStep,
    known: impl Iterator<Item = &'a str>,
) -> Finding {
    let message =
        format!("step `{}` is of kind `{}`, which there is not", name(declared), declared.kind);
    let finding = Finding::error("compile::unknown_kind", message);
    let finding = at_plan(finding, declared.pointer.as_ref(), "no such kind");
    match nearest(&declared.kind, known) {
        Some(kind) => finding.help(format!("did you mean `{kind}`?")),
        None => finding.help("`pgkedge schema` lists the kinds"),
    }
}

pub(crate) fn two_of_one_key(declared: &DeclaredStep, key: &str) -> Finding {
    let message = format!("step `{}` does `{key}` twice", name(declared));
    let finding = Finding::error("compile::duplicate_member", message).help(format!(
        "the fault lies in the kind `{}`, not in the plan: report it",
        declared.kind
    ));
    at_plan(finding, declared.pointer.as_ref(), "does it twice")
}

/// Steps that would end a window's way back before its last phase: a failure behind one of them would
/// leave the window as it stands, with the source closed.
pub(crate) fn no_way_back(phases: &[PhasePlan], units: &[Unit<'_>]) -> Vec<Finding> {
    let undone = |phase: &PhasePlan| phase.on_failure == OnFailure::Undo;
    let goes_on: BTreeSet<&PhaseName> = phases
        .windows(2)
        .filter(|pair| undone(&pair[0]) && undone(&pair[1]))
        .map(|pair| &pair[0].name)
        .collect();
    let irreversible = |unit: &&Unit<'_>| {
        let mut undos = unit.drafts.iter().map(|draft| &draft.script.undo);
        undos.any(|undo| matches!(undo, Undo::Irreversible(_)))
    };
    let units = units.iter().filter(|unit| goes_on.contains(unit.phase())).filter(irreversible);
    units
        .map(|unit| {
            let (declared, phase) = (unit.declared, unit.phase());
            let message = format!(
                "step `{}` cannot be taken back, and phase `{phase}` is taken back when it or a later \
                 one fails",
                name(declared)
            );
            let finding = Finding::error("compile::no_way_back", message).help(
                "give it an `undo:` (for one that changes nothing, `undo: [\"true\"]`), or put it \
                 before the first of these phases",
            );
            at_plan(finding, declared.pointer.as_ref(), "cannot be taken back")
        })
        .collect()
}

/// `later` are the units after this one.
pub(crate) fn no_writer(unit: &Unit<'_>, object: &Object, later: &[Unit<'_>]) -> Finding {
    let declared = unit.declared;
    let (what, of) = object.0.split_once(':').unwrap_or((object.0.as_str(), ""));
    let message = format!(
        "step `{}` (`{}`) needs the {what} `{of}`, which no earlier step gives",
        name(declared),
        declared.kind
    );
    let writes =
        |unit: &&Unit<'_>| unit.touches.get(object).is_some_and(|mode| *mode != TouchMode::Read);
    let help = match (later.iter().find(writes), WRITERS.iter().find(|(known, _)| *known == what)) {
        (Some(writer), _) => {
            format!("put step `{}` before it", name(writer.declared))
        }
        (None, Some((_, kind))) => format!("add a step of kind `{kind}` before it"),
        (None, None) => format!("add a step that writes `{object}` before it"),
    };
    let finding = Finding::error("compile::missing_output", message).help(help);
    at_plan(finding, declared.pointer.as_ref(), "this step")
}

/// `earlier` are the units before this one.
pub(crate) fn no_service(unit: &Unit<'_>, service: &str, earlier: &[Unit<'_>]) -> Finding {
    let message = format!(
        "step `{}` stops `{service}`, which is no service that an earlier step started",
        name(unit.declared)
    );
    let finding = Finding::error(UNKNOWN_SERVICE, message);
    let finding = at_plan(finding, unit.declared.pointer.as_ref(), "stops no service");
    let services: BTreeSet<&str> = earlier
        .iter()
        .filter(|unit| unit.spec.service)
        .map(|unit| unit.declared.name.as_str())
        .collect();
    match nearest(service, services.iter().copied()).or(services.first().copied()) {
        Some(name) => finding.help(format!("did you mean `{name}`?")),
        None => finding.help("add the service before it, or take this step out"),
    }
}

pub(crate) fn services_that_nothing_stops(
    units: &[Unit<'_>],
    stops: &BTreeMap<usize, usize>,
    findings: &mut Vec<Finding>,
) {
    // Whoever stops a service that there is not meant one of these.
    if findings.iter().any(|finding| finding.code == UNKNOWN_SERVICE) {
        return;
    }
    let stopped: BTreeSet<usize> = stops.values().map(|service| units[*service].step).collect();
    let mut reported = BTreeSet::new();
    for unit in units.iter().filter(|unit| unit.spec.service && !stopped.contains(&unit.step)) {
        if !reported.insert(unit.step) {
            continue;
        }
        let declared = unit.declared;
        let message =
            format!("no step stops the service `{}`, so the run would never end", name(declared));
        let finding = Finding::error("compile::endless_service", message)
            .help(format!("add a step that stops it: `service: {}`", declared.name));
        findings.push(at_plan(finding, declared.pointer.as_ref(), "goes on for ever"));
    }
}

/// `cycle` begins and ends with the same step.
pub(crate) fn steps_wait_for_each_other(cycle: &[StepId]) -> Finding {
    let ids: Vec<&str> = cycle.iter().map(|id| id.0.as_str()).collect();
    let message = format!("steps wait for one another: {}", ids.join(" → "));
    Finding::error("compile::cycle", message)
}

fn name(declared: &DeclaredStep) -> String {
    format!("{}/{}", declared.phase, declared.name)
}
