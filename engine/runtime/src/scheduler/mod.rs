//! Decides what runs next: a state machine without a clock and without I/O.
//!
//! `Scheduler::next` takes what happened and returns what to do. Barriers are completed inside it.

mod build;
mod dispatch;
mod node;
mod pools;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{CloseStatus, StepId};

use node::{Node, Place, Rank};
pub(crate) use pools::Limits;
use pools::{Demand, Pools};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// The run begins.
    Opened,
    Succeeded(StepId),
    Failed {
        step: StepId,
        retry: bool,
    },
    /// The pause before another attempt is over.
    RetryDue(StepId),
    ServiceReady {
        step: StepId,
        attempt: u32,
    },
    /// A service ended because it was told to, for good.
    ServiceStopped(StepId),
    /// A service ended because the run ends; the next run starts it again.
    ServiceReleased(StepId),
    /// Somebody asked to start nothing new.
    Finish,
    Limits(Limits),
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Start {
        step: StepId,
        attempt: u32,
        /// Whether the effect may hold already.
        probe: bool,
    },
    /// Ends a service for good: recorded.
    StopService(StepId),
    /// Ends a service with the run: not recorded.
    ReleaseService(StepId),
    /// Nothing is left to do, and nothing runs.
    Close(CloseStatus),
}

pub(crate) struct Scheduler {
    nodes: Vec<Node>,
    index: BTreeMap<StepId, usize>,
    /// Steps that wait for room, by what they take: there are few different demands.
    ready: BTreeMap<Demand, BTreeSet<Rank>>,
    pools: Pools,
    /// Nothing new starts.
    finishing: bool,
    /// A step failed for good, or was never reached because of one.
    failed: bool,
    closed: bool,
    actions: Vec<Action>,
}

impl Scheduler {
    /// Takes what happened; returns what to do, in this order.
    pub(crate) fn next(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Opened => {}
            Input::Succeeded(step) => self.on(&step, Self::succeeded),
            Input::Failed { step, retry } => {
                self.on(&step, |scheduler, at| scheduler.attempt_failed(at, retry));
            }
            Input::RetryDue(step) => self.on(&step, Self::retry_due),
            Input::ServiceReady { step, attempt } => {
                self.on(&step, |scheduler, at| scheduler.service_ready(at, attempt));
            }
            Input::ServiceStopped(step) => self.on(&step, Self::service_stopped),
            Input::ServiceReleased(step) => self.on(&step, Self::service_released),
            Input::Finish => self.finishing = true,
            Input::Limits(limits) => self.pools.set(limits),
        }
        self.dispatch();
        std::mem::take(&mut self.actions)
    }

    /// Whether another attempt at a failed step can help: nothing is stopping, and no need is lost.
    pub(crate) fn may_retry(&self, step: &StepId) -> bool {
        !self.finishing && self.index.get(step).is_some_and(|&at| !self.has_dead_need(at))
    }

    /// Steps that never ran, each with the failed step that it is because of, in graph order.
    pub(crate) fn abandoned(&self) -> Vec<(StepId, StepId)> {
        let pair = |node: &Node| {
            let Place::Abandoned { because } = node.place else { return None };
            node.task.as_ref()?;
            Some((node.id.clone(), self.nodes[because].id.clone()))
        };
        self.nodes.iter().filter_map(pair).collect()
    }

    /// Whether everything within reach is done.
    pub(crate) fn is_done_for_now(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| matches!(node.place, Place::Done | Place::OutOfReach) || node.is_service())
    }

    /// Services that run now.
    pub(crate) fn services(&self) -> impl Iterator<Item = &StepId> {
        self.nodes.iter().filter(|node| node.is_service() && node.is_active()).map(|node| &node.id)
    }

    fn on(&mut self, step: &StepId, act: impl FnOnce(&mut Self, usize)) {
        if let Some(&at) = self.index.get(step) {
            act(self, at);
        }
    }
}

#[cfg(test)]
mod tests;
