//! A step's statements in the order in which they are sent, with what each belongs to.

use pgkedge_model::{Member, Server, Session, Statement, StepNode, Transaction};

/// One statement, and the member that it is for; none at the ends of a step.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) member: Option<&'a Member>,
    pub(super) statement: &'a Statement,
}

/// The connection, and the transaction, that a statement shares with its neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) on: Server,
    pub(super) session: Session,
    pub(super) transaction: Transaction,
}

impl Way {
    pub(super) fn of(statement: &Statement) -> Self {
        Self { on: statement.on, session: statement.session, transaction: statement.transaction }
    }

    /// For a heading: goes on after `On` or the like.
    pub(super) fn told(self) -> String {
        let how = match (self.transaction, self.session) {
            (Transaction::Guarded, _) => ", in the step's transaction",
            (Transaction::Alone, Session::Replication) => ", over a replication connection",
            (Transaction::Alone, Session::Sql | Session::Wire) => "",
        };
        format!("the {}{how}", self.on)
    }
}

/// Everything that a step sends.
pub(super) fn sent(step: &StepNode) -> Vec<Sent<'_>> {
    let end = |statement| Sent { member: None, statement };
    let of_member = |member| move |statement| Sent { member: Some(member), statement };
    let before = step.before.iter().map(end);
    let run = step.members.iter().flat_map(|member| member.run.iter().map(of_member(member)));
    before.chain(run).chain(step.after.iter().map(end)).collect()
}

/// First and last place of the guarded transaction; it holds all that is sent in between.
pub(super) fn guarded(sent: &[Sent<'_>]) -> Option<(usize, usize)> {
    let is_guarded = |sent: &Sent<'_>| sent.statement.transaction == Transaction::Guarded;
    Some((sent.iter().position(is_guarded)?, sent.iter().rposition(is_guarded)?))
}

/// What stands for a member: its key, or the step where it has none.
pub(super) fn label<'a>(step: &'a StepNode, member: &'a Member) -> &'a str {
    if member.key.is_empty() { &step.step } else { &member.key }
}
