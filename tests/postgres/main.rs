//! Tests against real servers. Each starts its own throw-away clusters.

mod background;
mod harness;
mod sweep;

mod boundaries;
mod conformance;
mod differences;
mod documents;
mod dry_run;
mod edits;
mod full_load;
mod generations;
mod interruptions;
mod kills;
mod live;
mod own_steps;
mod privileges;
mod refusals;
mod resume;
mod secrets;
mod take_over;
mod unseen;
