//! Asks every declared step's kind what it makes of each item, and whose load each draft belongs to.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{DeclaredStep, Draft, Expansion, Finding, Ident, KindSpec};
use pgkedge_plan::PhasePlan;

use super::items::items;
use super::scope;
use crate::compile::Scene;
use crate::rules;

/// A declared step with its drafts.
pub(crate) struct Expanded<'a> {
    pub(crate) declared: &'a DeclaredStep,
    pub(crate) spec: &'a KindSpec,
    pub(crate) drafts: Vec<Scoped>,
}

/// A draft, and the slot whose load it belongs to.
pub(crate) struct Scoped {
    pub(crate) draft: Draft,
    pub(crate) scope: Option<Ident>,
}

/// Declared steps in program order.
pub(crate) fn expand<'a>(
    phases: &'a [PhasePlan],
    kinds: &'a [KindSpec],
    scene: &Scene<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<Expanded<'a>> {
    let kinds: BTreeMap<&str, &KindSpec> = kinds.iter().map(|spec| (spec.kind, spec)).collect();
    let mut expanded = Vec::new();
    for declared in phases.iter().flat_map(|phase| &phase.steps) {
        let Some(spec) = kinds.get(declared.kind.as_str()) else {
            findings.push(rules::unknown_kind(declared, kinds.keys().copied()));
            continue;
        };
        let drafts = drafts(declared, spec, scene, findings);
        expanded.push(Expanded { declared, spec, drafts });
    }
    scope::keep_from_the_hand_off(&mut expanded);
    expanded
}

/// Services that have nothing to hold up, so that there is nothing to stop.
pub(crate) fn idle_services(expanded: &[Expanded<'_>]) -> BTreeSet<String> {
    let idle = expanded.iter().filter(|step| step.spec.service && step.drafts.is_empty());
    idle.map(|step| step.declared.name.clone()).collect()
}

fn drafts(
    declared: &DeclaredStep,
    spec: &KindSpec,
    scene: &Scene<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<Scoped> {
    let mut drafts = Vec::new();
    let mut keys = BTreeSet::new();
    for item in items(declared.each, scene) {
        let expansion = Expansion {
            declared,
            item,
            settings: scene.settings,
            selection: scene.selection,
            capture: scene.capture,
            excluded_entries: scene.excluded,
            facts: scene.facts,
            source: scene.source,
        };
        match (spec.expand)(&expansion) {
            Ok(more) => {
                let scope = scope::of(&item, scene);
                drafts.extend(more.into_iter().map(|draft| Scoped { draft, scope: scope.clone() }));
            }
            Err(more) => findings.extend(more),
        }
    }
    let twice = drafts.iter().find(|scoped| !keys.insert(scoped.draft.key.as_str()));
    if let Some(Scoped { draft, .. }) = twice {
        findings.push(rules::two_of_one_key(declared, &draft.key));
    }
    drafts
}
