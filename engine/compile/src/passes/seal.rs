//! Adds the barriers between phases, and seals the graph.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use pgkedge_model::{Barrier, Finding, GraphNode, PhaseEdge, PhaseName, StepGraph, StepId};

use crate::rules;

/// Nodes in program order, before anything is proved of them.
#[derive(Default)]
pub(crate) struct Loose {
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) needs: BTreeMap<StepId, BTreeSet<StepId>>,
}

/// A phase opens when the one before it is closed, and closes when all its steps are done.
pub(crate) fn seal(phases: Vec<PhaseName>, loose: Loose) -> Result<StepGraph, Finding> {
    let loose = with_barriers(&phases, loose);
    prove(phases, loose)
}

/// A cycle is named whole.
pub(super) fn prove(phases: Vec<PhaseName>, loose: Loose) -> Result<StepGraph, Finding> {
    let Loose { nodes, needs } = loose;
    if let Some(cycle) = first_cycle(&nodes, &needs) {
        return Err(rules::steps_wait_for_each_other(&cycle));
    }
    StepGraph::seal(phases, nodes, needs)
        .map_err(|error| Finding::error("compile::graph", error.to_string()))
}

fn with_barriers(phases: &[PhaseName], loose: Loose) -> Loose {
    let mut by_phase: BTreeMap<PhaseName, Vec<GraphNode>> = BTreeMap::new();
    for node in loose.nodes {
        let phase = match &node {
            GraphNode::Step(step) => step.phase.clone(),
            GraphNode::Barrier(barrier) => barrier.phase.clone(),
        };
        by_phase.entry(phase).or_default().push(node);
    }
    let mut sealed = Loose { nodes: Vec::new(), needs: loose.needs };
    let mut last_closed: Option<StepId> = None;
    for phase in phases {
        let barrier = |edge| Barrier { phase: phase.clone(), edge };
        let (opened, closed) = (barrier(PhaseEdge::Opened), barrier(PhaseEdge::Closed));
        sealed.needs.entry(opened.id()).or_default().extend(last_closed.take());
        let mut all = BTreeSet::from([opened.id()]);
        let steps = by_phase.remove(phase).unwrap_or_default();
        for step in &steps {
            sealed.needs.entry(step.id()).or_default().insert(opened.id());
            all.insert(step.id());
        }
        sealed.needs.insert(closed.id(), all);
        last_closed = Some(closed.id());
        sealed.nodes.push(GraphNode::Barrier(opened));
        sealed.nodes.extend(steps);
        sealed.nodes.push(GraphNode::Barrier(closed));
    }
    sealed
}

/// The first nodes that wait for each other, in the order in which they do.
fn first_cycle(
    nodes: &[GraphNode],
    needs: &BTreeMap<StepId, BTreeSet<StepId>>,
) -> Option<Vec<StepId>> {
    let mut graph: DiGraph<StepId, ()> = DiGraph::new();
    let places: BTreeMap<StepId, NodeIndex> =
        nodes.iter().map(|node| (node.id(), graph.add_node(node.id()))).collect();
    for (step, needed) in needs {
        for need in needed {
            if let (Some(step), Some(need)) = (places.get(step), places.get(need)) {
                graph.add_edge(*step, *need, ());
            }
        }
    }
    let knots = tarjan_scc(&graph);
    let knot = knots
        .iter()
        .filter(|knot| knot.len() > 1 || knot.iter().any(|node| graph.contains_edge(*node, *node)));
    let knot: BTreeSet<NodeIndex> =
        knot.min_by_key(|knot| knot.iter().min())?.iter().copied().collect();
    let mut path: Vec<NodeIndex> = knot.first().into_iter().copied().collect();
    loop {
        let last = *path.last()?;
        let next = graph.neighbors(last).filter(|next| knot.contains(next)).min()?;
        let start = path.iter().position(|node| *node == next);
        path.push(next);
        if let Some(start) = start {
            return Some(path[start..].iter().map(|node| graph[*node].clone()).collect());
        }
    }
}
