//! The dry-run for people, as its template needs it.

use std::collections::BTreeMap;

use pgkedge_model::{Server, Statement, StepNode};
use serde::Serialize;

use super::locks::{Lock, lock};
use super::overview::{Database, GuardView, by_phase, bytes, databases, needs};
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
    phases: Vec<PagePhase<'a>>,
    locks: Vec<LockLine>,
}

#[derive(Serialize)]
struct PagePhase<'a> {
    name: &'a str,
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
            session: wrapped(&options.session),
            guard: GuardView { open: &options.guard.open, close: &options.guard.close },
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
    by_phase(subject)
        .into_iter()
        .map(|(name, steps)| PagePhase { name, steps: steps.into_iter().map(step).collect() })
        .collect()
}

fn step_facts(subject: Subject<'_>, step: &StepNode) -> Vec<String> {
    let mut facts = vec![step.kind.clone()];
    if step.is_bundle() {
        facts.push(format!("{} members", step.members.len()));
    }
    if step.resources.cost > 0 {
        facts.push(format!("about {}", size(step.resources.cost)));
    }
    if !step.resources.connections.is_empty() {
        let servers = step.resources.connections.iter().map(|(server, _)| server.to_string());
        facts.push(format!("connects to {}", servers.collect::<Vec<_>>().join(" and ")));
    }
    if step.service {
        facts.push("a service, until another step stops it".to_owned());
    }
    if let Some(stopped) = &step.stops {
        facts.push(format!("stops {stopped}"));
    }
    facts.extend(needs_in_short(&needs(subject, step)));
    facts
}

/// Barriers go without saying, and of many steps a few are enough.
fn needs_in_short(needs: &[&str]) -> Option<String> {
    const SHOWN: usize = 3;
    match needs {
        [] => None,
        few if few.len() <= SHOWN + 1 => Some(format!("after {}", few.join(", "))),
        many => {
            let more = many.len() - SHOWN;
            Some(format!("after {} and {more} more", many[..SHOWN].join(", ")))
        }
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

/// Settings side by side, in lines that fit a terminal.
fn wrapped(settings: &[String]) -> Vec<String> {
    const WIDTH: usize = 92;
    let mut lines: Vec<String> = Vec::new();
    for setting in settings {
        match lines.last_mut() {
            Some(line) if line.len() + setting.len() + 2 <= WIDTH => {
                line.push_str("; ");
                line.push_str(setting);
            }
            _ => lines.push(setting.clone()),
        }
    }
    lines
}

/// A number of bytes for people: three digits are enough.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = bytes.saturating_mul(10);
    while scaled >= 10_240 && unit + 1 < UNITS.len() {
        scaled /= 1024;
        unit += 1;
    }
    let (whole, tenth) = (scaled / 10, scaled % 10);
    if unit == 0 || whole >= 100 || tenth == 0 {
        return format!("{whole} {}", UNITS[unit]);
    }
    format!("{whole}.{tenth} {}", UNITS[unit])
}
