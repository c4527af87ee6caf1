//! Tests against real servers. Each starts its own throw-away clusters.

mod harness;
mod sweep;

mod conformance;
mod full_load;
mod kills;
mod refusals;
mod resume;
