//! A node of the graph as the scheduler sees it.

use std::cmp::Reverse;

use pgkedge_model::StepId;

use super::pools::Demand;

pub(super) struct Node {
    pub(super) id: StepId,
    /// None for a barrier.
    pub(super) task: Option<Task>,
    pub(super) needs: Vec<usize>,
    pub(super) followers: Vec<usize>,
    /// How many needs do not hold now.
    pub(super) open: usize,
    pub(super) place: Place,
}

/// What makes a node a step.
pub(super) struct Task {
    pub(super) service: bool,
    pub(super) stops: Option<usize>,
    pub(super) demand: Demand,
    pub(super) cost: u64,
    pub(super) next_attempt: u32,
}

/// Where a node stands in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// For needs that do not hold yet.
    Waiting,
    /// For room: it is in the ready set.
    Ready,
    /// A stopper, for the end of its service.
    AwaitingStop,
    /// An attempt is under way. A service is here until it is ready.
    Running,
    /// A service that holds.
    Holding,
    /// A service that was told to end for good.
    Stopping,
    /// A service that was told to end with the run.
    Releasing,
    /// For the time of the next attempt.
    BackingOff,
    Done,
    Failed,
    Abandoned {
        because: usize,
    },
    /// In a phase after the one where this run ends.
    OutOfReach,
}

/// The order among ready steps: services first, for others wait for them; then the biggest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    ordinary: bool,
    cost: Reverse<u64>,
    pub(super) at: usize,
}

impl Rank {
    pub(super) fn new(at: usize, task: &Task) -> Self {
        Self { ordinary: !task.service, cost: Reverse(task.cost), at }
    }
}

impl Node {
    pub(super) fn is_service(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.service)
    }

    /// Whether what needs this node may go on.
    pub(super) fn holds(&self) -> bool {
        matches!(self.place, Place::Done | Place::Holding | Place::Stopping)
    }

    /// Whether it will never hold in this run.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.place, Place::Failed | Place::Abandoned { .. })
    }

    /// Whether an attempt at it is under way.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.place, Place::Running | Place::Holding | Place::Stopping | Place::Releasing)
    }
}
