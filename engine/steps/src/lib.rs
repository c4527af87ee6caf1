//! The step kinds, and what performs them: one file per kind, one line in the list of kinds.
//!
//! Steps see their own parameters and typed inputs, never the graph. What a step sends is settled
//! when the plan is compiled: the script that the dry-run shows is the script that the run sends.

mod access;
mod archive;
mod clients;
mod comparing;
mod context;
mod copy_format;
mod drop;
mod fence;
mod fill;
mod gap;
mod guarded;
mod identities;
mod identity;
mod kinds;
mod large_objects;
mod partitions;
mod performer;
mod reading;
mod replica;
mod scan;
mod script;
mod sessions;
mod setting;
mod slots;
mod step;
mod streams;
#[cfg(test)]
mod testing;
mod uncertain;

pub use context::SharedEpoch;
pub use fence::{Claim, ServerFence};
pub use identity::same_database;
pub use kinds::kinds;
pub use kinds::preflight::{Beforehand, Question, Sessions, captured, findings as preflight};
pub use performer::StepPerformer;
pub use scan::{LedgerSeen, Leftover, LiveSessions, SlotSeen, remove, scan};
pub use sessions::SessionSeen;
