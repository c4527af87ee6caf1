//! Throw-away clusters made from the PostgreSQL that is installed, and the data for them.
//!
//! Serves `sandbox`, `demo` and the tests. Knows nothing of plans but the one that it writes for its own
//! servers. Its calls block: starting a cluster takes seconds, and nothing else waits for it.
//! The writers alone are asynchronous.

mod account;
mod application;
mod cluster;
pub mod dvd_rental;
mod error;
mod folder;
mod installation;
mod random;
mod replica;
mod sandbox;
mod signal;
mod statement_log;
mod writers;

pub use application::{APPLICATION_ROLE, Application, THREE_SLOTS, administrator};
pub use cluster::{Cluster, StopMode};
pub use error::SandboxError;
pub use installation::Installation;
pub use random::Random;
pub use sandbox::{Durability, Options, Replica, Sandbox, StatementLog, Temporary};
pub use statement_log::LoggedStatement;
pub use writers::{Gate, Number, Proof, Report, Workload, Writers};
