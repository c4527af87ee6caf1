//! The journal: an append-only log of one run in a folder of its own, kept by `SQLite`.
//!
//! It owns durability and integrity. What a record means is `model`'s business.

mod error;
mod folder;
mod handle;
mod reader;
mod request;
mod store;
mod writer;

pub use error::JournalError;
pub use handle::Journal;
pub use reader::JournalReader;
pub(crate) use request::PendingRequest;
pub use request::Request;
pub(crate) use writer::{Appender, locked};
