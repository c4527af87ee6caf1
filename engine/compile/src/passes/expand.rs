//! Asks every declared step's kind what it makes of each item.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{DeclaredStep, Draft, Expansion, Finding, KindSpec};
use pgkedge_plan::PhasePlan;

use super::items::items;
use crate::compile::Scene;
use crate::rules;

/// A declared step with its drafts.
pub(crate) struct Expanded<'a> {
    pub(crate) declared: &'a DeclaredStep,
    pub(crate) spec: &'a KindSpec,
    pub(crate) drafts: Vec<Draft>,
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
    expanded
}

fn drafts(
    declared: &DeclaredStep,
    spec: &KindSpec,
    scene: &Scene<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<Draft> {
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
            Ok(more) => drafts.extend(more),
            Err(more) => findings.extend(more),
        }
    }
    if let Some(draft) = drafts.iter().find(|draft| !keys.insert(draft.key.as_str())) {
        findings.push(rules::two_of_one_key(declared, &draft.key));
    }
    drafts
}
