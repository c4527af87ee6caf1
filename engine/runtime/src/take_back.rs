//! Takes steps back: the last one first, again and again while that may help.

use std::sync::Arc;

use pgkedge_model::{Event, Failure, FailureClass, Ident, Leaves, Probe, Record, StepId, StepNode};

use crate::RunError;
use crate::attempt::caught;
use crate::context::Context;
use crate::failpoint::Point;
use crate::reporter::StepReporter;
use crate::window::{Window, is_irreversible};

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    /// In the order in which it was done.
    pub(crate) undone: Vec<StepId>,
    /// What could not be taken back.
    pub(crate) left: Vec<(StepId, Failure)>,
}

/// Takes back every one of the steps that may hold; they stand in graph order.
///
/// A failure does not keep the others: the source must not stay closed because the target is gone.
/// What failed is tried again after all others, for it may have failed because of one of them.
pub(crate) async fn take_back(
    context: &Arc<Context>,
    steps: &[Arc<StepNode>],
) -> Result<Taken, RunError> {
    let mut taken = Taken::default();
    let may_hold = |node: &&Arc<StepNode>| context.journal.checkpoint().state(&node.id).may_hold();
    let mut open: Vec<&Arc<StepNode>> = steps.iter().rev().filter(may_hold).collect();
    for round in 1.. {
        let mut failures = Vec::new();
        for node in open {
            match undo(context, node).await {
                Ok(()) => {
                    context.append(Record::StepUndone { step: node.id.clone() }).await?;
                    taken.undone.push(node.id.clone());
                }
                Err(failure) if failure.class == FailureClass::Fenced => {
                    return Err(RunError::Fenced(failure));
                }
                Err(failure) => failures.push((node, failure)),
            }
        }
        let pauses = failures
            .iter()
            .filter_map(|(node, failure)| context.retry.pause(&node.id, failure, round));
        let Some(pause) = pauses.min() else {
            let left = failures.into_iter().map(|(node, failure)| (node.id.clone(), failure));
            taken.left.extend(left);
            break;
        };
        for (node, failure) in &failures {
            say(context, &node.id, format!("cannot be taken back yet: {failure}"));
        }
        tokio::time::sleep(pause).await;
        open = failures.into_iter().map(|(node, _)| node).collect();
    }
    Ok(taken)
}

async fn undo(context: &Arc<Context>, node: &Arc<StepNode>) -> Result<(), Failure> {
    // What a service holds goes with its session, and who asks has made sure that nothing holds of
    // a step which cannot be taken back.
    if node.leaves == Leaves::Nothing || node.service || is_irreversible(node) {
        return Ok(());
    }
    Point::BeforeUndo.reach(&node.kind);
    undo_once(context, node).await?;
    Point::AfterUndo.reach(&node.kind);
    Ok(())
}

/// One try at taking the effect of a step back.
pub(crate) async fn undo_once(context: &Arc<Context>, node: &Arc<StepNode>) -> Result<(), Failure> {
    let attempt = context.journal.checkpoint().state(&node.id).next_attempt() - 1;
    let reporter = StepReporter::new(Arc::clone(context), node.id.clone(), attempt, None);
    let call = context.call(node, attempt, Arc::new(reporter));
    caught(&node.id, async || context.performer.undo(call).await).await
}

/// Takes scopes back whose load starts over; each begins its next generation when nothing of it is
/// left.
pub(crate) async fn void(
    context: &Arc<Context>,
    steps: &[Arc<StepNode>],
    scopes: impl IntoIterator<Item = Ident>,
) -> Result<Taken, RunError> {
    let taken = take_back(context, steps).await?;
    for group in scopes {
        let is_left = steps
            .iter()
            .filter(|node| node.scope.as_ref() == Some(&group))
            .any(|node| taken.left.iter().any(|(step, _)| *step == node.id));
        if !is_left {
            let generation = context.journal.checkpoint().generation(Some(&group)) + 1;
            context.append(Record::GroupVoided { group, generation }).await?;
        }
    }
    Ok(taken)
}

/// Why nobody can say whether a window can be taken back.
pub(crate) enum Doubt {
    Step(StepId, Failure),
    Broken(RunError),
}

/// Whether a window is past the point of no return: where the journal does not know it, the world is
/// asked, and what it says is recorded.
pub(crate) async fn is_beyond(context: &Arc<Context>, window: &Window) -> Result<bool, Doubt> {
    let doubtful = {
        let checkpoint = context.journal.checkpoint();
        if window.point_of_no_return(&checkpoint).is_some() {
            return Ok(true);
        }
        window.doubtful(&checkpoint)
    };
    let mut beyond = false;
    for node in doubtful {
        beyond |= holds(context, &node).await?;
    }
    Ok(beyond)
}

/// Asks until the world knows.
async fn holds(context: &Arc<Context>, node: &Arc<StepNode>) -> Result<bool, Doubt> {
    let attempt = context.journal.checkpoint().state(&node.id).next_attempt();
    for round in 1.. {
        let reporter = StepReporter::new(Arc::clone(context), node.id.clone(), attempt, None);
        let call = context.call(node, attempt, Arc::new(reporter));
        let found = caught(&node.id, async || context.performer.probe(call).await).await;
        let (reason, pause) = match found {
            Ok(Probe::Applied(output)) => {
                let step = node.id.clone();
                let records = [
                    Record::StepStarted { step: step.clone(), attempt },
                    Record::StepSucceeded { step, attempt, output, adopted: true },
                ];
                for record in records {
                    context.append(record).await.map_err(|error| Doubt::Broken(error.into()))?;
                }
                return Ok(true);
            }
            // Half of what cannot be taken back cannot be taken back either.
            Ok(Probe::Partial) => return Ok(true),
            Ok(Probe::Absent) => return Ok(false),
            Ok(Probe::Foreign(what)) => {
                let failure = Failure::new(FailureClass::Blocked, what);
                return Err(Doubt::Step(node.id.clone(), failure));
            }
            Ok(Probe::InProgress(reason)) => (reason, context.retry.backoff(&node.id, round)),
            Err(failure) => match context.retry.pause(&node.id, &failure, round) {
                Some(pause) => (failure.to_string(), pause),
                None => return Err(Doubt::Step(node.id.clone(), failure)),
            },
        };
        say(context, &node.id, reason);
        tokio::time::sleep(pause).await;
    }
    Ok(false)
}

fn say(context: &Context, step: &StepId, reason: String) {
    context.journal.publish(&Event::Waiting { step: step.clone(), reason });
}
