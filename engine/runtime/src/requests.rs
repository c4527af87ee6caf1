//! Turns what other commands asked for into records.

use pgkedge_model::{LimitChange, Record, StepId, StepState};
use serde_json::Value;

use crate::context::{APPROVED_BY, Context};
use crate::{JournalError, Request};

/// Answers what can be answered now. Returns the limits if they have changed.
pub(crate) async fn take(context: &Context) -> Result<Option<LimitChange>, JournalError> {
    let mut limits = None;
    for pending in context.journal.requests().await? {
        match pending.request {
            Some(Request::Approve { step, by }) => approve(context, pending.id, step, by).await?,
            Some(Request::SetLimits { limits: change }) => {
                let record = Record::LimitsChanged { limits: change };
                context.journal.answer(record, Some(pending.id)).await?;
                limits = Some(context.journal.checkpoint().limits);
            }
            None => context.journal.dismiss(pending.id)?,
        }
    }
    Ok(limits)
}

/// An approval that comes early waits in its table until the step runs.
async fn approve(
    context: &Context,
    request: i64,
    step: StepId,
    by: String,
) -> Result<(), JournalError> {
    let state = context.journal.checkpoint().state(&step).clone();
    match state {
        StepState::Running { .. } | StepState::Ready { .. } => {}
        StepState::Pending | StepState::Failed { .. } | StepState::Undone
            if context.header.graph.step(&step).is_some() =>
        {
            return Ok(());
        }
        StepState::Pending
        | StepState::Failed { .. }
        | StepState::Undone
        | StepState::Succeeded { .. } => return context.journal.dismiss(request),
    }
    let (key, value) = (APPROVED_BY.to_owned(), Value::String(by.clone()));
    let record = Record::Noted { step: step.clone(), key, value };
    match context.journal.answer(record, Some(request)).await {
        Ok(_) => context.approvals.grant(step, by),
        // The step ended in the meantime; the next look settles the request.
        Err(JournalError::Illegal(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
