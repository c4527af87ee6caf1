//! The steps of a run and what each waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{PhaseName, StepId, StepNode, TimeSpan};

/// A sealed graph: every need is a node, there is no cycle, and nodes stand in an order in which
/// they could run one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "GraphDocument", into = "GraphDocument")]
pub struct StepGraph {
    phases: Vec<PhaseName>,
    nodes: IndexMap<StepId, GraphNode>,
    needs: BTreeMap<StepId, BTreeSet<StepId>>,
    rules: BTreeMap<PhaseName, PhaseRule>,
}

/// What a phase says of its failure. Consecutive phases that are undone form one window: when one
/// of them fails, or the time is over, all that the window did is taken back, last step first, unless
/// a step of it that cannot be taken back has succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRule {
    pub on_failure: OnFailure,
    /// Counted from the first step of the window.
    pub deadline: Option<TimeSpan>,
}

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// What is done stays, and `resume` goes on from there.
    #[default]
    Stop,
    /// What is done is taken back at once, and `resume` starts the phase over.
    Undo,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphNode {
    Step(Arc<StepNode>),
    Barrier(Barrier),
}

/// One end of a phase. Barriers keep the edges between phases linear; they are never recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    pub phase: PhaseName,
    pub edge: PhaseEdge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseEdge {
    Opened,
    Closed,
}

impl Barrier {
    pub fn id(&self) -> StepId {
        let edge = match self.edge {
            PhaseEdge::Opened => "opened",
            PhaseEdge::Closed => "closed",
        };
        StepId(format!("{}/:{edge}", self.phase))
    }
}

impl GraphNode {
    pub fn id(&self) -> StepId {
        match self {
            Self::Step(node) => node.id.clone(),
            Self::Barrier(barrier) => barrier.id(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("two steps are named `{0}`")]
    Twice(StepId),
    #[error("step `{step}` waits for `{missing}`, which is no step")]
    Missing { step: StepId, missing: StepId },
    #[error("steps wait for one another: {}", .0.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join(" → "))]
    Cycle(Vec<StepId>),
}

impl StepGraph {
    /// Checks and orders the nodes. The order is that of `nodes`, as far as the needs allow.
    pub fn seal(
        phases: Vec<PhaseName>,
        nodes: Vec<GraphNode>,
        needs: BTreeMap<StepId, BTreeSet<StepId>>,
    ) -> Result<Self, GraphError> {
        let mut by_id = IndexMap::with_capacity(nodes.len());
        for node in nodes {
            let id = node.id();
            if by_id.insert(id.clone(), node).is_some() {
                return Err(GraphError::Twice(id));
            }
        }
        for (step, needed) in &needs {
            for id in needed.iter().chain([step]) {
                if !by_id.contains_key(id) {
                    return Err(GraphError::Missing { step: step.clone(), missing: id.clone() });
                }
            }
        }
        let order = topological(&by_id, &needs)?;
        let nodes = order
            .into_iter()
            .map(|id| {
                let node = by_id.swap_remove(&id).expect("topological order names each node once");
                (id, node)
            })
            .collect();
        Ok(Self { phases, nodes, needs, rules: BTreeMap::new() })
    }

    /// The graph with what its phases say of their failure.
    #[must_use]
    pub fn with_rules(mut self, rules: BTreeMap<PhaseName, PhaseRule>) -> Self {
        self.rules = rules;
        self
    }

    /// What a phase says of its failure; most say nothing.
    pub fn rule(&self, phase: &PhaseName) -> PhaseRule {
        self.rules.get(phase).cloned().unwrap_or_default()
    }

    /// Phases in their order.
    pub fn phases(&self) -> &[PhaseName] {
        &self.phases
    }

    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (&StepId, &GraphNode)> {
        self.nodes.iter()
    }

    /// The steps, without the barriers.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Arc<StepNode>> {
        self.nodes.values().filter_map(|node| match node {
            GraphNode::Step(step) => Some(step),
            GraphNode::Barrier(_) => None,
        })
    }

    pub fn step(&self, id: &StepId) -> Option<&Arc<StepNode>> {
        match self.nodes.get(id)? {
            GraphNode::Step(step) => Some(step),
            GraphNode::Barrier(_) => None,
        }
    }

    /// What a node waits for, directly.
    pub fn needs(&self, id: &StepId) -> impl Iterator<Item = &StepId> {
        self.needs.get(id).into_iter().flatten()
    }
}

/// Kahn's algorithm; among the nodes that are ready the first declared one goes first.
fn topological(
    nodes: &IndexMap<StepId, GraphNode>,
    needs: &BTreeMap<StepId, BTreeSet<StepId>>,
) -> Result<Vec<StepId>, GraphError> {
    let place = |id: &StepId| nodes.get_index_of(id).expect("checked to be a node");
    let mut open: Vec<usize> =
        nodes.keys().map(|id| needs.get(id).map_or(0, BTreeSet::len)).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (step, needed) in needs {
        for need in needed {
            followers[place(need)].push(place(step));
        }
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|&at| open[at] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(at) = ready.pop_first() {
        order.push(nodes.get_index(at).expect("in range").0.clone());
        for &follower in &followers[at] {
            open[follower] -= 1;
            if open[follower] == 0 {
                ready.insert(follower);
            }
        }
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    let stuck: BTreeSet<&StepId> =
        nodes.keys().enumerate().filter(|(at, _)| open[*at] > 0).map(|(_, id)| id).collect();
    Err(GraphError::Cycle(one_cycle(&stuck, needs)))
}

/// Follows needs among nodes that all lie on, or behind, a cycle until one comes twice.
fn one_cycle(stuck: &BTreeSet<&StepId>, needs: &BTreeMap<StepId, BTreeSet<StepId>>) -> Vec<StepId> {
    let mut path: Vec<&StepId> = stuck.first().into_iter().copied().collect();
    loop {
        let last = path.last().expect("a cycle has a node");
        let next = needs[*last].iter().find(|id| stuck.contains(id)).expect("stuck on another");
        if let Some(start) = path.iter().position(|id| *id == next) {
            let mut cycle: Vec<StepId> = path[start..].iter().map(|id| (*id).clone()).collect();
            cycle.push(next.clone());
            cycle.reverse();
            return cycle;
        }
        path.push(next);
    }
}

/// The graph as it is written to JSON.
#[derive(Serialize, Deserialize)]
struct GraphDocument {
    phases: Vec<PhaseName>,
    nodes: Vec<GraphNode>,
    needs: BTreeMap<StepId, BTreeSet<StepId>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rules: BTreeMap<PhaseName, PhaseRule>,
}

impl TryFrom<GraphDocument> for StepGraph {
    type Error = GraphError;
    fn try_from(document: GraphDocument) -> Result<Self, GraphError> {
        let rules = document.rules;
        Self::seal(document.phases, document.nodes, document.needs)
            .map(|graph| graph.with_rules(rules))
    }
}

impl From<StepGraph> for GraphDocument {
    fn from(graph: StepGraph) -> Self {
        Self {
            phases: graph.phases,
            nodes: graph.nodes.into_values().collect(),
            needs: graph.needs,
            rules: graph.rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(phase: &str) -> GraphNode {
        GraphNode::Barrier(Barrier { phase: PhaseName(phase.into()), edge: PhaseEdge::Opened })
    }

    fn needs(edges: &[(&str, &str)]) -> BTreeMap<StepId, BTreeSet<StepId>> {
        let mut needs: BTreeMap<StepId, BTreeSet<StepId>> = BTreeMap::new();
        for (step, need) in edges {
            let (step, need) = (barrier(step).id(), barrier(need).id());
            needs.entry(step).or_default().insert(need);
        }
        needs
    }

    #[test]
    fn nodes_keep_their_order_as_far_as_needs_allow() {
        let nodes = vec![barrier("a"), barrier("b"), barrier("c")];
        let graph = StepGraph::seal(Vec::new(), nodes, needs(&[("a", "c")])).unwrap();
        let order: Vec<_> = graph.nodes().map(|(id, _)| id.0.as_str()).collect();
        assert_eq!(order, ["b/:opened", "c/:opened", "a/:opened"]);
    }

    #[test]
    fn a_cycle_is_reported_whole() {
        let nodes = vec![barrier("a"), barrier("b"), barrier("c")];
        let edges = needs(&[("a", "b"), ("b", "c"), ("c", "a")]);
        let error = StepGraph::seal(Vec::new(), nodes, edges).unwrap_err();
        let GraphError::Cycle(path) = error else { panic!("{error}") };
        assert_eq!(path.len(), 4);
        assert_eq!(path.first(), path.last());
    }
}
