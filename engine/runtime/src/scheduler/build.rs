//! From a graph and a checkpoint to where every node stands when a run begins.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{
    Checkpoint, GraphNode, PhaseName, RunHeader, StepGraph, StepId, StepNode, StepState,
};

use super::Scheduler;
use super::node::{Node, Place, Task};
use super::pools::{Limits, Pools, demand};

impl Scheduler {
    /// `until` is the last phase that this run may work on.
    pub(crate) fn new(
        header: &RunHeader,
        checkpoint: &Checkpoint,
        until: Option<&PhaseName>,
    ) -> Self {
        let graph = &header.graph;
        let index: BTreeMap<StepId, usize> =
            graph.nodes().enumerate().map(|(at, (id, _))| (id.clone(), at)).collect();
        let mut nodes: Vec<Node> =
            graph.nodes().map(|(id, node)| new_node(graph, &index, checkpoint, id, node)).collect();
        link_followers(&mut nodes);
        keep_out_of_reach(&mut nodes, graph, until);
        settle_idle_services(&mut nodes);
        let mut scheduler = Self {
            nodes,
            index,
            ready: BTreeMap::new(),
            pools: Pools::new(Limits::new(&header.settings, checkpoint.limits)),
            finishing: false,
            failed: false,
            closed: false,
            actions: Vec::new(),
        };
        scheduler.count_open_needs();
        scheduler
    }

    /// In graph order, so that a barrier whose needs are done is done before its followers count.
    fn count_open_needs(&mut self) {
        for at in 0..self.nodes.len() {
            let open = self.nodes[at].needs.iter().filter(|&&need| !self.nodes[need].holds());
            self.nodes[at].open = open.count();
            if self.nodes[at].place != Place::Waiting || self.nodes[at].open > 0 {
                continue;
            }
            if self.nodes[at].task.is_some() {
                self.enqueue(at);
            } else {
                self.nodes[at].place = Place::Done;
            }
        }
    }
}

fn new_node(
    graph: &StepGraph,
    index: &BTreeMap<StepId, usize>,
    checkpoint: &Checkpoint,
    id: &StepId,
    node: &GraphNode,
) -> Node {
    let mut needs: BTreeSet<usize> = graph.needs(id).map(|need| index[need]).collect();
    let mut place = Place::Waiting;
    let task = match node {
        GraphNode::Barrier(_) => None,
        GraphNode::Step(step) => {
            let state = checkpoint.state(id);
            if state.is_succeeded() {
                place = Place::Done;
            }
            let task = new_task(index, step, state);
            needs.extend(task.stops);
            Some(task)
        }
    };
    let needs = needs.into_iter().collect();
    Node { id: id.clone(), task, needs, followers: Vec::new(), open: 0, place }
}

fn new_task(index: &BTreeMap<StepId, usize>, step: &StepNode, state: &StepState) -> Task {
    Task {
        service: step.service,
        stops: step.stops.as_ref().and_then(|service| index.get(service)).copied(),
        demand: demand(step),
        cost: step.resources.cost,
        next_attempt: state.next_attempt(),
    }
}

fn link_followers(nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        for need in nodes[at].needs.clone() {
            nodes[need].followers.push(at);
        }
    }
}

fn keep_out_of_reach(nodes: &mut [Node], graph: &StepGraph, until: Option<&PhaseName>) {
    let place_of = |phase: &PhaseName| graph.phases().iter().position(|known| known == phase);
    let Some(last) = until.and_then(place_of) else { return };
    for (node, (_, found)) in nodes.iter_mut().zip(graph.nodes()) {
        let phase = match found {
            GraphNode::Step(step) => &step.phase,
            GraphNode::Barrier(barrier) => &barrier.phase,
        };
        if node.place == Place::Waiting && place_of(phase).is_some_and(|at| at > last) {
            node.place = Place::OutOfReach;
        }
    }
}

/// A service that nothing needs any more is not started again.
fn settle_idle_services(nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        let ran = nodes[at].task.as_ref().is_some_and(|task| task.service && task.next_attempt > 1);
        let needed = |&follower: &usize| {
            nodes[follower].task.is_some() && nodes[follower].place == Place::Waiting
        };
        if ran && nodes[at].place == Place::Waiting && !nodes[at].followers.iter().any(needed) {
            nodes[at].place = Place::Done;
        }
    }
}
