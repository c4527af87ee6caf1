//! Proves that two databases hold the same: digests of rows, catalogs, sequences, large objects.
//!
//! It only reads. What to do about a difference is not decided here.

mod canary;
mod catalogs;
mod difference;
mod digest;
mod hashing;

pub use canary::{Canary, canary_query, canary_types};
pub use catalogs::{Scope, compare_catalogs};
pub use difference::{Comparison, Difference};
pub use digest::{Digest, batch_query, compare_digests, digest_query, evaluated_query};
pub use hashing::{DigestPlan, RowHash};
