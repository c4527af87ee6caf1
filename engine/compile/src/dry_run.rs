//! What a run would do, statement by statement, before anything is done: for people and programs.

mod document;
mod locks;
mod overview;
mod page;
mod psql;
mod runbook;
mod script;
mod shown;
mod sql;
mod statements;
mod values;

use std::collections::BTreeMap;

use pgkedge_model::{Capture, DatabaseRef, Facts, Finding, KindSpec, Selection, Server, StepGraph};
use pgkedge_plan::Plan;
use pgkedge_render::RenderError;
use serde_json::Value;

use crate::Compiled;

/// A compiled plan, as far as the dry-run shows it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub plan: &'a str,
    /// Where the plan was read from.
    pub path: &'a str,
    pub databases: &'a BTreeMap<Server, DatabaseRef>,
    pub facts: &'a Facts,
    pub selection: &'a Selection,
    pub capture: &'a Capture,
    pub graph: &'a StepGraph,
    /// What should be read before a run: of the plan's text, and of its databases.
    pub warnings: [&'a [Finding]; 2],
}

/// What the caller knows of sessions and transactions, and how much is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings of every session, one to a line.
    pub session: Vec<String>,
    pub guard: Guard,
    /// What the kinds of steps do, for people.
    pub kinds: &'static [KindSpec],
    /// Text only: of a bundle, shows the first few members.
    pub brief: bool,
}

/// The statements around a guarded transaction, with `‹run›`, `‹step›` and the like in
/// them.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    pub open: Vec<String>,
    pub close: Vec<String>,
    /// Stands before the last `commit` where a step is taken back.
    pub forget: String,
}

impl<'a> Subject<'a> {
    pub fn of(plan: &'a Plan, compiled: &'a Compiled, facts: &'a Facts) -> Self {
        Self {
            plan: &plan.name,
            path: &plan.path,
            databases: &plan.databases,
            facts,
            selection: &compiled.selection,
            capture: &compiled.capture,
            graph: &compiled.graph,
            warnings: [&plan.warnings, &compiled.warnings],
        }
    }
}

/// The dry-run for people.
pub fn text(subject: Subject<'_>, options: &Options) -> Result<String, RenderError> {
    pgkedge_render::text("dry_run", &page::Page::of(subject, options))
}

/// Every statement in the order of the graph, as one document of annotated SQL.
pub fn sql(subject: Subject<'_>, options: &Options) -> Result<String, RenderError> {
    pgkedge_render::text("statements", &sql::Document::of(subject, options))
}

/// The statements that take everything back, last step first, as one document of annotated SQL.
pub fn undo_sql(subject: Subject<'_>, options: &Options) -> Result<String, RenderError> {
    pgkedge_render::text("statements", &sql::Document::of_undo(subject, options))
}

/// A runbook that a person could follow by hand, in Markdown.
pub fn markdown(subject: Subject<'_>, options: &Options) -> Result<String, RenderError> {
    pgkedge_render::text("runbook", &runbook::Runbook::of(subject, options))
}

/// The dry-run for programs: the whole graph, with every statement.
pub fn json(subject: Subject<'_>, options: &Options) -> Value {
    serde_json::to_value(document::Document::of(subject, options))
        .expect("views have only string keys")
}

#[cfg(test)]
mod tests;
