//! The order of the passes.

use std::collections::BTreeSet;

use pgkedge_model::{CatalogIndex, Facts, Finding, KindSpec, Selection, Settings, StepGraph};
use pgkedge_plan::{GroupPlan, PhasePlan, Plan, TablePatterns};

use crate::passes::{self, Parts};
use crate::rules;

/// A plan made into steps, against the facts that it was compiled with.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub graph: StepGraph,
    pub selection: Selection,
    /// What should be read before a run, but does not stop it.
    pub warnings: Vec<Finding>,
}

/// What of a plan decides its graph.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) tables: &'a TablePatterns,
    pub(crate) groups: &'a [GroupPlan],
    pub(crate) settings: &'a Settings,
    pub(crate) phases: &'a [PhasePlan],
}

/// What the passes know once the tables are chosen.
pub(crate) struct Scene<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) facts: &'a Facts,
    pub(crate) source: &'a CatalogIndex<'a>,
    pub(crate) selection: &'a Selection,
    /// OIDs of the tables that move.
    pub(crate) selected: &'a BTreeSet<u32>,
    /// Archive entries that stay behind with the tables that the plan leaves out.
    pub(crate) excluded: &'a BTreeSet<u32>,
    pub(crate) parts: &'a Parts,
}

/// Compiles a plan. Every problem is reported in one go.
pub fn compile(plan: &Plan, facts: &Facts, kinds: &[KindSpec]) -> Result<Compiled, Vec<Finding>> {
    let request = Request {
        tables: &plan.tables,
        groups: &plan.groups,
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
    rules::check(request.settings, facts, &source, &chosen.selected, &mut findings);
    let scene = Scene {
        settings: request.settings,
        facts,
        source: &source,
        selection: &chosen.selection,
        selected: &chosen.selected,
        excluded: &excluded,
        parts: &parts,
    };
    let expanded = passes::expand(request.phases, kinds, &scene, &mut findings);
    let units = passes::chain(expanded);
    let edges = passes::derive_edges(&units, &mut findings);
    // Everything so far reports side by side; a graph of a plan with errors would only mislead.
    if findings.iter().any(Finding::is_error) {
        return Err(findings);
    }
    let folded = passes::fold(units, &edges);
    let phases = request.phases.iter().map(|phase| phase.name.clone()).collect();
    match passes::seal(phases, passes::assemble(folded, &edges)) {
        Ok(graph) => Ok(Compiled { graph, selection: chosen.selection, warnings: findings }),
        Err(finding) => {
            findings.push(finding);
            Err(findings)
        }
    }
}
