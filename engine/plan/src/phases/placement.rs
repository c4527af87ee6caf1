//! The order of a plan's phases: the pipeline's, with new ones behind or before others.

use std::collections::BTreeMap;

use pgkedge_model::Finding;

use crate::codes;
use crate::nearest::{listed, nearest, suggestion};
use crate::plan::PhasePlan;
use crate::views::PhaseView;

/// Where a new phase goes.
#[derive(Clone, Copy)]
enum Place<'a> {
    After(&'a str),
    Before(&'a str),
}

impl<'a> Place<'a> {
    fn anchor(self) -> &'a str {
        match self {
            Self::After(anchor) | Self::Before(anchor) => anchor,
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::After(_) => "after",
            Self::Before(_) => "before",
        }
    }
}

/// A phase that the pipeline does not have.
struct NewPhase<'a, 'v> {
    name: &'a str,
    view: &'v PhaseView<'a>,
    place: Place<'a>,
}

/// The names of all phases in order. Phases are placed before any is removed, so that a new phase may
/// take the place of one that goes.
pub(super) fn order(base: &[PhasePlan], entries: &[PhaseView<'_>]) -> (Vec<String>, Vec<Finding>) {
    let known: Vec<&str> = base.iter().map(|phase| phase.name.0.as_str()).collect();
    let mut findings = Vec::new();
    let (mut new, mut homeless) = (Vec::new(), Vec::new());
    let mut all = known.clone();
    for view in entries {
        let Some(name) = view.name() else { continue };
        if known.contains(&name) {
            findings.extend(keeps_its_place(name, view));
        } else if !all.contains(&name) {
            if !view.removes() {
                all.push(name);
            }
            match place(name, view, &known) {
                Ok(place) => new.push(NewPhase { name, view, place }),
                Err(finding) => {
                    findings.push(finding);
                    homeless.push(name);
                }
            }
        }
    }
    let missing = |phase: &NewPhase<'_, '_>| !all.contains(&phase.place.anchor());
    for phase in new.iter().filter(|phase| missing(phase)) {
        findings.push(unknown_anchor(phase, &all));
    }
    homeless.extend(new.iter().filter(|phase| missing(phase)).map(|phase| phase.name));
    new.retain(|phase| !missing(phase));
    let mut order: Vec<&str> = known.into_iter().chain(homeless).collect();
    findings.extend(put_in(&mut order, new));
    (order.into_iter().map(str::to_owned).collect(), findings)
}

/// Puts phases in as soon as those are there that they name. What is left names one another.
fn put_in<'a>(order: &mut Vec<&'a str>, mut new: Vec<NewPhase<'a, '_>>) -> Vec<Finding> {
    let mut behind: BTreeMap<&str, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    while !new.is_empty() {
        let ready = new.iter().position(|phase| order.contains(&phase.place.anchor()));
        let Some(ready) = ready else {
            let (finding, name) = cycle(&new, order.first().copied());
            findings.push(finding);
            // With one of them placed anywhere, the others can be, and further cycles are found.
            order.push(name);
            new.retain(|phase| phase.name != name);
            continue;
        };
        let NewPhase { name, place, .. } = new.remove(ready);
        let anchor = order.iter().position(|phase| *phase == place.anchor()).unwrap_or(0);
        let at = match place {
            Place::Before(_) => anchor,
            Place::After(anchor_name) => {
                behind.insert(name, anchor_name);
                let followers = order[anchor + 1..].iter();
                anchor
                    + 1
                    + followers.take_while(|phase| follows(&behind, phase, anchor_name)).count()
            }
        };
        order.insert(at, name);
    }
    findings
}

/// Whether a phase was put behind another, directly or behind one that was.
fn follows(behind: &BTreeMap<&str, &str>, phase: &str, anchor: &str) -> bool {
    match behind.get(phase) {
        Some(&of) => of == anchor || follows(behind, of, anchor),
        None => false,
    }
}

fn place<'a>(name: &str, view: &PhaseView<'a>, known: &[&str]) -> Result<Place<'a>, Finding> {
    if view.removes() {
        return Err(Finding::error(
            codes::UNKNOWN_PHASE,
            format!("there is no phase `{name}` to remove"),
        )
        .at_value(view.at("name"), "not a phase of the pipeline")
        .help(suggestion(name, "phases", known)));
    }
    match (view.text("after"), view.text("before")) {
        (Some(_), Some(_)) => Err(Finding::error(
            codes::PHASE_HAS_PLACE,
            format!("phase `{name}` is put in two places"),
        )
        .at_key(view.at("before"), "one place")
        .at_key(view.at("after"), "the other")
        .help("keep `after` or `before`, not both")),
        (Some(anchor), None) => Ok(Place::After(anchor)),
        (None, Some(anchor)) => Ok(Place::Before(anchor)),
        (None, None) => Err(without_place(name, view, known)),
    }
}

fn without_place(name: &str, view: &PhaseView<'_>, known: &[&str]) -> Finding {
    let message =
        format!("phase `{name}` is not one of the pipeline's and does not say where it goes");
    let add = match known.last() {
        Some(last) => {
            format!("if it is new, add `after: {last}`, or another of: {}", listed(known))
        }
        None => "add `after:`".to_owned(),
    };
    let help = match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?\n{add}"),
        None => add,
    };
    Finding::error(codes::PHASE_WITHOUT_PLACE, message)
        .at_value(view.at("name"), "new, without a place")
        .help(help)
}

fn keeps_its_place(name: &str, view: &PhaseView<'_>) -> Option<Finding> {
    let field = ["after", "before"].into_iter().find(|field| view.has(field))?;
    Some(
        Finding::error(
            codes::PHASE_HAS_PLACE,
            format!("phase `{name}` has its place in the pipeline and cannot be moved"),
        )
        .at_key(view.at(field), "says where it goes")
        .help(format!(
            "remove `{field}`; for a phase of your own, choose another name than `{name}`"
        )),
    )
}

fn unknown_anchor(phase: &NewPhase<'_, '_>, all: &[&str]) -> Finding {
    let NewPhase { name, view, place } = phase;
    let (field, anchor) = (place.field(), place.anchor());
    let others: Vec<&str> = all.iter().copied().filter(|other| other != name).collect();
    let message = format!("phase `{name}` goes {field} `{anchor}`, which is not a phase");
    Finding::error(codes::UNKNOWN_PHASE, message)
        .at_value(view.at(field), "not a phase")
        .help(suggestion(anchor, "phases", &others))
}

/// One cycle among phases that all wait, and a phase of it.
fn cycle<'a>(stuck: &[NewPhase<'a, '_>], placed: Option<&str>) -> (Finding, &'a str) {
    let mut path = vec![&stuck[0]];
    let start = loop {
        let anchor = path[path.len() - 1].place.anchor();
        if let Some(at) = path.iter().position(|phase| phase.name == anchor) {
            break at;
        }
        match stuck.iter().find(|phase| phase.name == anchor) {
            Some(next) => path.push(next),
            None => break 0,
        }
    };
    let round = &path[start..];
    let names: Vec<&str> = round.iter().chain(round.first()).map(|phase| phase.name).collect();
    let message = format!("phases are placed by one another: {}", names.join(" → "));
    let help = format!(
        "put `{}` behind a phase of the pipeline, for example `after: {}`",
        round[0].name,
        placed.unwrap_or("…")
    );
    let finding = Finding::error(codes::PHASE_CYCLE, message).help(help);
    let finding = round.iter().fold(finding, |finding, phase| {
        let label = format!("`{}` waits for this to be placed", phase.name);
        finding.at_value(phase.view.at(phase.place.field()), label)
    });
    (finding, round[0].name)
}
