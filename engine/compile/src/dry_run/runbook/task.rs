//! One declared step of a plan as a task of the runbook.

use std::collections::BTreeSet;

use pgkedge_model::{Statement, StepNode, Undo};
use serde::Serialize;

use super::super::overview::{about, needs};
use super::super::script::{Sent, Way, label};
use super::super::shown::{code, counted, fenced, prose, size, visible};
use super::super::{Options, Subject};
use super::fold::{Alike, Work, fold};

/// Every text is Markdown.
#[derive(Serialize)]
pub(super) struct Task {
    /// `phase.task`.
    number: String,
    name: String,
    /// For the template, which knows what shows that a kind has worked.
    kind: String,
    about: String,
    facts: Vec<String>,
    works: Vec<Folded>,
    /// Some objects are only named.
    folded: bool,
    undo: Vec<String>,
    /// Why it cannot be taken back.
    irreversible: Vec<String>,
}

/// What is done for one object, and the others for which the same is done.
#[derive(Serialize)]
struct Folded {
    /// What is written out.
    name: String,
    passages: Vec<Passage>,
    /// The others that are alike, by name.
    others: Vec<String>,
}

/// Statements that go the same way.
#[derive(Serialize)]
struct Passage {
    told: String,
    code: String,
}

/// The tasks of a phase: its steps by the declared step that they come from.
pub(super) fn tasks(
    subject: Subject<'_>,
    options: &Options,
    phase: usize,
    steps: &[&StepNode],
) -> Vec<Task> {
    let mut declared: Vec<(&str, Vec<&StepNode>)> = Vec::new();
    for step in steps {
        match declared.iter_mut().find(|(name, _)| *name == step.step) {
            Some((_, nodes)) => nodes.push(step),
            None => declared.push((&step.step, vec![step])),
        }
    }
    let numbered = declared.into_iter().enumerate();
    numbered
        .map(|(at, (_, nodes))| task(subject, options, format!("{phase}.{}", at + 1), &nodes))
        .collect()
}

fn task(subject: Subject<'_>, options: &Options, number: String, nodes: &[&StepNode]) -> Task {
    let first = nodes[0];
    let folded = fold(Work::of(nodes));
    let shown: Vec<Work<'_>> = folded.iter().map(|alike| alike[0]).collect();
    Task {
        number,
        name: code(&first.step),
        kind: first.kind.clone(),
        about: prose(about(options.kinds, &first.kind)),
        facts: facts(subject, nodes),
        folded: folded.iter().any(|alike| alike.len() > 1 && alike[0].has_statements()),
        works: folded.iter().map(of_alike).collect(),
        undo: undo(&shown),
        irreversible: irreversible(nodes),
    }
}

fn facts(subject: Subject<'_>, nodes: &[&StepNode]) -> Vec<String> {
    let mut facts = Vec::new();
    let servers: BTreeSet<_> = nodes
        .iter()
        .flat_map(|node| {
            let sent = node.statements().map(|statement| statement.on);
            sent.chain(node.resources.connections.iter().map(|(server, _)| *server))
        })
        .collect();
    if !servers.is_empty() {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        facts.push(format!("on the {}", servers.join(" and the ")));
    }
    let objects: usize = nodes.iter().map(|node| node.members.len()).sum();
    if objects > 1 {
        facts.push(format!("{} in {}", counted(objects, "object"), counted(nodes.len(), "step")));
    }
    let cost: u64 = nodes.iter().map(|node| node.resources.cost).sum();
    if cost > 0 {
        facts.push(format!("about {}", size(cost)));
    }
    facts.extend(after(subject, nodes));
    if nodes[0].service {
        facts.push("goes on until another step stops it".to_owned());
    }
    if let Some(stopped) = nodes.iter().find_map(|node| node.stops.as_ref()) {
        facts.push(format!("stops {}", code(&stopped.0)));
    }
    facts
}

/// The declared steps of the same phase that are waited for.
fn after(subject: Subject<'_>, nodes: &[&StepNode]) -> Option<String> {
    let own = &nodes[0].step;
    let needed: BTreeSet<&str> = nodes
        .iter()
        .flat_map(|node| needs(subject, node))
        .filter_map(|id| subject.graph.step(&id.into()))
        .filter(|step| step.phase == nodes[0].phase && step.step != *own)
        .map(|step| step.step.as_str())
        .collect();
    let names: Vec<String> = needed.into_iter().map(code).collect();
    (!names.is_empty()).then(|| format!("after {}", names.join(" and ")))
}

fn of_alike(alike: &Alike<'_>) -> Folded {
    let work = alike[0];
    Folded {
        name: code(work.label()),
        passages: passages(work),
        others: alike.iter().skip(1).map(|work| code(work.label())).collect(),
    }
}

fn passages(work: Work<'_>) -> Vec<Passage> {
    let step = work.step;
    let sent = |statement| Sent { member: None, statement };
    let run = step.before.iter().chain(&work.member.run).map(sent);
    let mut passages = by_way(run, "On");
    if step.service {
        passages.extend(by_way(step.after.iter().map(sent), "When it is stopped, on"));
        return passages;
    }
    let all = step.before.iter().chain(&work.member.run).chain(&step.after);
    by_way(all.map(sent), "On")
}

fn by_way<'a>(all: impl Iterator<Item = Sent<'a>>, when: &str) -> Vec<Passage> {
    let mut ways: Vec<(Way, Vec<&Statement>)> = Vec::new();
    for sent in all {
        let way = Way::of(sent.statement);
        match ways.last_mut() {
            Some((last, statements)) if *last == way => statements.push(sent.statement),
            _ => ways.push((way, vec![sent.statement])),
        }
    }
    let passage = |(way, statements): (Way, Vec<&Statement>)| {
        let texts: Vec<String> = statements.into_iter().map(ended).collect();
        Passage { told: format!("{when} {}", way.told()), code: fenced(&texts.join("\n")) }
    };
    ways.into_iter().map(passage).collect()
}

/// A statement with the semicolon that ends it.
fn ended(statement: &Statement) -> String {
    let text = visible(&statement.shown());
    let last = text.rsplit('\n').next().unwrap_or(&text);
    let end = if last.contains("--") { "\n;" } else { ";" };
    format!("{text}{end}")
}

/// What takes the works back that are written out, last one first.
fn undo(works: &[Work<'_>]) -> Vec<String> {
    let mut blocks = Vec::new();
    for work in works.iter().rev() {
        let Undo::Statements(statements) = &work.member.undo else { continue };
        if statements.is_empty() {
            continue;
        }
        let on: BTreeSet<_> = statements.iter().map(|statement| statement.on.to_string()).collect();
        let on: Vec<String> = on.into_iter().collect();
        let texts: Vec<String> = statements.iter().map(ended).collect();
        let name = code(label(work.step, work.member));
        let head = format!("{name}, on the {}:", on.join(" and the "));
        blocks.push(format!("{head}\n\n{}", fenced(&texts.join("\n"))));
    }
    blocks
}

fn irreversible(nodes: &[&StepNode]) -> Vec<String> {
    let members = nodes.iter().flat_map(|node| &node.members);
    let reasons: BTreeSet<String> = members
        .filter_map(|member| match &member.undo {
            Undo::Irreversible(why) => Some(prose(why)),
            Undo::Nothing | Undo::Statements(_) => None,
        })
        .collect();
    reasons.into_iter().collect()
}
