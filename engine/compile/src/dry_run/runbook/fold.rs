//! Folds alike pieces of work: of many only the first is written out, and the others are named.

use std::collections::BTreeMap;

use pgkedge_model::{Member, Server, Session, Statement, StepNode, Transaction};

use super::super::script::label;

/// So many pieces of work are written out whatever they are.
const FEW: usize = 3;

/// What a person does in one go: one member, with what its step sends before and after.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) step: &'a StepNode,
    pub(super) member: &'a Member,
}

impl<'a> Work<'a> {
    pub(super) fn of(steps: &[&'a StepNode]) -> Vec<Self> {
        let all = steps.iter().flat_map(|step| step.members.iter().map(|member| (*step, member)));
        all.map(|(step, member)| Self { step, member }).collect()
    }

    pub(super) fn label(self) -> &'a str {
        label(self.step, self.member)
    }

    pub(super) fn has_statements(self) -> bool {
        self.statements().next().is_some()
    }

    fn statements(self) -> impl Iterator<Item = &'a Statement> {
        self.step.before.iter().chain(&self.member.run).chain(&self.step.after)
    }
}

/// Alike pieces of work, never empty: the first stands for all.
pub(super) type Alike<'a> = Vec<Work<'a>>;

/// In the order in which their first ones come.
pub(super) fn fold(all: Vec<Work<'_>>) -> Vec<Alike<'_>> {
    if all.len() <= FEW {
        return all.into_iter().map(|work| vec![work]).collect();
    }
    let mut places: BTreeMap<Shape, usize> = BTreeMap::new();
    let mut folded: Vec<Alike<'_>> = Vec::new();
    for work in all {
        let place = *places.entry(shape(work)).or_insert(folded.len());
        match folded.get_mut(place) {
            Some(alike) => alike.push(work),
            None => folded.push(vec![work]),
        }
    }
    folded
}

/// What is alike of alike pieces of work: where each statement goes, and how it begins.
type Shape = Vec<(Server, bool, bool, String)>;

fn shape(work: Work<'_>) -> Shape {
    let of = |statement: &Statement| {
        let guarded = statement.transaction == Transaction::Guarded;
        let replication = statement.session == Session::Replication;
        (statement.on, guarded, replication, beginning(&statement.shown()))
    };
    let mut shape: Shape = work.statements().map(of).collect();
    // A table with five grants is like one with two.
    shape.dedup();
    shape
}

/// The words of a statement that say what it does, as far as they cannot be names.
fn beginning(text: &str) -> String {
    const BEFORE_A_WORD: [&str; 7] =
        ["alter", "comment", "create", "drop", "lock", "refresh", "set"];
    const CHANGES: [&str; 8] =
        ["add", "alter", "attach", "enable", "owned", "owner", "replica", "validate"];
    let text = text.to_lowercase();
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let second = words.next().filter(|_| BEFORE_A_WORD.contains(&first));
    let change = words.find(|word| CHANGES.contains(word)).filter(|_| first == "alter");
    let all = [Some(first), second, change];
    all.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_begins_with_its_keywords_and_not_with_a_name() {
        for (text, start) in [
            ("CREATE  TABLE public.a (b int)", "create table"),
            ("grant app to bob", "grant"),
            ("analyze a", "analyze"),
            ("begin", "begin"),
            ("alter table only a attach partition b", "alter table attach"),
            ("COMMENT ON TABLE a IS 'b'", "comment on"),
        ] {
            assert_eq!(beginning(text), start);
        }
    }
}
