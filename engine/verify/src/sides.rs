//! Two sessions that read, one per side.

use pgkedge_model::Failure;
use pgkedge_postgres::{Row, Sql};

/// SQLSTATEs that say that something to be read is not there: a table, a column, a function.
const NOT_THERE: &[&str] = &["42P01", "42703", "42883", "3F000", "42704", "55000"];

/// Where a comparison reads. Both sessions have the pinned settings of pgkedge.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub source: &'a Sql,
    pub target: &'a Sql,
}

impl Sides<'_> {
    /// Asks both sides at the same time.
    pub(crate) async fn ask(
        self,
        source: &str,
        target: &str,
    ) -> (Result<Vec<Row>, Failure>, Result<Vec<Row>, Failure>) {
        tokio::join!(self.source.rows(source), self.target.rows(target))
    }
}

/// Whether a query failed because what it reads is missing: a difference, not a failure.
pub(crate) fn is_not_there(failure: &Failure) -> bool {
    failure.sqlstate.as_deref().is_some_and(|state| NOT_THERE.contains(&state))
}

/// A column of a row as a text; empty for null.
pub(crate) fn text(row: &Row, column: usize) -> String {
    row.get(column).unwrap_or_default().to_owned()
}
