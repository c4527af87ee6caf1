//! The dry-run for people, as its template needs it.

use std::collections::BTreeMap;

use pgkedge_model::{Ident, ReplicationSet, Server, Session, Slot, Statement, StepNode};
use serde::Serialize;

use super::locks::{Lock, lock};
use super::overview::{
    Database, GuardView, Numbered, by_phase, bytes, databases, numbered, operation, step_facts,
};
use super::shown::{counted, line, size};
use super::statements::body;
use super::{Options, Subject};

/// What the text template is given. Layout of statements is not a template's business.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    plan: &'a str,
    path: &'a str,
    databases: Vec<Database>,
    tables: usize,
    left_out: usize,
    size: String,
    steps: usize,
    statements: usize,
    session: Vec<String>,
    guard: GuardView<'a>,
    /// Some statements go over a replication connection.
    replication: bool,
    slots: Vec<PageSlot>,
    phases: Vec<PagePhase<'a>>,
    locks: Vec<LockLine>,
}

#[derive(Serialize)]
struct PageSlot {
    name: String,
    sets: Vec<PageSet>,
}

#[derive(Serialize)]
struct PageSet {
    name: String,
    /// Operations, and how partitions are published.
    facts: String,
    /// In lines that fit a terminal.
    tables: Vec<String>,
}

#[derive(Serialize)]
struct PagePhase<'a> {
    numbered: Numbered<'a>,
    steps: Vec<PageStep<'a>>,
}

#[derive(Serialize)]
struct PageStep<'a> {
    id: &'a str,
    /// What there is to say beside the id.
    facts: Vec<String>,
    /// Every statement, laid out.
    body: String,
}

#[derive(Serialize)]
struct LockLine {
    on: Server,
    lock: Lock,
    statements: usize,
}

impl<'a> Page<'a> {
    pub(super) fn of(subject: Subject<'a>, options: &'a Options) -> Self {
        let all = || subject.graph.steps().flat_map(|step| step.statements());
        Self {
            plan: subject.plan,
            path: subject.path,
            databases: databases(subject),
            tables: subject.selection.groups.iter().map(|group| group.tables.len()).sum(),
            left_out: subject.selection.excluded.len(),
            size: size(bytes(subject)),
            steps: subject.graph.steps().count(),
            statements: all().count(),
            session: wrapped(&options.session, "; "),
            guard: GuardView { open: &options.guard.open, close: &options.guard.close },
            replication: all().any(|statement| statement.session == Session::Replication),
            slots: subject
                .capture
                .slots
                .iter()
                .map(|slot| page_slot(slot, options.brief))
                .collect(),
            phases: page_phases(subject, options),
            locks: lock_lines(all()),
        }
    }
}

fn page_phases<'a>(subject: Subject<'a>, options: &Options) -> Vec<PagePhase<'a>> {
    let step = |step: &'a StepNode| PageStep {
        id: &step.id.0,
        facts: step_facts(subject, step),
        body: body(step, options.brief),
    };
    let page_phase = |(at, (_, steps)): (usize, (&str, Vec<&'a StepNode>))| PagePhase {
        numbered: numbered(subject, at),
        steps: steps.into_iter().map(step).collect(),
    };
    by_phase(subject).into_iter().enumerate().map(page_phase).collect()
}

fn page_slot(slot: &Slot, brief: bool) -> PageSlot {
    let groups: Vec<&str> = slot.groups.iter().map(Ident::as_str).collect();
    let groups = if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") };
    let kept = if slot.existing { ", which is there already, and stays" } else { "" };
    PageSlot {
        name: line(&format!("{}{kept}: {groups}", slot.name.as_str())),
        sets: slot.sets.iter().map(|set| page_set(set, brief)).collect(),
    }
}

/// The brief form shows the first tables only.
fn page_set(set: &ReplicationSet, brief: bool) -> PageSet {
    const BRIEF: usize = 5;
    let operations: Vec<&str> = set.operations.iter().map(|of| operation(*of)).collect();
    let root = if set.through_root { ", partitions as their root" } else { "" };
    let there = set.publication.as_ref().map_or_else(String::new, |publication| {
        format!(", by publication {publication}, which is there already, and stays")
    });
    let tables = counted(set.tables.len(), "table");
    let shown = if brief { BRIEF } else { usize::MAX };
    let mut names: Vec<String> =
        set.tables.iter().take(shown).map(|table| line(&table.to_string())).collect();
    if set.tables.len() > shown {
        names.push(format!("… and {} more", set.tables.len() - shown));
    }
    PageSet {
        name: set.name.as_str().to_owned(),
        facts: line(&format!("{} of {tables}{root}{there}", operations.join(", "))),
        tables: wrapped(&names, ", "),
    }
}

fn lock_lines<'a>(statements: impl Iterator<Item = &'a Statement>) -> Vec<LockLine> {
    let mut counts: BTreeMap<(Server, Lock), usize> = BTreeMap::new();
    for statement in statements {
        if let Some(lock) = lock(&statement.shown()) {
            *counts.entry((statement.on, lock)).or_default() += 1;
        }
    }
    counts.into_iter().map(|((on, lock), statements)| LockLine { on, lock, statements }).collect()
}

/// Items side by side, in lines that fit a terminal.
fn wrapped(items: &[String], between: &str) -> Vec<String> {
    const WIDTH: usize = 92;
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.len() + item.len() + between.len() <= WIDTH => {
                line.push_str(between);
                line.push_str(item);
            }
            _ => lines.push(item.clone()),
        }
    }
    lines
}
