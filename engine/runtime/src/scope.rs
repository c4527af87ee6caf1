//! Scopes: what starts over together when the snapshot, or the pause, that it stands on is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use pgkedge_model::{
    Checkpoint, Ident, Leaves, Object, StepGraph, StepId, StepNode, StepState, TouchMode,
};

/// Objects that a load is founded on: whoever writes them starts over with any scope.
const FOUNDATIONS: [&str; 3] = ["hand_off:", "replay:", "snapshot:"];

/// Scopes that have to start over before the run can go on: a service that they read was ready
/// once, did not end for good, and so has to start again.
pub(crate) fn lost(graph: &StepGraph, checkpoint: &Checkpoint) -> BTreeSet<Ident> {
    let again = |node: &&Arc<StepNode>| {
        checkpoint.held.contains(&node.id) && !checkpoint.state(&node.id).is_succeeded()
    };
    let services: Vec<_> = graph.steps().filter(|node| node.service).filter(again).collect();
    standing_on(graph, checkpoint, &services)
}

/// Scopes that begun, and are not done with what these steps write.
pub(crate) fn standing_on(
    graph: &StepGraph,
    checkpoint: &Checkpoint,
    writers: &[&Arc<StepNode>],
) -> BTreeSet<Ident> {
    let written: BTreeSet<&Object> = writers.iter().flat_map(|node| written(node)).collect();
    if written.is_empty() {
        return BTreeSet::new();
    }
    let waits =
        |node: &&Arc<StepNode>| !checkpoint.state(&node.id).is_succeeded() && reads(node, &written);
    let unfinished: BTreeSet<&Ident> =
        graph.steps().filter(waits).filter_map(|node| node.scope.as_ref()).collect();
    // An undone step counts: the scope was being taken back when the engine died.
    let begun = |node: &&Arc<StepNode>| *checkpoint.state(&node.id) != StepState::Pending;
    graph
        .steps()
        .filter(begun)
        .filter_map(|node| node.scope.clone())
        .filter(|scope| unfinished.contains(scope))
        .collect()
}

/// The steps of some scopes, in graph order.
pub(crate) fn steps_of(graph: &StepGraph, scopes: &BTreeSet<Ident>) -> Vec<Arc<StepNode>> {
    let within =
        |node: &&Arc<StepNode>| node.scope.as_ref().is_some_and(|scope| scopes.contains(scope));
    graph.steps().filter(within).cloned().collect()
}

/// What is done again when a scope is, at a user's word.
pub(crate) struct Redone {
    pub(crate) scopes: BTreeSet<Ident>,
    /// In graph order.
    pub(crate) steps: Vec<Arc<StepNode>>,
}

/// A scope with what it is founded on; other scopes that stand unfinished on the same; and steps
/// that only looked at what these made.
pub(crate) fn redone(graph: &StepGraph, checkpoint: &Checkpoint, scope: &Ident) -> Redone {
    let is_foundation = |object: &Object| FOUNDATIONS.iter().any(|kind| object.0.starts_with(kind));
    let founds = |node: &&Arc<StepNode>| {
        node.scope.is_none() && node.touches.iter().any(|touch| is_foundation(&touch.object))
    };
    let foundation: Vec<&Arc<StepNode>> = graph.steps().filter(founds).collect();
    let mut scopes = standing_on(graph, checkpoint, &foundation);
    scopes.insert(scope.clone());
    let within = steps_of(graph, &scopes);
    let mut chosen: BTreeSet<&StepId> = within.iter().map(|node| &node.id).collect();
    chosen.extend(foundation.iter().map(|node| &node.id));
    let made: BTreeSet<&Object> = within.iter().flat_map(written).collect();
    let looks = |node: &Arc<StepNode>| {
        let idle = node.leaves == Leaves::Nothing && !node.service && node.stops.is_none();
        idle && node.scope.is_none() && reads(node, &made)
    };
    let steps =
        graph.steps().filter(|node| chosen.contains(&node.id) || looks(node)).cloned().collect();
    Redone { scopes, steps }
}

fn written(node: &Arc<StepNode>) -> impl Iterator<Item = &Object> {
    let changes = node.touches.iter().filter(|touch| touch.mode != TouchMode::Read);
    changes.map(|touch| &touch.object)
}

fn reads(node: &StepNode, objects: &BTreeSet<&Object>) -> bool {
    node.touches
        .iter()
        .any(|touch| touch.mode == TouchMode::Read && objects.contains(&touch.object))
}
