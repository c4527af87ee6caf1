//! Makes nodes of units: ids, members, resources, and whose output is meant.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{
    Draft, GraphNode, Member, Object, OutputOf, Piece, Resources, Server, Statement, StepDigest,
    StepId, StepNode, Touch, TouchMode, Undo,
};

use super::chain::{Unit, both};
use super::digest::digest;
use super::edges::Edges;
use super::fold::Folded;
use super::identify;
use super::seal::Loose;

/// Steps in program order, with what each waits for.
pub(crate) fn assemble(folded: Folded<'_>, edges: &Edges) -> Loose {
    let Folded { units, nodes } = folded;
    let ids = ids(&units, &nodes);
    let mut home = vec![0; units.len()];
    for (node, members) in nodes.iter().enumerate() {
        for unit in members {
            home[*unit] = node;
        }
    }
    let mut units: Vec<Option<Unit<'_>>> = units.into_iter().map(Some).collect();
    let mut loose = Loose::default();
    for (node, members) in nodes.iter().enumerate() {
        let needs = members.iter().flat_map(|unit| &edges.needs[*unit]).map(|need| home[*need]);
        let needs: BTreeSet<StepId> =
            needs.filter(|need| *need != node).map(|need| ids[need].clone()).collect();
        let outputs = members.iter().flat_map(|unit| &edges.writers[*unit]);
        let outputs = outputs.map(|(object, unit)| (object, &ids[home[*unit]])).collect();
        let stops = edges.stops.get(&members[0]).map(|unit| ids[home[*unit]].clone());
        let taken: Vec<Unit<'_>> = members.iter().filter_map(|at| units[*at].take()).collect();
        let step = step_node(ids[node].clone(), taken, &outputs, stops);
        loose.needs.insert(step.id.clone(), needs);
        loose.nodes.push(GraphNode::Step(step.into()));
    }
    loose
}

fn ids(units: &[Unit<'_>], nodes: &[Vec<usize>]) -> Vec<StepId> {
    let mut bundles: BTreeMap<usize, usize> = BTreeMap::new();
    let mut taken: BTreeSet<StepId> = BTreeSet::new();
    let id = |members: &Vec<usize>| {
        let first = &units[members[0]];
        let (phase, name) = (first.phase(), &first.declared.name);
        let id = if let ([_], [draft]) = (members.as_slice(), first.drafts.as_slice()) {
            identify::single(phase, name, &draft.key, |id| taken.contains(id))
        } else {
            let number = bundles.entry(first.step).or_default();
            *number += 1;
            identify::bundle(phase, name, *number)
        };
        taken.insert(id.clone());
        id
    };
    nodes.iter().map(id).collect()
}

fn step_node(
    id: StepId,
    units: Vec<Unit<'_>>,
    outputs: &BTreeMap<&Object, &StepId>,
    stops: Option<StepId>,
) -> StepNode {
    let (declared, spec, scope) = (units[0].declared, units[0].spec, units[0].scope.clone());
    let mut touches: BTreeMap<Object, TouchMode> = BTreeMap::new();
    let mut drafts: Vec<Draft> = Vec::new();
    for unit in units {
        for (object, mode) in unit.touches {
            let known = touches.entry(object).or_insert(mode);
            *known = both(*known, mode);
        }
        drafts.extend(unit.drafts);
    }
    let before = settled(std::mem::take(&mut drafts[0].script.before), outputs);
    let after = settled(std::mem::take(&mut drafts[0].script.after), outputs);
    let mut node = StepNode {
        id,
        phase: declared.phase.clone(),
        step: declared.name.clone(),
        kind: declared.kind.clone(),
        params: declared.params.clone(),
        before,
        members: drafts.into_iter().map(|draft| member(draft, outputs)).collect(),
        after,
        touches: touches.into_iter().map(|(object, mode)| Touch { object, mode }).collect(),
        resources: Resources::default(),
        leaves: spec.leaves,
        scope,
        service: spec.service,
        stops,
        digest: StepDigest::default(),
    };
    node.resources = resources(&node, spec.servers, spec.worker);
    node.digest = digest(&node, spec.version);
    node
}

fn member(draft: Draft, outputs: &BTreeMap<&Object, &StepId>) -> Member {
    let undo = match draft.script.undo {
        Undo::Statements(statements) => Undo::Statements(settled(statements, outputs)),
        undo @ (Undo::Nothing | Undo::Irreversible(_)) => undo,
    };
    let run = settled(draft.script.run, outputs);
    Member { key: draft.key, params: draft.params, run, undo, cost: draft.cost }
}

/// Names the step where a statement names the object that the step writes.
fn settled(mut statements: Vec<Statement>, outputs: &BTreeMap<&Object, &StepId>) -> Vec<Statement> {
    for piece in statements.iter_mut().flat_map(|statement| &mut statement.text) {
        if let Piece::Output { of, .. } = piece
            && let OutputOf::Writer(object) = of
            && let Some(step) = outputs.get(object)
        {
            *of = OutputOf::Step((*step).clone());
        }
    }
    statements
}

/// One connection to every server that the step talks to.
fn resources(node: &StepNode, servers: &[Server], worker: bool) -> Resources {
    let used = node.statements().map(|statement| statement.on).chain(servers.iter().copied());
    let used: BTreeSet<Server> = used.collect();
    Resources {
        connections: used.into_iter().map(|server| (server, 1)).collect(),
        worker,
        cost: node.members.iter().map(|member| member.cost).sum(),
    }
}
