//! Opens sockets to PostgreSQL: connections, TLS, COPY relay, the ledger, the meaning of SQLSTATEs.
//!
//! Every session has its settings pinned, and nothing but this crate decides from a SQLSTATE
//! whether the same again may work.

mod archive;
mod cancel;
mod dump;
mod endpoint;
mod introspect;
pub mod ledger;
pub mod lexer;
mod libpq;
mod pins;
mod pool;
mod relay;
mod row;
mod session;
pub mod sqlstate;
mod tls;
mod transaction;
mod transport;
mod wire;

pub use archive::WITHHELD_OPTIONS;
pub use cancel::Canceller;
pub use dump::DumpEnvironment;
pub use endpoint::Endpoint;
pub use introspect::{introspect, introspect_facts, introspect_server};
pub use ledger::Ledger;
pub use libpq::Conninfo;
pub use pins::shown_pins;
pub use pool::{Pool, Pooled};
pub use relay::{Copied, relay};
pub use row::Row;
pub use session::Sql;
pub use wire::{ExportedSnapshot, Replication, Wire};
