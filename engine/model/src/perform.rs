//! The seam between the scheduler and the world: what `runtime` calls and `cli` injects.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::{Epoch, Failure, Progress, RunHeader, StepId, StepNode};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One attempt at one step.
#[derive(Clone)]
pub struct Call {
    pub node: Arc<StepNode>,
    /// 1 is the first.
    pub attempt: u32,
    /// How many times the load that the step belongs to has been started over; 0 at first.
    pub generation: u32,
    /// Outputs of the steps that this one waits for, by id.
    pub inputs: BTreeMap<StepId, Value>,
    /// What earlier attempts noted.
    pub notes: BTreeMap<String, Value>,
    pub reporter: Arc<dyn Reporter>,
}

/// What a running step tells the runtime, and asks it.
pub trait Reporter: Send + Sync {
    /// Makes a value durable before it is used.
    fn note(&self, key: &str, value: Value) -> BoxFuture<'_, Result<(), Failure>>;

    /// Says how far the step is. May be dropped.
    fn progress(&self, progress: Progress);

    /// Says what the step waits for.
    fn waiting(&self, reason: &str);

    /// A service holds from now on; durable when it returns.
    fn ready(&self, output: Value) -> BoxFuture<'_, Result<(), Failure>>;

    /// Returns when another step stops this service.
    fn stopped(&self) -> BoxFuture<'_, ()>;

    /// Returns who approved this step, once somebody has; nobody, if the run is to stop first.
    fn approved(&self) -> BoxFuture<'_, Option<String>>;
}

/// What the world says about a step's effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// It holds; this is the output that was lost.
    Applied(Value),
    /// It does not hold: run it.
    Absent,
    /// A part of it holds and was left by this run: run it, it takes care of that itself.
    Partial,
    /// A session of an earlier attempt still works on it: wait, and ask again.
    InProgress(String),
    /// Something is there that this run did not make: stop and say so.
    Foreign(String),
}

/// Does what steps say. Implemented over the step kinds; injected by `cli`.
pub trait Performer: Send + Sync {
    /// Makes the effect and returns the output. A service returns after it was stopped.
    fn perform(&self, call: Call) -> BoxFuture<'_, Result<Value, Failure>>;

    /// Asks whether the effect holds. Changes nothing. Called before every attempt but the first.
    fn probe(&self, call: Call) -> BoxFuture<'_, Result<Probe, Failure>>;

    /// Takes the effect back; fine if it does not hold.
    fn undo(&self, call: Call) -> BoxFuture<'_, Result<(), Failure>>;

    /// Cancels the queries of everything that runs; `perform` then fails as cancelled.
    fn cancel(&self);
}

/// Why a run could not be taken, or was lost.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FenceError {
    #[error("{holder} holds this run")]
    Held { holder: String },
    #[error("a newer runner has taken over this run")]
    Stale,
    #[error("{0}")]
    Failed(Failure),
}

/// Keeps all but one runner from a run.
pub trait Fence: Send + Sync {
    /// Takes the locks on the servers, then raises the epoch on the target (where the ledger is
    /// there already) and ends the sessions that earlier runners of this run have left.
    fn acquire<'a>(
        &'a self,
        run: &'a RunHeader,
        epoch: Epoch,
    ) -> BoxFuture<'a, Result<Box<dyn FenceGuard>, FenceError>>;
}

/// Holds a run. Dropping it lets go.
pub trait FenceGuard: Send + Sync {
    /// Returns only when the hold was lost, and says why.
    fn lost(&self) -> BoxFuture<'_, FenceError>;
}
