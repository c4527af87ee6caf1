//! The crate against a world of its own making.

mod crash;
#[cfg(debug_assertions)]
mod failpoint;
pub(crate) mod graph;
mod journal;
mod redo;
mod requests;
mod retry;
mod scope;
mod service;
mod stop;
mod tail;
mod undo;
mod window;
mod world;
