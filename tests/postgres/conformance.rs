//! The conformance sweep: the shipped pipelines and examples, killed around the effect of each step
//! kind and resumed, and undone in reverse. It needs no code per kind.
//!
//! `make crash-matrix` gives each cell a run of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgkedge_model::{CloseStatus, Leaves, OnFailure, RunHeader, StepNode, Undo};

use crate::sweep::{Bench, Came, Cell, State};

const POINTS: [&str; 4] = ["before_intent", "before_effect", "after_effect", "after_done"];
/// Beside `make crash-matrix`, which takes them all.
const OTHER_POINTS_OF_EACH: usize = 4;

/// Every kind after its effect and before its record; some at the other points as well.
#[test]
fn every_step_may_be_performed_twice_and_a_kill_around_its_effect_loses_nothing() {
    let bench = Bench::new();
    for case in cases(&bench) {
        let some = |at: usize| !case.captures && at.is_multiple_of(OTHER_POINTS_OF_EACH);
        // A window starts over as a whole, so one of its kinds stands for all:
        // tests/postgres/live/cutover.rs has them one by one.
        let kinds = case.kinds.iter().chain(case.windows.last()).enumerate();
        let cells = kinds.flat_map(|(at, kind)| {
            let points = if some(at) { &POINTS[..] } else { &["after_effect"] };
            cells(points, kind)
        });
        chained(&bench, &case.plan, cells.collect());
    }
}

#[test]
fn everything_is_undone_in_reverse_and_cleanup_leaves_the_result() {
    let bench = Bench::new();
    for plan in &bench.plans {
        bench.fresh(plan);
        let before = bench.state();
        let header = until_its_end(&bench, plan);
        undone(&bench, plan, &header, &before);

        bench.fresh(plan);
        let header = until_its_end(&bench, plan);
        let last = windows(&header).last().map(|node| node.kind.clone());
        if let Some(kind) = &last {
            let cell = Cell { point: "before_effect", kind: kind.clone() };
            assert_eq!(bench.of_run(&["resume"], Some(&cell)), Came::Died, "{}", bench.said());
        }
        assert_eq!(bench.of_run(&["cleanup"], None), Came::Ended(Some(0)), "{}", bench.said());
        match last {
            Some(_) => bench.assert_cleaned(),
            None => bench.assert_moved(plan, "cleanup"),
        }
    }
}

#[test]
fn an_undo_that_is_killed_is_finished_by_the_next_one() {
    let bench = Bench::new();
    for plan in ["own-steps.yaml", "live-from-replica.yaml"] {
        let plan = bench.plan(plan);
        bench.fresh(plan);
        let before = bench.state();
        let header = until_its_end(&bench, plan);
        let (mut killed, mut points) = (0, ["before_undo", "after_undo"].into_iter().cycle());
        let of_undone = kinds(header.graph.steps()).into_iter().rev().filter(|kind| {
            header.graph.steps().any(|node| node.kind == *kind && node.leaves != Leaves::Nothing)
        });
        for kind in of_undone {
            let point = points.next().expect("without end");
            // What the last abort took back already is not reached again: then it is over.
            if bench.closed() != Some(CloseStatus::Aborted) {
                let cell = Cell { point, kind };
                killed += usize::from(bench.of_run(&["abort", "--yes"], Some(&cell)) == Came::Died);
            }
        }
        assert!(killed >= 5, "{killed}");
        undone(&bench, plan, &header, &before);
    }
}

#[test]
fn a_step_that_cannot_be_undone_says_why_and_its_command_undoes_it_where_there_is_one() {
    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.plan("smallest.yaml")).expect("readable");
    let with_step = |undo: &str| {
        let plan = bench.moved.sandbox.folder.join("own.yaml");
        let phases = format!(
            "phases:\n  - name: own\n    after: verify\n    steps:\n      - \
             {{ name: touch, kind: command, run: [touch, touched], idempotent: true{undo} }}\n"
        );
        std::fs::write(&plan, format!("{text}{phases}")).expect("written");
        plan
    };
    let touched = || bench.moved.sandbox.folder.join("touched").exists();

    let plan = with_step(", undo: [rm, touched]");
    bench.fresh(&plan);
    let before = bench.state();
    let header = until_its_end(&bench, &plan);
    assert!(touched());
    undone(&bench, &plan, &header, &before);
    assert!(!touched(), "the command's undo was not run");

    let plan = with_step("");
    bench.fresh(&plan);
    let before = bench.state();
    let header = until_its_end(&bench, &plan);
    assert_eq!(irreversible(&header).count(), 1);
    undone(&bench, &plan, &header, &before);
}

/// Each cell in a run of its own; some minutes.
#[test]
#[ignore = "make crash-matrix"]
fn crash_matrix() {
    let bench = Bench::new();
    let mut passed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let (mut count, mut held) = (0, 0);
    for case in cases(&bench) {
        let kinds = case.kinds.iter().chain(&case.windows);
        for cell in kinds.flat_map(|kind| cells(&POINTS, kind)) {
            let verdict = isolated(&bench, &case.plan, &cell);
            count += 1;
            held += usize::from(verdict.is_ok());
            if let Err(why) = &verdict {
                println!("{}: {why}", cell.name());
            }
            let word = if verdict.is_ok() { "holds" } else { "BROKEN" };
            passed.entry(cell.kind).or_default().push(word);
        }
    }
    println!("\n{:28}{}", "", POINTS.map(|point| format!("{point:15}")).concat());
    for (kind, words) in passed {
        let words: Vec<String> = words.iter().map(|word| format!("{word:15}")).collect();
        println!("{kind:28}{}", words.concat());
    }
    println!("{}", serde_json::json!({ "cells": count, "passed": held }));
    assert_eq!(count, held);
}

/// A plan with the kinds to look at in it.
struct Case {
    plan: PathBuf,
    captures: bool,
    kinds: Vec<String>,
    /// Kinds of its windows alone.
    windows: Vec<String>,
}

impl Case {
    /// What a plan that ran to its end has.
    fn of(plan: &Path, header: &RunHeader) -> Self {
        let kinds_outside = kinds(header.graph.steps().filter(|node| !in_window(header, node)));
        let mut windows = kinds(windows(header));
        windows.retain(|kind| !kinds_outside.contains(kind));
        let captures = kinds_outside.iter().any(|kind| kind == "create_slot");
        Self { plan: plan.to_owned(), captures, kinds: kinds_outside, windows }
    }
}

/// The plans with the kinds to look at: each kind once, in the plan that has the most, first of those
/// that capture no changes.
fn cases(bench: &Bench) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for plan in &bench.plans {
        bench.fresh(plan);
        let came = bench.run(plan, &[], None);
        assert_eq!(came, Came::Ended(Some(0)), "{}\n{}", plan.display(), bench.said());
        bench.assert_moved(plan, "an undisturbed run");
        cases.push(Case::of(plan, &bench.header().expect("a journal")));
    }
    cases.sort_by_key(|case| (case.captures, std::cmp::Reverse(case.kinds.len())));
    let mut seen = BTreeSet::new();
    for Case { kinds, windows, .. } in &mut cases {
        kinds.retain(|kind| seen.insert(kind.clone()));
        windows.retain(|kind| seen.insert(kind.clone()));
    }
    cases.retain(|case| !case.kinds.is_empty() || !case.windows.is_empty());
    cases
}

/// The kinds of steps, in their order.
fn kinds<'a>(steps: impl Iterator<Item = &'a Arc<StepNode>>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    steps.map(|node| node.kind.clone()).filter(|kind| seen.insert(kind.clone())).collect()
}

/// The steps that are taken back together.
fn windows(header: &RunHeader) -> impl Iterator<Item = &Arc<StepNode>> {
    header.graph.steps().filter(|node| in_window(header, node))
}

fn in_window(header: &RunHeader, node: &StepNode) -> bool {
    header.graph.rule(&node.phase).on_failure == OnFailure::Undo
}

fn cells(points: &[&'static str], kind: &str) -> VecDeque<Cell> {
    points.iter().map(|point| Cell { point, kind: kind.to_owned() }).collect()
}

/// Kills one run at cell after cell, each time in the resume after the last. What a run has passed
/// by then is left to a next run.
fn chained(bench: &Bench, plan: &Path, mut cells: VecDeque<Cell>) {
    while !cells.is_empty() {
        bench.fresh(plan);
        let first = cells.pop_front().expect("not empty");
        let came = bench.run(plan, &[], Some(&first));
        assert_eq!(came, Came::Died, "{} is never reached\n{}", first.name(), bench.said());
        let mut trail = vec![first.name()];
        let mut passed = VecDeque::new();
        while let Some(cell) = cells.pop_front() {
            if bench.closed() == Some(CloseStatus::Succeeded) {
                passed.push_back(cell);
                continue;
            }
            trail.push(cell.name());
            match bench.of_run(&["resume"], Some(&cell)) {
                Came::Died => {}
                came @ (Came::Hung | Came::Ended(_)) => {
                    assert_eq!(came, Came::Ended(Some(0)), "{trail:?}\n{}", bench.said());
                    passed.push_back(cell);
                }
            }
        }
        let came = bench.of_run(&["resume"], None);
        assert_eq!(came, Came::Ended(Some(0)), "{trail:?}\n{}", bench.said());
        bench.assert_moved(plan, &trail.join(", "));
        cells = passed;
    }
}

/// One run for one cell.
fn isolated(bench: &Bench, plan: &Path, cell: &Cell) -> Result<(), String> {
    bench.fresh(plan);
    match bench.run(plan, &[], Some(cell)) {
        Came::Died => {}
        came @ (Came::Hung | Came::Ended(_)) => {
            return Err(format!("never reached: {came:?}\n{}", bench.said()));
        }
    }
    let came = bench.of_run(&["resume"], None);
    if came != Came::Ended(Some(0)) {
        return Err(format!("resume: {came:?}\n{}", bench.said()));
    }
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.assert_moved(plan, &cell.name());
    }));
    compared.map_err(|_| "the result differs".to_owned())
}

/// Runs a plan up to where it can still be taken back as a whole, its windows not begun, and its own
/// tidying up not done. Returns what it was compiled to.
fn until_its_end(bench: &Bench, plan: &Path) -> RunHeader {
    let came = bench.run(plan, &["--until", "preflight"], None);
    assert_eq!(came, Came::Ended(Some(0)), "{}\n{}", plan.display(), bench.said());
    let header = bench.header().expect("a journal");
    let phases = header.graph.phases();
    let is_undone = |phase| header.graph.rule(phase).on_failure == OnFailure::Undo;
    let end = phases.iter().position(is_undone).unwrap_or(phases.len() - 1);
    let came = bench.of_run(&["resume", "--until", &phases[end - 1].0], None);
    assert_eq!(came, Came::Ended(Some(0)), "{}\n{}", plan.display(), bench.said());
    header
}

/// Aborts, and expects all servers as they were; a step that cannot be undone has to say why.
fn undone(bench: &Bench, plan: &Path, header: &RunHeader, before: &State) {
    let came = bench.of_run(&["abort", "--yes"], None);
    let reasons: Vec<&str> = irreversible(header).collect();
    if !reasons.is_empty() {
        assert_eq!(came, Came::Ended(Some(7)), "{}\n{}", plan.display(), bench.said());
        for reason in reasons {
            assert!(bench.said().contains(reason), "{reason}: {}", bench.said());
        }
        return;
    }
    assert_eq!(came, Came::Ended(Some(0)), "{}\n{}", plan.display(), bench.said());
    bench.assert_untouched(before, plan);
}

/// Why steps outside of windows cannot be undone.
fn irreversible(header: &RunHeader) -> impl Iterator<Item = &str> {
    let outside = header.graph.steps().filter(|node| !in_window(header, node));
    let members = outside.flat_map(|node| &node.members);
    members.filter_map(|member| match &member.undo {
        Undo::Irreversible(reason) => Some(reason.as_str()),
        Undo::Nothing | Undo::Statements(_) => None,
    })
}
