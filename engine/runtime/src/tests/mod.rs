//! The crate against a world of its own making.

mod crash;
#[cfg(debug_assertions)]
mod failpoint;
pub(crate) mod graph;
mod journal;
mod requests;
mod retry;
mod service;
mod stop;
mod tail;
mod undo;
mod world;
