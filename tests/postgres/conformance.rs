//! The conformance sweep: the shipped pipelines and examples, killed around the effect of each step
//! kind and resumed, and undone in reverse. It needs no code per kind.
//!
//! `make crash-matrix` gives each cell a run of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use pgkedge_model::{CloseStatus, Leaves, RunHeader, Undo};

use crate::harness::text;
use crate::sweep::{Bench, Came, Cell};

const POINTS: [&str; 4] = ["before_intent", "before_effect", "after_effect", "after_done"];

#[test]
fn every_step_may_be_performed_twice() {
    let bench = Bench::new();
    for (plan, kinds) in cases(&bench) {
        chained(&bench, &plan, cells(&["after_effect"], &kinds));
    }
}

#[test]
fn a_kill_before_the_effect_or_after_its_record_loses_and_repeats_nothing() {
    let bench = Bench::new();
    for (plan, kinds) in cases(&bench) {
        let kinds = kinds.into_iter().step_by(3).collect();
        chained(&bench, &plan, cells(&["before_intent", "before_effect", "after_done"], &kinds));
    }
}

#[test]
fn everything_is_undone_in_reverse_and_cleanup_leaves_the_result() {
    let bench = Bench::new();
    for plan in &bench.plans {
        bench.fresh_target();
        let before = bench.target_as_text();
        let header = until_before_cleanup(&bench, plan);
        undone(&bench, plan, &header, &before);

        bench.fresh_target();
        until_before_cleanup(&bench, plan);
        assert_eq!(bench.of_run(&["cleanup"], None), Came::Ended(Some(0)), "{}", bench.said());
        bench.assert_moved(plan, "cleanup");
    }
}

#[test]
fn an_undo_that_is_killed_is_finished_by_the_next_one() {
    let bench = Bench::new();
    let plan = bench.plans.first().expect("an example").clone();
    bench.fresh_target();
    let before = bench.target_as_text();
    let header = until_before_cleanup(&bench, &plan);
    let (mut killed, mut points) = (0, ["before_undo", "after_undo"].into_iter().cycle());
    let of_undone = kinds(&header).into_iter().rev().filter(|kind| {
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
    undone(&bench, &plan, &header, &before);
}

/// Each cell in a run of its own; some minutes.
#[test]
#[ignore = "make crash-matrix"]
fn crash_matrix() {
    let bench = Bench::new();
    let mut passed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let (mut count, mut held) = (0, 0);
    for (plan, kinds) in cases(&bench) {
        for cell in cells(&POINTS, &kinds) {
            let verdict = isolated(&bench, &plan, &cell);
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
        let words: String = words.iter().map(|word| format!("{word:15}")).collect();
        println!("{kind:28}{words}");
    }
    println!("{}", serde_json::json!({ "cells": count, "passed": held }));
    assert_eq!(count, held);
}

/// The plans with the kinds to look at: each kind once, in the plan that has the most.
fn cases(bench: &Bench) -> Vec<(PathBuf, Vec<String>)> {
    let mut plans: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for plan in &bench.plans {
        bench.fresh_target();
        let came = bench.run(plan, &[], None);
        assert_eq!(came, Came::Ended(Some(0)), "{}\n{}", plan.display(), bench.said());
        bench.assert_moved(plan, "an undisturbed run");
        plans.push((plan.clone(), kinds(&bench.header().expect("a journal"))));
    }
    plans.sort_by_key(|(_, kinds)| std::cmp::Reverse(kinds.len()));
    let mut seen = BTreeSet::new();
    for (_, kinds) in &mut plans {
        kinds.retain(|kind| seen.insert(kind.clone()));
    }
    plans.retain(|(_, kinds)| !kinds.is_empty());
    plans
}

/// The kinds of a graph, in its order.
fn kinds(header: &RunHeader) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let kinds = header.graph.steps().map(|node| node.kind.clone());
    kinds.filter(|kind| seen.insert(kind.clone())).collect()
}

fn cells(points: &[&'static str], kinds: &Vec<String>) -> VecDeque<Cell> {
    let of_kind = |kind: &String| {
        let kind = kind.clone();
        points.iter().map(move |point| Cell { point, kind: kind.clone() })
    };
    kinds.iter().flat_map(of_kind).collect()
}

/// Kills one run at cell after cell, each time in the resume after the last. What a run has passed
/// by then is left to a next run.
fn chained(bench: &Bench, plan: &Path, mut cells: VecDeque<Cell>) {
    while !cells.is_empty() {
        bench.fresh_target();
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
                Came::Ended(Some(0)) => passed.push_back(cell),
                Came::Ended(code) => panic!("{trail:?}: {code:?}\n{}", bench.said()),
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
    bench.fresh_target();
    match bench.run(plan, &[], Some(cell)) {
        Came::Died => {}
        Came::Ended(code) => return Err(format!("ended with {code:?}\n{}", bench.said())),
    }
    match bench.of_run(&["resume"], None) {
        Came::Ended(Some(0)) => {}
        other => return Err(format!("resume: {other:?}\n{}", bench.said())),
    }
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.assert_moved(plan, &cell.name());
    }));
    compared.map_err(|_| "the result differs".to_owned())
}

/// Runs a plan up to the phase before its last, and returns what it was compiled to.
fn until_before_cleanup(bench: &Bench, plan: &Path) -> RunHeader {
    let expanded = bench.ended(&["plan", text(plan), "--output", "json"]).expect(0).stdout;
    let plan_json: serde_json::Value = serde_json::from_str(&expanded).expect("JSON");
    let phases = plan_json["phases"].as_array().expect("phases");
    let last = &phases[phases.len() - 2];
    let until = last["name"].as_str().or_else(|| last.as_str()).expect("a name").to_owned();
    let came = bench.run(plan, &["--until", &until], None);
    assert_eq!(came, Came::Ended(Some(0)), "{}\n{}", plan.display(), bench.said());
    bench.header().expect("a journal")
}

/// Aborts, and expects the target as it was; a step that cannot be undone has to say why.
fn undone(bench: &Bench, plan: &Path, header: &RunHeader, before: &BTreeMap<&'static str, String>) {
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
    bench.moved.assert_nothing_is_left();
    for (what, text) in bench.target_as_text() {
        let differs = similar_lines(&before[what], &text);
        assert!(differs.is_empty(), "{}: {what} differs after abort:\n{differs}", plan.display());
    }
}

fn irreversible(header: &RunHeader) -> impl Iterator<Item = &str> {
    let members = header.graph.steps().flat_map(|node| &node.members);
    members.filter_map(|member| match &member.undo {
        Undo::Irreversible(reason) => Some(reason.as_str()),
        Undo::Nothing | Undo::Statements(_) => None,
    })
}

/// The lines that only one of two texts has.
fn similar_lines(before: &str, after: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}\n"));
    let come = new.difference(&old).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}
