//! Lays out a step's statements: each as it is sent, after the server that it goes to.

use pgkedge_model::{Member, Session, Statement, StepNode, Transaction};

use super::shown::{line, visible};

/// Members of a bundle that the brief form shows.
const BRIEF: usize = 3;
const INDENT: &str = "    ";

/// One block of text, without a final line break.
pub(super) fn body(step: &StepNode, brief: bool) -> String {
    let mut lines = Vec::new();
    add_all(&mut lines, &step.before);
    let shown = if brief { BRIEF } else { usize::MAX };
    for member in step.members.iter().take(shown) {
        add_member(&mut lines, step, member);
    }
    if step.members.len() > shown {
        lines.push(format!("{INDENT}… and {} members more", step.members.len() - shown));
    }
    add_all(&mut lines, &step.after);
    if lines.is_empty() {
        lines.push(format!("{INDENT}sends no statement of its own"));
    }
    lines.join("\n")
}

fn add_member(lines: &mut Vec<String>, step: &StepNode, member: &Member) {
    if step.is_bundle() {
        lines.push(format!("{INDENT}-- {}", line(&member.key)));
    }
    add_all(lines, &member.run);
}

fn add_all(lines: &mut Vec<String>, statements: &[Statement]) {
    for statement in statements {
        let bar = match (statement.transaction, statement.session) {
            (Transaction::Guarded, _) => '│',
            (Transaction::Alone, Session::Replication) => '»',
            (Transaction::Alone, Session::Sql | Session::Wire) => ' ',
        };
        let text = visible(&statement.shown());
        for (number, row) in text.split('\n').enumerate() {
            let server = if number == 0 { statement.on.to_string() } else { String::new() };
            lines.push(format!("{INDENT}{server:<7} {bar} {row}").trim_end().to_owned());
        }
    }
}
