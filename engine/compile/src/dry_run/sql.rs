//! The dry-run as SQL: every statement exact, in the order of the graph, under the server that it is
//! for. It is made to be read: psql leaves it at once, and stops at values that are still open.

use pgkedge_model::{Member, Piece, Statement, StepNode, Transaction, Undo, quote_literal};
use serde::Serialize;

use super::overview::{Database, Numbered, about, by_phase, databases, numbered, step_facts};
use super::script::{Sent, Way, guarded, sent};
use super::shown::{line, visible};
use super::values::Variables;
use super::{Guard, Options, Subject, psql};

/// What the template is given. Layout of statements is not a template's business.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    plan: &'a str,
    path: String,
    /// Takes everything back.
    undo: bool,
    databases: Vec<Database>,
    session: &'a [String],
    phases: Vec<Phase<'a>>,
}

#[derive(Serialize)]
struct Phase<'a> {
    numbered: Numbered<'a>,
    steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    id: &'a str,
    about: &'static str,
    facts: Vec<String>,
    body: String,
}

impl<'a> Document<'a> {
    pub(super) fn of(subject: Subject<'a>, options: &'a Options) -> Self {
        let mut writer = Writer { guard: &options.guard, variables: Variables::default() };
        let mut phases = Vec::new();
        for (number, (_, steps)) in by_phase(subject).into_iter().enumerate() {
            let steps = steps.into_iter().map(|step| Step {
                id: &step.id.0,
                about: about(options.kinds, &step.kind),
                facts: step_facts(subject, step),
                body: writer.run(step),
            });
            phases.push(Phase { numbered: numbered(subject, number), steps: steps.collect() });
        }
        Self::with(subject, options, false, phases)
    }

    /// The same backwards, with the statements that take each step back.
    pub(super) fn of_undo(subject: Subject<'a>, options: &'a Options) -> Self {
        let mut writer = Writer { guard: &options.guard, variables: Variables::default() };
        let mut phases = Vec::new();
        for (number, (_, steps)) in by_phase(subject).into_iter().enumerate().rev() {
            let is_undone = |step: &&StepNode| step.members.iter().any(has_undo);
            let steps = steps.into_iter().rev().filter(is_undone).map(|step| Step {
                id: &step.id.0,
                about: about(options.kinds, &step.kind),
                facts: step_facts(subject, step),
                body: writer.undo(step),
            });
            let steps: Vec<_> = steps.collect();
            if !steps.is_empty() {
                phases.push(Phase { numbered: numbered(subject, number), steps });
            }
        }
        Self::with(subject, options, true, phases)
    }

    fn with(
        subject: Subject<'a>,
        options: &'a Options,
        undo: bool,
        phases: Vec<Phase<'a>>,
    ) -> Self {
        let databases = databases(subject).into_iter().map(|database| Database {
            name: database.name.map(|name| line(&name)),
            url: line(&database.url),
            ..database
        });
        Self {
            plan: subject.plan,
            path: line(subject.path),
            undo,
            databases: databases.collect(),
            session: &options.session,
            phases,
        }
    }
}

fn has_undo(member: &Member) -> bool {
    member.undo != Undo::Nothing
}

/// Lays out steps; a value has the same variable wherever it stands.
struct Writer<'a> {
    guard: &'a Guard,
    variables: Variables,
}

impl Writer<'_> {
    fn run(&mut self, step: &StepNode) -> String {
        let sent = sent(step);
        let close = || ledger_rows(&self.guard.close, step);
        let (open, close) = (self.guard.open.clone(), close());
        let mut lines = Lines::default();
        self.add(&mut lines, step, &sent, (&open, &close));
        if lines.0.is_empty() {
            return "-- sends no statement of its own".to_owned();
        }
        lines.0.join("\n")
    }

    /// What is sent alone goes first, as in a run.
    fn undo(&mut self, step: &StepNode) -> String {
        let mut lines = Lines::default();
        let mut sent = Vec::new();
        for member in step.members.iter().rev() {
            match &member.undo {
                Undo::Nothing => {}
                Undo::Irreversible(why) => {
                    lines.add_comment(&format!("{} cannot be taken back: {why}", step.id));
                }
                Undo::Statements(statements) => sent.extend(
                    statements.iter().map(|statement| Sent { member: Some(member), statement }),
                ),
            }
        }
        sent.sort_by_key(|sent| sent.statement.transaction == Transaction::Guarded);
        let forget = self.guard.forget.replace("'‹step›'", &quote_literal(&step.id.0));
        let close = [forget, "commit".to_owned()];
        let open = self.guard.open.clone();
        self.add(&mut lines, step, &sent, (&open, &close));
        lines.0.join("\n")
    }

    fn add(
        &mut self,
        lines: &mut Lines,
        step: &StepNode,
        sent: &[Sent<'_>],
        (open, close): (&[String], &[String]),
    ) {
        let bounds = guarded(sent);
        let (mut way, mut key) = (None, None);
        for (at, one) in sent.iter().enumerate() {
            let next = Way::of(one.statement);
            if way.replace(next) != Some(next) {
                lines.add_heading(&next.told());
            }
            if bounds.is_some_and(|(first, _)| at == first) {
                lines.add_ledger(open);
            }
            let member = one.member.filter(|_| step.is_bundle()).map(|member| &member.key);
            if member.is_some() && key != member {
                lines.add_comment(member.map_or("", |key| key));
            }
            key = member;
            self.add_statement(lines, step, one);
            if bounds.is_some_and(|(_, last)| at == last) {
                lines.add_ledger(close);
            }
        }
    }

    fn add_statement(&mut self, lines: &mut Lines, step: &StepNode, sent: &Sent<'_>) {
        let Sent { member, statement } = *sent;
        let mut open: Vec<(String, String)> = Vec::new();
        let text = psql::write(&statement.text, |piece| {
            let name = self.variables.name(step, member, piece);
            open.push(match piece {
                Piece::RunName { prefix } => {
                    (format!("{prefix}_{name}"), format!("{prefix}_‹run›"))
                }
                Piece::Sql(_) | Piece::Output { .. } | Piece::Secret { .. } => {
                    (name.clone(), piece.shown())
                }
            });
            name
        });
        let Some(text) = text else {
            let why = "as a comment: a value is open in a place that no variable can take";
            return lines.add_unwritten(why, statement);
        };
        if visible(&text) != text {
            let why = "as a comment: it holds characters that would not be shown as they are; it \
                       is exact in --format json";
            return lines.add_unwritten(why, statement);
        }
        open.dedup();
        for (name, value) in open {
            if text.contains(&format!(":'{name}'")) || !value.ends_with("_‹run›") {
                lines.add_comment(&format!(":{name} is {value}"));
            }
        }
        lines.add_statement(&text);
        if reads_rows(&text) {
            lines.add_comment("the rows that the source sends, and then:");
            lines.0.push("\\.".to_owned());
        }
    }
}

/// Closes a guarded transaction: a row for each member of the step.
fn ledger_rows(close: &[String], step: &StepNode) -> Vec<String> {
    let id = quote_literal(&step.id.0);
    let filled = |statement: &String| {
        let Some((head, row)) = statement.split_once(" values ") else { return statement.clone() };
        let row = row.replace("'‹step›'", &id);
        let row = |member: &Member| row.replace("'‹member›'", &quote_literal(&member.key));
        let rows: Vec<String> = step.members.iter().map(row).collect();
        format!("{head} values\n  {}", rows.join(",\n  "))
    };
    close.iter().map(filled).collect()
}

/// psql would take what stands below such a statement for rows.
fn reads_rows(text: &str) -> bool {
    let text = text.trim_start().to_lowercase();
    text.starts_with("copy ") && text.contains(" from stdin")
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    /// Says where the statements below it go.
    fn add_heading(&mut self, told: &str) {
        if !self.0.is_empty() {
            self.0.push(String::new());
        }
        self.0.push(format!("-- >>> On {told}:"));
    }

    /// One line, whatever it holds: nothing of it may leave the comment.
    fn add_comment(&mut self, text: &str) {
        self.0.push(format!("-- {}", line(text)));
    }

    fn add_statement(&mut self, text: &str) {
        let last = text.rsplit('\n').next().unwrap_or(text);
        let end = if last.contains("--") { "\n;" } else { ";" };
        self.0.push(format!("{text}{end}"));
    }

    fn add_ledger(&mut self, statements: &[String]) {
        for statement in statements {
            let filled = statement
                .replace("'‹run id›'", ":'run_id'")
                .replace("‹run›", ":run")
                .replace("‹epoch›", ":epoch")
                .replace("‹attempt›", ":attempt")
                .replace("‹rows›", ":rows");
            self.add_statement(&filled);
        }
    }

    /// A statement that cannot be written so that it is exact and harmless at once.
    fn add_unwritten(&mut self, why: &str, statement: &Statement) {
        self.add_comment(&format!("{why}:"));
        for line in visible(&statement.shown()).split('\n') {
            self.0.push(format!("--   {line}"));
        }
    }
}
