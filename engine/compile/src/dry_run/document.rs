//! The dry-run for programs: the whole graph.

use std::collections::BTreeMap;

use pgkedge_model::{
    Capture, Ident, Leaves, Member, OnFailure, PhaseRule, Server, Session, Statement, StepNode,
    TimeSpan, Transaction, Undo,
};
use serde::Serialize;

use super::locks::{Lock, lock};
use super::overview::{Database, GuardView, Window, by_phase, bytes, databases, needs, windows};
use super::{Options, Subject};

#[derive(Serialize)]
pub(super) struct Document<'a> {
    format: u32,
    plan: &'a str,
    path: &'a str,
    databases: Vec<Database>,
    tables: usize,
    left_out: usize,
    /// Of the tables that move, without indexes.
    bytes: u64,
    /// Slots with their replication sets, operations and tables.
    capture: &'a Capture,
    session: &'a [String],
    guard: GuardView<'a>,
    /// Phases that are taken back together when one of them fails.
    windows: Vec<Window<'a>>,
    phases: Vec<Phase<'a>>,
}

#[derive(Serialize)]
struct Phase<'a> {
    name: &'a str,
    on_failure: OnFailure,
    deadline: Option<TimeSpan>,
    steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    id: &'a str,
    kind: &'a str,
    /// Steps that it waits for; every step waits for the phase before its own as well.
    needs: Vec<&'a str>,
    connections: BTreeMap<Server, u16>,
    worker: bool,
    bytes: u64,
    leaves: Leaves,
    /// The slot whose load it belongs to.
    scope: Option<&'a str>,
    service: bool,
    stops: Option<&'a str>,
    digest: &'a str,
    before: Vec<StatementView>,
    members: Vec<MemberView<'a>>,
    after: Vec<StatementView>,
}

#[derive(Serialize)]
struct MemberView<'a> {
    key: &'a str,
    bytes: u64,
    statements: Vec<StatementView>,
    undo: UndoView<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum UndoView<'a> {
    Nothing,
    Statements(Vec<StatementView>),
    Irreversible(&'a str),
}

#[derive(Serialize)]
struct StatementView {
    on: Server,
    session: Session,
    transaction: Transaction,
    guarded: bool,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<Lock>,
}

impl<'a> Document<'a> {
    pub(super) fn of(subject: Subject<'a>, options: &'a Options) -> Self {
        Self {
            format: 1,
            plan: subject.plan,
            path: subject.path,
            databases: databases(subject),
            tables: subject.selection.groups.iter().map(|group| group.tables.len()).sum(),
            left_out: subject.selection.excluded.len(),
            bytes: bytes(subject),
            capture: subject.capture,
            session: &options.session,
            guard: GuardView { open: &options.guard.open, close: &options.guard.close },
            windows: windows(subject),
            phases: phases(subject),
        }
    }
}

fn phases(subject: Subject<'_>) -> Vec<Phase<'_>> {
    let names = subject.graph.phases().iter();
    names
        .zip(by_phase(subject))
        .map(|(phase, (name, steps))| {
            let PhaseRule { on_failure, deadline } = subject.graph.rule(phase);
            let steps = steps.into_iter().map(|step| step_view(subject, step)).collect();
            Phase { name, on_failure, deadline, steps }
        })
        .collect()
}

fn step_view<'a>(subject: Subject<'a>, step: &'a StepNode) -> Step<'a> {
    Step {
        id: &step.id.0,
        kind: &step.kind,
        needs: needs(subject, step),
        connections: step.resources.connections.iter().copied().collect(),
        worker: step.resources.worker,
        bytes: step.resources.cost,
        leaves: step.leaves,
        scope: step.scope.as_ref().map(Ident::as_str),
        service: step.service,
        stops: step.stops.as_ref().map(|id| id.0.as_str()),
        digest: &step.digest.0,
        before: statement_views(&step.before),
        members: step.members.iter().map(member_view).collect(),
        after: statement_views(&step.after),
    }
}

fn member_view(member: &Member) -> MemberView<'_> {
    let undo = match &member.undo {
        Undo::Nothing => UndoView::Nothing,
        Undo::Statements(statements) => UndoView::Statements(statement_views(statements)),
        Undo::Irreversible(why) => UndoView::Irreversible(why),
    };
    let statements = statement_views(&member.run);
    MemberView { key: &member.key, bytes: member.cost, statements, undo }
}

fn statement_views(statements: &[Statement]) -> Vec<StatementView> {
    let view = |statement: &Statement| {
        let text = statement.shown();
        StatementView {
            on: statement.on,
            session: statement.session,
            transaction: statement.transaction,
            guarded: statement.transaction == Transaction::Guarded,
            lock: lock(&text),
            text,
        }
    };
    statements.iter().map(view).collect()
}
