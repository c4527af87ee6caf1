//! Tests against real servers. Each starts its own throw-away clusters.

mod harness;

mod dry_run;
mod full_load;
mod refusals;
mod resume;
