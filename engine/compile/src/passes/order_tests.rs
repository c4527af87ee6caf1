//! Whatever steps touch and however they fold: what conflicts runs in program order.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Each, StepGraph, StepId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::testing::{Sketch, World};

const MODES: [&str; 3] = ["reads", "adds", "writes"];
const FOLDS: [&str; 3] = ["alone", "small", "chain"];

/// One draft: how it folds, and what it touches how.
#[derive(Debug, Clone)]
struct Drafted {
    fold: &'static str,
    touches: Vec<(usize, usize)>,
}

fn drafted() -> impl Strategy<Value = Drafted> {
    let touches = prop::collection::vec((0..4_usize, 0..MODES.len()), 0..3);
    (prop::sample::select(&FOLDS), touches).prop_map(|(fold, touches)| Drafted { fold, touches })
}

/// Declared steps of one phase, each with as many drafts as there are tables.
fn program() -> impl Strategy<Value = Vec<Vec<Drafted>>> {
    prop::collection::vec(prop::collection::vec(drafted(), 8), 1..4)
}

fn params(drafts: &[Drafted]) -> Value {
    let of = drafts.iter().enumerate().map(|(at, draft)| {
        let mut params = json!({ "fold": draft.fold, "reads": [], "adds": [], "writes": [] });
        for (object, mode) in &draft.touches {
            let list = params[MODES[*mode]].as_array_mut().unwrap();
            list.push(format!("object:{object}").into());
        }
        (format!("public.t{at}"), params)
    });
    json!({ "of": of.collect::<serde_json::Map<_, _>>() })
}

fn compiled(program: &[Vec<Drafted>]) -> StepGraph {
    let mut world = World::new();
    for at in 0..8 {
        world = world.table(at + 1, &format!("public.t{at}"));
    }
    let mut sketch = Sketch::new();
    for (step, drafts) in program.iter().enumerate() {
        sketch = sketch.step(&format!("p/s{step}"), "alone", Some(Each::Table), params(drafts));
    }
    sketch.compile(&world).unwrap_or_else(|findings| panic!("{findings:#?}")).graph
}

/// Everything that a node waits for, directly or not.
fn ancestors(graph: &StepGraph) -> BTreeMap<&StepId, BTreeSet<&StepId>> {
    let mut ancestors: BTreeMap<&StepId, BTreeSet<&StepId>> = BTreeMap::new();
    for (id, _) in graph.nodes() {
        let mut all: BTreeSet<&StepId> = graph.needs(id).collect();
        let further: Vec<&StepId> =
            all.iter().flat_map(|need| &ancestors[*need]).copied().collect();
        all.extend(further);
        ancestors.insert(id, all);
    }
    ancestors
}

/// Where a draft ended up: its node, and its place in it.
fn homes(graph: &StepGraph) -> BTreeMap<(usize, usize), (&StepId, usize)> {
    let mut homes = BTreeMap::new();
    for step in graph.steps() {
        let declared: usize = step.step[1..].parse().unwrap();
        for (place, member) in step.members.iter().enumerate() {
            let draft: usize = member.key["public.t".len()..].parse().unwrap();
            homes.insert((declared, draft), (&step.id, place));
        }
    }
    homes
}

fn conflict(one: &Drafted, other: &Drafted) -> bool {
    let writes = |mode: usize| MODES[mode] == "writes";
    one.touches.iter().any(|(object, mode)| {
        let same = other.touches.iter().filter(|(touched, _)| touched == object);
        same.into_iter().any(|(_, second)| mode != second || writes(*mode))
    })
}

proptest! {
    #[test]
    fn conflicting_drafts_run_in_program_order(program in program()) {
        let graph = compiled(&program);
        let (ancestors, homes) = (ancestors(&graph), homes(&graph));
        let drafts: Vec<((usize, usize), &Drafted)> = program
            .iter()
            .enumerate()
            .flat_map(|(step, drafts)| drafts.iter().enumerate().map(move |(at, d)| ((step, at), d)))
            .collect();
        prop_assert_eq!(homes.len(), drafts.len());
        for (at, (first, one)) in drafts.iter().enumerate() {
            for (second, other) in &drafts[at + 1..] {
                if !conflict(one, other) {
                    continue;
                }
                let (first, second) = (homes[first], homes[second]);
                let in_order = if first.0 == second.0 {
                    first.1 < second.1
                } else {
                    ancestors[second.0].contains(first.0)
                };
                prop_assert!(in_order, "{first:?} and {second:?}");
            }
        }
    }
}
