//! The order of the passes.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{
    Capture, CatalogIndex, Each, Facts, Finding, KindSpec, OnFailure, PhaseName, PhaseRule,
    Selection, Settings, StepGraph,
};
use pgkedge_plan::{CapturePlan, GroupPlan, PhasePlan, Plan, TablePatterns};

use crate::passes::{self, Parts};
use crate::rules;

/// A plan made into steps, against the facts that it was compiled with.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub graph: StepGraph,
    pub selection: Selection,
    /// Empty where the plan captures no changes.
    pub capture: Capture,
    /// What should be read before a run, but does not stop it.
    pub warnings: Vec<Finding>,
}

/// What of a plan decides its graph.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) tables: &'a TablePatterns,
    pub(crate) groups: &'a [GroupPlan],
    pub(crate) capture: &'a CapturePlan,
    pub(crate) settings: &'a Settings,
    pub(crate) phases: &'a [PhasePlan],
}

/// What the passes know once the tables are chosen.
pub(crate) struct Scene<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) facts: &'a Facts,
    pub(crate) source: &'a CatalogIndex<'a>,
    pub(crate) selection: &'a Selection,
    pub(crate) capture: &'a Capture,
    /// OIDs of the tables that move.
    pub(crate) selected: &'a BTreeSet<u32>,
    /// Archive entries that stay behind with the tables that the plan leaves out.
    pub(crate) excluded: &'a BTreeSet<u32>,
    pub(crate) parts: &'a Parts,
    /// Unlogged tables are copied by a step of their own.
    pub(crate) unlogged_apart: bool,
}

/// Compiles a plan. Every problem is reported in one go.
pub fn compile(plan: &Plan, facts: &Facts, kinds: &[KindSpec]) -> Result<Compiled, Vec<Finding>> {
    let request = Request {
        tables: &plan.tables,
        groups: &plan.groups,
        capture: &plan.capture,
        settings: &plan.settings,
        phases: &plan.phases,
    };
    compile_request(request, facts, kinds)
}

pub(crate) fn compile_request(
    request: Request<'_>,
    facts: &Facts,
    kinds: &[KindSpec],
) -> Result<Compiled, Vec<Finding>> {
    let mut findings = Vec::new();
    let source = CatalogIndex::new(&facts.source);
    let chosen = passes::select(request, facts, &source, &mut findings);
    let excluded = passes::exclude(request.tables, &chosen, facts, &source, &mut findings);
    let parts = passes::split(request.settings, facts, &chosen.selected);
    let capture = passes::capture(request, facts, &source, &chosen, &mut findings);
    rules::check(request.settings, facts, &source, &chosen.selected, &mut findings);
    let scene = Scene {
        settings: request.settings,
        facts,
        source: &source,
        selection: &chosen.selection,
        capture: &capture,
        selected: &chosen.selected,
        excluded: &excluded,
        parts: &parts,
        unlogged_apart: copies_unlogged_apart(request.phases),
    };
    let expanded = passes::expand(request.phases, kinds, &scene, &mut findings);
    let idle = passes::idle_services(&expanded);
    let units = passes::chain(expanded);
    findings.extend(rules::no_way_back(request.phases, &units));
    let edges = passes::derive_edges(&units, &idle, &mut findings);
    // Everything so far reports side by side; a graph of a plan with errors would only mislead.
    if findings.iter().any(Finding::is_error) {
        return Err(findings);
    }
    let folded = passes::fold(units, &edges);
    let phases = request.phases.iter().map(|phase| phase.name.clone()).collect();
    match passes::seal(phases, passes::assemble(folded, &edges)) {
        Ok(graph) => Ok(Compiled {
            graph: graph.with_rules(phase_rules(request)),
            selection: chosen.selection,
            capture,
            warnings: findings,
        }),
        Err(finding) => {
            findings.push(finding);
            Err(findings)
        }
    }
}

fn copies_unlogged_apart(phases: &[PhasePlan]) -> bool {
    let steps = phases.iter().flat_map(|phase| &phase.steps);
    steps.into_iter().any(|step| step.each == Some(Each::UnloggedPart))
}

/// Phases that are taken back when they fail; a window of them has the time that a cutover may take.
fn phase_rules(request: Request<'_>) -> BTreeMap<PhaseName, PhaseRule> {
    let undone = request.phases.iter().filter(|phase| phase.on_failure == OnFailure::Undo);
    undone
        .map(|phase| {
            let deadline = Some(request.settings.cutover.deadline);
            (phase.name.clone(), PhaseRule { on_failure: phase.on_failure, deadline })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use pgkedge_plan::{Pipelines, PlanSource};

    use super::*;
    use crate::testing::{KINDS, World};

    const PIPELINE: &str = "
version: 1
pipeline: short
phases:
  - name: load
    steps:
      - { name: copy, kind: small, each: part }
";

    const PLAN: &str = "
version: 1
name: shop
pipeline: short
databases:
  source: { url: { env: SOURCE_URL } }
  target: { url: { env: TARGET_URL } }
tables:
  include: [\"public.*\"]
  exclude: [public.tpm]
";

    struct Short;

    impl Pipelines for Short {
        fn load(&self, name: &str) -> Option<String> {
            (name == "short").then(|| PIPELINE.to_owned())
        }

        fn names(&self) -> Vec<String> {
            vec!["short".to_owned()]
        }

        fn part(&self, _: &str) -> Option<String> {
            None
        }

        fn parts(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn plan(text: &str) -> Plan {
        let source = PlanSource { path: "shop.yaml", bytes: text.as_bytes() };
        pgkedge_plan::check(source, &Short, KINDS)
            .unwrap_or_else(|rejection| panic!("{rejection:?}"))
    }

    #[test]
    fn a_checked_plan_becomes_a_graph() {
        let world = World::new().table(1, "public.a").table(2, "public.tpm").table(3, "other.b");
        let compiled = compile(&plan(PLAN), &world.0, KINDS).unwrap();
        let ids: Vec<&str> = compiled.graph.steps().map(|step| step.id.0.as_str()).collect();
        assert_eq!(ids, ["load/copy/public.a"]);
    }

    #[test]
    fn a_finding_points_at_the_line_of_the_plan() {
        let (plan, world) = (plan(PLAN), World::new().table(1, "public.tmp"));
        let findings = compile(&plan, &world.0, KINDS).unwrap_err();
        let errors: Vec<Finding> = findings.into_iter().filter(Finding::is_error).collect();
        let located = pgkedge_plan::located(&plan.map, &errors);
        insta::assert_snapshot!(serde_json::to_string_pretty(&located).unwrap());
    }
}
