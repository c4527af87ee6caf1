//! Proves that two databases hold the same: digests of rows, catalogs, sequences, large objects.
//!
//! It only reads. What to do about a difference is not decided here.

mod canary;
mod catalogs;
mod difference;
mod digest;
mod drift;
mod hashing;
mod large_objects;
mod materialized_views;
mod sequences;
mod sides;
mod tables;

pub use canary::{Canary, canary_query, canary_types};
pub use catalogs::{ForeignKey, Pending, Scope, compare_catalogs};
pub use difference::{Comparison, Difference};
pub use digest::{Digest, batch_query, compare_digests, digest_query, evaluated_query};
pub use drift::{DriftScope, Moved, drift, drift_of_facts};
pub use hashing::{DigestPlan, RowHash};
pub use large_objects::{compare_large_objects, differing_large_objects};
pub use materialized_views::compare_materialized_views;
pub use sequences::{Stand, compare_sequences};
pub use sides::Sides;
pub use tables::{compare_tables, settle};
