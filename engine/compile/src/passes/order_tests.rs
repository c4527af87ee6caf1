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

/// Drafts that each create an object of the archive, and what each needs, by their places.
fn archive() -> impl Strategy<Value = (Vec<Drafted>, Vec<(usize, usize)>)> {
    let fold = prop::sample::select(&FOLDS[..2]);
    let draft = fold.prop_map(|fold| Drafted { fold, touches: Vec::new() });
    let drafts = prop::collection::vec(draft, 16);
    let ranks = Just((0..16).collect::<Vec<usize>>()).prop_shuffle();
    let pairs = prop::collection::vec((0..16_usize, 0..16_usize), 0..24);
    (drafts, ranks, pairs).prop_map(|(drafts, ranks, pairs)| {
        // Needs follow a hidden order that has nothing to do with that of the program.
        let needs = pairs.into_iter().filter(|(one, other)| ranks[*one] > ranks[*other]);
        (drafts, needs.collect())
    })
}

fn compiled_archive(drafts: &[Drafted], needs: &[(usize, usize)]) -> StepGraph {
    let mut steps = vec![params(&drafts[..8]), params(&drafts[8..])];
    for (at, step) in (0..16).map(|at| (at, at / 8)) {
        let draft = &mut steps[step]["of"][format!("public.t{}", at % 8)];
        draft["writes"] = json!([format!("entry:{at}")]);
        let needed = needs.iter().filter(|(one, _)| *one == at);
        draft["reads"] = needed.map(|(_, other)| format!("entry:{other}")).collect();
    }
    let [first, second] = steps.try_into().unwrap();
    let world =
        (1..=8).fold(World::new(), |world, at| world.table(at, &format!("public.t{}", at - 1)));
    let each = Some(Each::Table);
    let sketch =
        Sketch::new().step("p/s0", "alone", each, first).step("p/s1", "alone", each, second);
    sketch.compile(&world).unwrap_or_else(|findings| panic!("{findings:#?}")).graph
}

proptest! {
    #[test]
    fn what_needs_an_object_of_the_archive_runs_after_it((drafts, needs) in archive()) {
        let graph = compiled_archive(&drafts, &needs);
        let (ancestors, homes) = (ancestors(&graph), homes(&graph));
        for (one, other) in needs {
            let home = |at: usize| homes[&(at / 8, at % 8)].0;
            prop_assert!(ancestors[home(one)].contains(home(other)), "{one} needs {other}");
        }
    }

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
