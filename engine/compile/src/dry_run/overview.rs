//! What both forms of the dry-run say of a compiled plan as a whole.

use std::collections::BTreeMap;

use pgkedge_model::{
    Facts, KindSpec, OnFailure, Operation, PhaseName, Server, StepNode, Table, TableGroup, TimeSpan,
};
use serde::Serialize;

use super::Subject;
use super::shown::{counted, size};

#[derive(Serialize)]
pub(super) struct GuardView<'a> {
    pub(super) open: &'a [String],
    pub(super) close: &'a [String],
}

#[derive(Serialize)]
pub(super) struct Database {
    pub(super) server: Server,
    /// Where the connection string is found; never the string.
    pub(super) url: String,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    /// The server was not asked, and the source's version is assumed.
    pub(super) assumed: bool,
}

pub(super) fn needs<'a>(subject: Subject<'a>, step: &StepNode) -> Vec<&'a str> {
    let needs = subject.graph.needs(&step.id).filter(|id| subject.graph.step(id).is_some());
    needs.map(|id| id.0.as_str()).collect()
}

/// Steps by phase, both in order.
pub(super) fn by_phase(subject: Subject<'_>) -> Vec<(&str, Vec<&StepNode>)> {
    let mut steps: BTreeMap<&str, Vec<&StepNode>> = BTreeMap::new();
    for step in subject.graph.steps() {
        steps.entry(&step.phase.0).or_default().push(step);
    }
    let phases = subject.graph.phases().iter().map(|phase| phase.0.as_str());
    phases.map(|phase| (phase, steps.remove(phase).unwrap_or_default())).collect()
}

pub(super) fn databases(subject: Subject<'_>) -> Vec<Database> {
    let described = |(server, reference): (&Server, &pgkedge_model::DatabaseRef)| {
        let catalog = subject.facts.catalog(*server);
        let assumed = catalog.is_none() && *server == Server::Target;
        let version = subject.facts.server(*server).map(|server| server.version);
        let version = version.or(assumed.then(|| subject.facts.target_version()));
        Database {
            server: *server,
            url: reference.url.to_string(),
            name: catalog.map(|catalog| catalog.database.name.to_string()),
            version: version.map(|version| version.to_string()),
            assumed,
        }
    };
    subject.databases.iter().map(described).collect()
}

/// What a kind does, in a sentence; empty where nobody says so.
pub(super) fn about(kinds: &'static [KindSpec], kind: &str) -> &'static str {
    kinds.iter().find(|spec| spec.kind == kind).map_or("", |spec| spec.about)
}

/// Consecutive phases that are taken back together when one of them fails.
#[derive(Serialize)]
pub(super) struct Window<'a> {
    pub(super) phases: Vec<&'a str>,
    /// Counted from its first step.
    pub(super) deadline: Option<TimeSpan>,
}

pub(super) fn windows(subject: Subject<'_>) -> Vec<Window<'_>> {
    let mut windows: Vec<Window<'_>> = Vec::new();
    let mut is_open = false;
    for phase in subject.graph.phases() {
        let rule = subject.graph.rule(phase);
        if rule.on_failure == OnFailure::Stop {
            is_open = false;
            continue;
        }
        if !is_open {
            windows.push(Window { phases: Vec::new(), deadline: rule.deadline });
        }
        is_open = true;
        windows.last_mut().expect("there is an open one").phases.push(&phase.0);
    }
    windows
}

/// As `publish` has it.
pub(super) fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Truncate => "truncate",
    }
}

/// A phase with its place, and the window that it belongs to.
#[derive(Serialize)]
pub(super) struct Numbered<'a> {
    pub(super) number: usize,
    pub(super) of: usize,
    pub(super) name: &'a str,
    pub(super) window: Option<Window<'a>>,
}

/// The phase at a place, counted from 0.
pub(super) fn numbered(subject: Subject<'_>, at: usize) -> Numbered<'_> {
    let PhaseName(name) = &subject.graph.phases()[at];
    let is_its = |window: &Window<'_>| window.phases.contains(&name.as_str());
    let window = windows(subject).into_iter().find(is_its);
    Numbered { number: at + 1, of: subject.graph.phases().len(), name, window }
}

/// What there is to say of a step beside its id.
pub(super) fn step_facts(subject: Subject<'_>, step: &StepNode) -> Vec<String> {
    let mut facts = vec![step.kind.clone()];
    if step.is_bundle() {
        facts.push(counted(step.members.len(), "member"));
    }
    if step.resources.cost > 0 {
        facts.push(format!("about {}", size(step.resources.cost)));
    }
    if !step.resources.connections.is_empty() {
        let servers = step.resources.connections.iter().map(|(server, _)| server.to_string());
        facts.push(format!("connects to {}", servers.collect::<Vec<_>>().join(" and ")));
    }
    if let Some(slot) = &step.scope {
        facts.push(format!("part of the load of slot {slot}"));
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

/// Bytes of a group's tables, without indexes.
pub(super) fn bytes_of(subject: Subject<'_>, group: &TableGroup) -> u64 {
    let is_its = |table: &&Table| group.tables.binary_search(&table.name).is_ok();
    subject.facts.source.tables.iter().filter(is_its).map(|table| table.bytes).sum()
}

pub(super) fn bytes(subject: Subject<'_>) -> u64 {
    let Facts { source, target: _, replica: _ } = subject.facts;
    let left_out = &subject.selection.excluded;
    let moves = |table: &&Table| left_out.binary_search(&table.name).is_err();
    source.tables.iter().filter(moves).map(|table| table.bytes).sum()
}
