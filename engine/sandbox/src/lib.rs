//! Throw-away clusters made from the PostgreSQL that is installed, and the data for them.
//!
//! Serves `sandbox`, `demo` and the tests. Knows nothing of plans but the one that it writes for its own
//! servers. Its calls block: starting a cluster takes seconds, and nothing else waits for it.

mod account;
mod cluster;
pub mod dvd_rental;
mod error;
mod folder;
mod installation;
mod replica;
mod sandbox;
mod signal;
mod statement_log;

pub use cluster::{Cluster, StopMode};
pub use error::SandboxError;
pub use installation::Installation;
pub use sandbox::{Durability, Options, Replica, Sandbox, StatementLog, Temporary};
pub use statement_log::LoggedStatement;
