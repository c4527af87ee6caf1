//! The values that statements leave open, which only a run knows.

use std::collections::BTreeMap;

use pgkedge_model::{Member, OutputOf, Piece, StepNode};
use serde::Serialize;

use super::Subject;
use super::shown::{code_cell, line};

const RUN: &str = "eight hex digits that name the run, and all that it creates";
const SECRET: &str = "a secret, which the step looks up itself and no document holds";
const ITSELF: &str = "what the step looks up, or makes, just before it sends the statement; where \
                      the name begins with `each`, the statement is sent for every one of them";

/// A value as the runbook explains it, in Markdown.
#[derive(Serialize)]
pub(super) struct Value {
    name: String,
    from: String,
    /// Declared steps, by phase.
    used_by: String,
}

/// All values, by name.
pub(super) fn values(subject: Subject<'_>) -> Vec<Value> {
    let mut used: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for step in subject.graph.steps() {
        let user = code_cell(&format!("{}/{}", step.phase, step.step));
        for piece in step.statements().flat_map(|statement| &statement.text) {
            let Some(value) = value(subject, piece) else { continue };
            let users = used.entry(value).or_default();
            if !users.contains(&user) {
                users.push(user.clone());
            }
        }
    }
    let told = |((name, from), users): (_, Vec<String>)| {
        let used_by = users.join(", ");
        Value { name, from, used_by }
    };
    used.into_iter().map(told).collect()
}

/// The name of a value, and where it comes from.
fn value(subject: Subject<'_>, piece: &Piece) -> Option<(String, String)> {
    let (name, from) = match piece {
        Piece::Sql(_) => return None,
        Piece::RunName { .. } => ("run".to_owned(), RUN.to_owned()),
        Piece::Secret { what } => (what.clone(), SECRET.to_owned()),
        Piece::Output { of: OutputOf::Itself, field, .. } => (field.clone(), ITSELF.to_owned()),
        Piece::Output { of: OutputOf::Step(of), field, .. } => {
            let kind = subject.graph.step(of).map_or("", |step| step.kind.as_str());
            let (step, kind, output) = (code_cell(&of.0), code_cell(kind), code_cell(field));
            (format!("{of}.{field}"), format!("what {step} ({kind}) gives as its {output}"))
        }
        Piece::Output { of: OutputOf::Writer(object), field, .. } => {
            let from = format!("what the step that writes {} gives", code_cell(&object.0));
            (format!("{object}.{field}"), from)
        }
    };
    Some((code_cell(&format!("‹{name}›")), from))
}

/// The variables of psql that stand for values: one name for each, and each value its own name.
#[derive(Default)]
pub(super) struct Variables {
    /// By what it stands for.
    names: BTreeMap<String, String>,
    taken: BTreeMap<String, usize>,
}

impl Variables {
    /// The variable of a value that a step's statement leaves open.
    pub(super) fn name(
        &mut self,
        step: &StepNode,
        member: Option<&Member>,
        piece: &Piece,
    ) -> String {
        let (identity, wish) = match piece {
            Piece::Sql(_) => return String::new(),
            Piece::RunName { .. } => return "run".to_owned(),
            Piece::Output { of: OutputOf::Step(of), field, .. } => {
                let name = format!("{of}.{field}");
                (name.clone(), name)
            }
            Piece::Output { of: OutputOf::Writer(object), field, .. } => {
                let name = format!("{object}.{field}");
                (name.clone(), name)
            }
            Piece::Output { of: OutputOf::Itself, field, .. } => own(step, member, field),
            Piece::Secret { what } => own(step, member, what),
        };
        if let Some(name) = self.names.get(&identity) {
            return name.clone();
        }
        let wish = variable(&wish);
        let count = self.taken.entry(wish.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { wish } else { format!("{wish}_{count}") };
        self.names.insert(identity, name.clone());
        name
    }
}

/// A value that belongs to one member of one step.
fn own(step: &StepNode, member: Option<&Member>, field: &str) -> (String, String) {
    let key = member.filter(|_| step.is_bundle()).map_or("", |member| member.key.as_str());
    let name = format!("{}/{key}/{field}", step.id);
    (format!("{name}\0itself"), name)
}

/// Letters, digits and underscores: what psql takes for a variable.
fn variable(text: &str) -> String {
    let mut name = String::new();
    for char in line(text).chars() {
        let fits = char.is_ascii_alphanumeric();
        match (fits, name.ends_with('_')) {
            (true, _) => name.push(char),
            (false, false) if !name.is_empty() => name.push('_'),
            (false, _) => {}
        }
    }
    name.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_that_psql_takes() {
        assert_eq!(variable("load/snapshot.id"), "load_snapshot_id");
        assert_eq!(variable("/\"we ird\"/x"), "we_ird_x");
    }
}
