//! Runs a graph of steps: scheduler, retry, stop and journal.
//!
//! Knows no step kind, no SQL of PostgreSQL and no plan: everything that it does to the world it
//! does through `Performer` and `Fence`.

mod journal;

pub use journal::{Journal, JournalError, JournalReader, Request};
