//! What every attempt of one run shares.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use pgkedge_model::{
    Call, Failure, FailureClass, OutputOf, Performer, Piece, Record, Reporter, RunHeader,
    StampedRecord, Statement, StepId, StepNode, Undo,
};
use serde_json::Value;
use tokio::sync::Notify;

use crate::journal::{Appender, JournalError, locked};
use crate::{RetryPolicy, StopSignal};

/// The note that keeps an approval.
pub(crate) const APPROVED_BY: &str = "approved_by";

pub(crate) struct Context {
    pub(crate) header: Arc<RunHeader>,
    pub(crate) journal: Appender,
    pub(crate) performer: Arc<dyn Performer>,
    pub(crate) stop: StopSignal,
    pub(crate) retry: RetryPolicy,
    pub(crate) approvals: Approvals,
}

/// Who approved which step.
#[derive(Default)]
pub(crate) struct Approvals {
    granted: Mutex<BTreeMap<StepId, String>>,
    changed: Notify,
}

impl Approvals {
    pub(crate) fn grant(&self, step: StepId, by: String) {
        locked(&self.granted).insert(step, by);
        self.changed.notify_waiters();
    }

    /// Returns once somebody has approved the step.
    pub(crate) async fn of(&self, step: &StepId) -> String {
        loop {
            let changed = self.changed.notified();
            if let Some(by) = locked(&self.granted).get(step) {
                return by.clone();
            }
            changed.await;
        }
    }
}

impl Context {
    /// The same for another round: nobody has asked that one to stop. Approvals are noted.
    pub(crate) fn anew(&self) -> Self {
        Self {
            header: Arc::clone(&self.header),
            journal: self.journal.clone(),
            performer: Arc::clone(&self.performer),
            stop: StopSignal::new(),
            retry: self.retry.clone(),
            approvals: Approvals::default(),
        }
    }

    pub(crate) async fn append(&self, record: Record) -> Result<StampedRecord, JournalError> {
        self.journal.append(record).await
    }

    /// One attempt at a step, with what the journal knows for it now.
    pub(crate) fn call(
        &self,
        node: &Arc<StepNode>,
        attempt: u32,
        reporter: Arc<dyn Reporter>,
    ) -> Call {
        let checkpoint = self.journal.checkpoint();
        let mut needs: BTreeSet<&StepId> = self.header.graph.needs(&node.id).collect();
        needs.extend(named_steps(node));
        let inputs = needs
            .into_iter()
            .filter_map(|need| Some((need.clone(), checkpoint.state(need).output()?.clone())))
            .collect::<BTreeMap<StepId, Value>>();
        let notes = checkpoint.notes.get(&node.id).cloned().unwrap_or_default();
        let generation = checkpoint.generation(node.scope.as_ref());
        Call { node: Arc::clone(node), attempt, generation, inputs, notes, reporter }
    }

    pub(crate) fn cancelled(step: &StepId) -> Failure {
        Failure::new(FailureClass::Cancelled, format!("`{step}` was cancelled"))
            .help("go on with `pgkedge resume`")
    }
}

/// The steps whose outputs a step's statements name.
fn named_steps(node: &StepNode) -> impl Iterator<Item = &StepId> {
    let undo = node.members.iter().flat_map(|member| match &member.undo {
        Undo::Statements(statements) => statements.as_slice(),
        Undo::Nothing | Undo::Irreversible(_) => &[],
    });
    node.statements().chain(undo).flat_map(|statement: &Statement| &statement.text).filter_map(
        |piece| match piece {
            Piece::Output { of: OutputOf::Step(step), .. } => Some(step),
            Piece::Output { of: OutputOf::Itself | OutputOf::Writer(_), .. }
            | Piece::Sql(_)
            | Piece::Secret { .. }
            | Piece::RunName { .. } => None,
        },
    )
}
