//! Runs a graph of steps: scheduler, retry, stop and journal.
//!
//! Knows no step kind, no SQL of PostgreSQL and no plan: everything that it does to the world it
//! does through `Performer` and `Fence`.

mod attempt;
mod context;
mod failpoint;
mod journal;
mod open;
mod report;
mod reporter;
mod requests;
mod retry;
mod run;
mod scheduler;
mod scope;
mod stop;
mod take_back;
mod undo;
mod window;

#[cfg(test)]
mod tests;

#[cfg(debug_assertions)]
pub use failpoint::arm_failpoint;
pub use journal::{Journal, JournalError, JournalReader, Request};
pub use report::{RunError, RunOptions, RunReport, TakenBack, UndoReport};
pub use retry::RetryPolicy;
pub use run::run;
pub use stop::{StopSignal, StopStage};
pub use undo::{UndoScope, redo, undo};
