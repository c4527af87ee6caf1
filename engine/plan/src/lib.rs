//! YAML text to a checked [`Plan`]: the only way to one is [`check`].
//!
//! No I/O and no catalog: a rule that needs to know a database lives in `compile`. Everything that is
//! wrong with a text is reported at once, each finding at its line and column.

mod capture;
mod capture_view;
mod check;
mod codes;
mod crossing;
mod document;
mod expanded;
mod mismatch;
mod nearest;
mod parts;
mod passwords;
mod pattern;
mod phases;
mod plan;
mod pointer;
mod report;
mod rules;
mod schema;
mod source_map;
mod views;
mod written;

pub use capture::{CapturePlan, SetPlan, SlotPlan, free_name};
pub use check::{Pipelines, PlanSource, check};
pub use codes::CODES;
pub use crossing::{CrossingKey, InvalidKey};
pub use expanded::expanded_yaml;
pub use nearest::nearest;
pub use pattern::{InvalidPattern, Pattern};
pub use plan::{GroupPlan, PhasePlan, Plan, Property, Selector, TablePatterns, Waiver};
pub use report::{Problem, Rejection, Report, located, report};
pub use schema::{pipeline_schema, plan_schema};
pub use source_map::{Position, SourceMap, Span};
