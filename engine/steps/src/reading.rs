//! As of when a step reads: in the held snapshot, on the paused replica, or in the present.

use pgkedge_model::{
    Call, Expansion, Facts, Failure, Object, Server, Session, Slot, Statement, Touch, Transaction,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::guarded::Carrier;
use crate::{replica, script};

/// Where the rows of a load come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LoadFrom {
    /// The source, in the snapshot that a service holds.
    #[default]
    Source,
    /// The replica, whose replay is paused at the hand-off LSN.
    Replica,
}

/// What a transaction that reads shall see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading<'a> {
    /// The held snapshot of the source.
    Snapshot,
    /// The paused replica, at the hand-off LSN of this slot or of all.
    Paused(Option<&'a Slot>),
    /// The source as it is when the transaction begins.
    Present,
}

impl Reading<'_> {
    pub(crate) fn server(self) -> Server {
        match self {
            Self::Snapshot | Self::Present => Server::Source,
            Self::Paused(_) => Server::Replica,
        }
    }

    /// What opens the transaction.
    pub(crate) fn before(self, facts: &Facts, session: Session) -> Vec<Statement> {
        let begin = "begin transaction isolation level repeatable read read only";
        let mut statements = vec![self.statement(session, begin)];
        match self {
            // Each transaction has its own snapshot, and all are the same while replay stands still;
            // one exported in recovery may be wrong.
            Self::Paused(slot) => statements.push(replica::proof(facts, session, slot)),
            Self::Snapshot => statements.push(Statement {
                on: Server::Source,
                session,
                transaction: Transaction::Alone,
                text: script::snapshot_import(),
            }),
            Self::Present => {}
        }
        statements
    }

    /// What closes it, once everything was read.
    pub(crate) fn after(self, facts: &Facts, session: Session) -> Vec<Statement> {
        let mut statements = Vec::new();
        if let Self::Paused(slot) = self {
            statements.push(replica::proof(facts, session, slot));
        }
        statements.push(self.statement(session, "commit"));
        statements
    }

    /// What it waits for. `slot` carries the changes of what is read.
    pub(crate) fn touches(self, slot: Option<&Slot>) -> Vec<Touch> {
        let mut objects = match self {
            Self::Snapshot => vec![Object::new("snapshot", Server::Source)],
            Self::Paused(_) => {
                vec![Object::new("replay", Server::Replica), Object::new("hand_off", "lsn")]
            }
            Self::Present => return Vec::new(),
        };
        objects.extend(slot.map(|slot| Object::new("slot_hand_off", slot.name.as_str())));
        objects.into_iter().map(Touch::read).collect()
    }

    fn statement(self, session: Session, sql: &str) -> Statement {
        Statement::new(self.server(), session, Transaction::Alone, sql)
    }
}

/// The slot that carries the changes of a table.
pub(crate) fn slot_of<'a>(
    expansion: &Expansion<'a>,
    table: &pgkedge_model::QualifiedName,
) -> Option<&'a Slot> {
    expansion.capture.slot_of(table, expansion.selection)
}

/// Proves, within the open transaction, that what is read has not changed.
pub(crate) async fn prove<C: Carrier>(
    context: &StepContext,
    call: &Call,
    session: &mut C,
) -> Result<(), Failure> {
    let Some((_, proofs)) = call.node.after.split_last() else { return Ok(()) };
    send(context, call, session, proofs).await
}

/// Sends statements of `before` or `after`. Every row that the replica answers with is its state,
/// which must be what was noted.
pub(crate) async fn send<C: Carrier>(
    context: &StepContext,
    call: &Call,
    session: &mut C,
    statements: &[Statement],
) -> Result<(), Failure> {
    let observed = Observed::default();
    let fill = Fill { call, tag: context.tag(), observed: &observed };
    for statement in statements {
        let text = fill.text("", statement)?;
        let rows = session.rows(&text).await.map_err(|failure| match statement.on {
            Server::Source => script::snapshot_gone(failure, statement),
            Server::Replica | Server::Target => script::explained(failure, "", statement),
        })?;
        if statement.on == Server::Replica {
            rows.iter().try_for_each(replica::prove)?;
        }
    }
    Ok(())
}
