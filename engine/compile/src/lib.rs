//! A checked plan and the catalogs of its databases become a graph of steps.
//!
//! No I/O: the same plan and the same facts give the same graph, byte for byte. Knows no step kind
//! by itself; the kinds are handed in.

mod compile;
mod drawing;
pub mod dry_run;
mod edit;
mod passes;
mod rules;
#[cfg(test)]
mod testing;

pub use compile::{Compiled, compile};
pub use drawing::{dot, mermaid};
pub use edit::edit;
