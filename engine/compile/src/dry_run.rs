//! What a run would do, statement by statement, before anything is done: for people and programs.

mod document;
mod locks;
mod overview;
mod page;
mod statements;

use std::collections::BTreeMap;

use pgkedge_model::{DatabaseRef, Facts, Selection, Server, StepGraph};
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
    pub graph: &'a StepGraph,
}

/// What the caller knows of sessions and transactions, and how much is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings of every session, one to a line.
    pub session: Vec<String>,
    pub guard: Guard,
    /// Text only: of a bundle, shows the first few members.
    pub brief: bool,
}

/// The statements around a guarded transaction, with `‹run›` and `‹epoch›` in them.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    pub open: Vec<String>,
    pub close: Vec<String>,
}

impl<'a> Subject<'a> {
    pub fn of(plan: &'a Plan, compiled: &'a Compiled, facts: &'a Facts) -> Self {
        Self {
            plan: &plan.name,
            path: &plan.path,
            databases: &plan.databases,
            facts,
            selection: &compiled.selection,
            graph: &compiled.graph,
        }
    }
}

/// The dry-run for people.
pub fn text(subject: Subject<'_>, options: &Options) -> Result<String, RenderError> {
    pgkedge_render::text("dry_run", &page::Page::of(subject, options))
}

/// The dry-run for programs: the whole graph, with every statement.
pub fn json(subject: Subject<'_>, options: &Options) -> Value {
    serde_json::to_value(document::Document::of(subject, options))
        .expect("views have only string keys")
}

#[cfg(test)]
mod tests;
