//! From chosen tables to sealed graph: each pass does one thing, in the order in which they stand here.
//!
//! Drafts keep program order, that of the plan and of the catalog, until the graph is sealed. Edges
//! lead back in that order, but for one kind: what uses an object of the archive waits for the step
//! that creates it, wherever that is declared in the phase.

mod assemble;
mod capture;
mod chain;
mod digest;
mod edges;
mod exclude;
mod expand;
mod fold;
mod identify;
mod items;
mod scope;
mod seal;
mod select;
mod split;

pub(crate) use assemble::assemble;
pub(crate) use capture::capture;
pub(crate) use chain::{Unit, chain};
pub(crate) use edges::derive_edges;
pub(crate) use exclude::{exclude, views};
pub(crate) use expand::{expand, idle_services};
pub(crate) use fold::fold;
pub(crate) use seal::seal;
pub(crate) use select::{Chosen, select};
pub(crate) use split::{Parts, holds_rows, reads_ranges, split};

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod scope_tests;
#[cfg(test)]
mod tests;
