//! The dry-run as a runbook in Markdown: what a person would do by hand, with boxes to tick.

mod fold;
mod task;

use std::cmp::Reverse;

use pgkedge_model::{Finding, Severity, Table, TableGroup};
use serde::Serialize;

use super::overview::{Numbered, by_phase, bytes, bytes_of, databases, numbered, operation};
use super::shown::{code, code_cell, counted, fenced, html, prose, size};
use super::values::{Value, values};
use super::{Options, Subject};
use task::Task;

/// What the template is given: every text is Markdown already.
#[derive(Serialize)]
pub(super) struct Runbook<'a> {
    plan: String,
    path: String,
    databases: Vec<DatabaseRow>,
    tables: String,
    size: String,
    left_out: Vec<String>,
    groups: Vec<GroupRow>,
    slots: Vec<SlotRow>,
    warnings: Vec<String>,
    /// Statements that open every session, as a block of code.
    session: Option<String>,
    /// Those around a step's transaction.
    guard: Option<String>,
    values: Vec<Value>,
    phases: Vec<Chapter<'a>>,
}

#[derive(Serialize)]
struct DatabaseRow {
    server: String,
    name: String,
    version: String,
    url: String,
}

#[derive(Serialize)]
struct GroupRow {
    name: String,
    /// For HTML, where Markdown is not read.
    summary: String,
    tables: Vec<String>,
    size: String,
    largest: Vec<String>,
}

#[derive(Serialize)]
struct SlotRow {
    name: String,
    existing: bool,
    groups: String,
    sets: Vec<SetRow>,
}

#[derive(Serialize)]
struct SetRow {
    name: String,
    existing: bool,
    operations: String,
    through_root: bool,
    tables: Vec<String>,
}

#[derive(Serialize)]
struct Chapter<'a> {
    numbered: Numbered<'a>,
    /// The phases that are taken back together with this one.
    window: Option<String>,
    tasks: Vec<Task>,
}

impl<'a> Runbook<'a> {
    pub(super) fn of(subject: Subject<'a>, options: &'a Options) -> Self {
        let tables = subject.selection.groups.iter().map(|group| group.tables.len()).sum();
        Self {
            plan: code(subject.plan),
            path: code(subject.path),
            databases: database_rows(subject),
            tables: counted(tables, "table"),
            size: size(bytes(subject)),
            left_out: subject
                .selection
                .excluded
                .iter()
                .map(|name| code(&name.to_string()))
                .collect(),
            groups: group_rows(subject),
            slots: slot_rows(subject),
            warnings: warnings(subject),
            session: session(options),
            guard: guard(options),
            values: values(subject),
            phases: chapters(subject, options),
        }
    }
}

fn database_rows(subject: Subject<'_>) -> Vec<DatabaseRow> {
    let row = |database: super::overview::Database| DatabaseRow {
        server: database.server.to_string(),
        name: database.name.as_deref().map_or("?".to_owned(), code_cell),
        version: match database.version {
            Some(version) if database.assumed => format!("{version} (assumed: it was not asked)"),
            Some(version) => version,
            None => "?".to_owned(),
        },
        url: code_cell(&database.url),
    };
    databases(subject).into_iter().map(row).collect()
}

fn group_rows(subject: Subject<'_>) -> Vec<GroupRow> {
    let row = |group: &TableGroup| GroupRow {
        name: code_cell(group.name.as_str()),
        summary: html(group.name.as_str()),
        tables: group.tables.iter().map(|name| code(&name.to_string())).collect(),
        size: size(bytes_of(subject, group)),
        largest: largest(subject, group),
    };
    subject.selection.groups.iter().map(row).collect()
}

/// A few tables with their sizes, for a cell.
fn largest(subject: Subject<'_>, group: &TableGroup) -> Vec<String> {
    const FEW: usize = 5;
    let is_its = |table: &&Table| group.tables.binary_search(&table.name).is_ok();
    let mut tables: Vec<&Table> = subject.facts.source.tables.iter().filter(is_its).collect();
    tables.sort_by_key(|table| (Reverse(table.bytes), &table.name));
    let told =
        |table: &&Table| format!("{} ({})", code_cell(&table.name.to_string()), size(table.bytes));
    tables.iter().take(FEW).map(told).collect()
}

fn slot_rows(subject: Subject<'_>) -> Vec<SlotRow> {
    let joined = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
    let set = |set: &pgkedge_model::ReplicationSet| SetRow {
        name: code(set.publication.as_ref().unwrap_or(&set.name).as_str()),
        existing: set.publication.is_some(),
        operations: joined(&mut set.operations.iter().map(|of| operation(*of).to_owned())),
        through_root: set.through_root,
        tables: set.tables.iter().map(|name| code(&name.to_string())).collect(),
    };
    let slot = |slot: &pgkedge_model::Slot| SlotRow {
        name: code(slot.name.as_str()),
        existing: slot.existing,
        groups: joined(&mut slot.groups.iter().map(|group| code(group.as_str()))),
        sets: slot.sets.iter().map(set).collect(),
    };
    subject.capture.slots.iter().map(slot).collect()
}

/// What was found that does not stop a run, as a person would tick it off.
fn warnings(subject: Subject<'_>) -> Vec<String> {
    let findings = subject.warnings.into_iter().flatten();
    let told = |finding: &Finding| {
        let help =
            finding.help.as_deref().map_or(String::new(), |help| format!(": {}", prose(help)));
        format!("{}{help} ({})", prose(&finding.message), code(&finding.code))
    };
    findings.filter(|finding| finding.severity != Severity::Error).map(told).collect()
}

fn session(options: &Options) -> Option<String> {
    let set = |setting: &String| match setting.strip_suffix(" (on the target)") {
        Some(setting) => format!("set {setting}; -- on the target"),
        None => format!("set {setting};"),
    };
    let lines: Vec<String> = options.session.iter().map(set).collect();
    (!lines.is_empty()).then(|| fenced(&lines.join("\n")))
}

fn guard(options: &Options) -> Option<String> {
    let guard = &options.guard;
    let middle = "-- the statements of the step".to_owned();
    let ended = |statement: &String| format!("{statement};");
    let mut lines: Vec<String> = guard.open.iter().map(ended).collect();
    lines.push(middle);
    lines.extend(guard.close.iter().map(ended));
    (lines.len() > 1).then(|| fenced(&lines.join("\n")))
}

fn chapters<'a>(subject: Subject<'a>, options: &Options) -> Vec<Chapter<'a>> {
    let mut chapters = Vec::new();
    for (at, (_, steps)) in by_phase(subject).into_iter().enumerate() {
        let numbered = numbered(subject, at);
        let window = numbered.window.as_ref().map(|window| {
            let phases: Vec<String> = window.phases.iter().map(|phase| code(phase)).collect();
            phases.join(", ")
        });
        let tasks = task::tasks(subject, options, at + 1, &steps);
        chapters.push(Chapter { numbered, window, tasks });
    }
    chapters
}
