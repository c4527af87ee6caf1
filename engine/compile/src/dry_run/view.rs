//! The dry-run's documents: the whole one for programs, and what the text template needs.

use std::collections::BTreeMap;

use pgkedge_model::{
    Facts, Leaves, Member, Server, Session, Statement, StepNode, Table, Transaction, Undo,
};
use serde::Serialize;

use super::locks::{Lock, lock};
use super::statements::body;
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
    session: &'a [String],
    guard: GuardView<'a>,
    phases: Vec<Phase<'a>>,
}

#[derive(Serialize)]
struct GuardView<'a> {
    open: &'a [String],
    close: &'a [String],
}

#[derive(Serialize)]
struct Database {
    server: Server,
    /// Where the connection string is found; never the string.
    url: String,
    name: Option<String>,
    version: Option<String>,
    /// The server was not asked, and the source's version is assumed.
    assumed: bool,
}

#[derive(Serialize)]
struct Phase<'a> {
    name: &'a str,
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
            session: &options.session,
            guard: GuardView { open: &options.guard.open, close: &options.guard.close },
            phases: phases(subject),
        }
    }
}

fn phases(subject: Subject<'_>) -> Vec<Phase<'_>> {
    by_phase(subject)
        .into_iter()
        .map(|(name, steps)| {
            let steps = steps.into_iter().map(|step| step_view(subject, step)).collect();
            Phase { name, steps }
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

/// What the text template is given. Layout of statements is not a template's business.
#[derive(Serialize)]
pub(super) struct Text<'a> {
    plan: &'a str,
    path: &'a str,
    databases: Vec<Database>,
    tables: usize,
    left_out: usize,
    size: String,
    steps: usize,
    statements: usize,
    session: &'a [String],
    guard: GuardView<'a>,
    phases: Vec<TextPhase<'a>>,
    locks: Vec<LockLine>,
}

#[derive(Serialize)]
struct TextPhase<'a> {
    name: &'a str,
    steps: Vec<TextStep<'a>>,
}

#[derive(Serialize)]
struct TextStep<'a> {
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

impl<'a> Text<'a> {
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
            session: &options.session,
            guard: GuardView { open: &options.guard.open, close: &options.guard.close },
            phases: text_phases(subject, options),
            locks: lock_lines(all()),
        }
    }
}

fn text_phases<'a>(subject: Subject<'a>, options: &Options) -> Vec<TextPhase<'a>> {
    let step = |step: &'a StepNode| TextStep {
        id: &step.id.0,
        facts: step_facts(subject, step),
        body: body(step, options.brief),
    };
    by_phase(subject)
        .into_iter()
        .map(|(name, steps)| TextPhase { name, steps: steps.into_iter().map(step).collect() })
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

fn needs<'a>(subject: Subject<'a>, step: &StepNode) -> Vec<&'a str> {
    let needs = subject.graph.needs(&step.id).filter(|id| subject.graph.step(id).is_some());
    needs.map(|id| id.0.as_str()).collect()
}

/// Steps by phase, both in order.
fn by_phase(subject: Subject<'_>) -> Vec<(&str, Vec<&StepNode>)> {
    let mut steps: BTreeMap<&str, Vec<&StepNode>> = BTreeMap::new();
    for step in subject.graph.steps() {
        steps.entry(&step.phase.0).or_default().push(step);
    }
    let phases = subject.graph.phases().iter().map(|phase| phase.0.as_str());
    phases.map(|phase| (phase, steps.remove(phase).unwrap_or_default())).collect()
}

fn databases(subject: Subject<'_>) -> Vec<Database> {
    let described = |(server, reference): (&Server, &pgkedge_model::DatabaseRef)| {
        let catalog = subject.facts.catalog(*server);
        let assumed = catalog.is_none() && *server == Server::Target;
        let version = catalog.map(|catalog| catalog.server.version);
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

fn bytes(subject: Subject<'_>) -> u64 {
    let Facts { source, target: _, replica: _ } = subject.facts;
    let left_out = &subject.selection.excluded;
    let moves = |table: &&Table| left_out.binary_search(&table.name).is_err();
    source.tables.iter().filter(moves).map(|table| table.bytes).sum()
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
