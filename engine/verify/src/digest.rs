//! The digest of a table: its row count and the sum of a number per row.
//!
//! A sum, not an exclusive or: that would cancel pairs of equal rows in tables without a key.

use std::collections::BTreeMap;

use pgkedge_model::{Column, Table, TableKind, TypeFacts, VerifyMethod};
use serde::{Deserialize, Serialize};

use crate::difference::Difference;
use crate::hashing::DigestPlan;

/// What a digest query returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub rows: u64,
    /// A decimal number; `0` where only rows were counted.
    pub sum: String,
}

/// Counts and sums the rows of one table: two columns of text.
///
/// A table with rows of its own is read alone; a partitioned one with all its partitions.
pub fn digest_query(table: &Table, types: &BTreeMap<u32, TypeFacts>, plan: &DigestPlan) -> String {
    let from = match table.kind {
        TableKind::Ordinary => format!("only {}", table.name),
        TableKind::Partitioned | TableKind::MaterializedView | TableKind::Foreign => {
            table.name.to_string()
        }
    };
    let condition = match table.extension_rows.as_deref() {
        None | Some("") => String::new(),
        Some(condition) => format!(" {condition}"),
    };
    format!("select {} from {from}{condition}", summary(&table.columns, types, plan))
}

/// Counts and sums what a materialized view's own query returns now.
///
/// `definition` comes from `pg_get_viewdef`.
pub fn evaluated_query(
    view: &Table,
    definition: &str,
    types: &BTreeMap<u32, TypeFacts>,
    plan: &DigestPlan,
) -> String {
    let definition = definition.trim_end().trim_end_matches(';');
    let names: Vec<String> = view.columns.iter().map(|column| column.name.to_string()).collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let summary = summary(&view.columns, types, plan);
    format!("select {summary} from (\n{definition}\n) as evaluated{names}")
}

/// Many digests in one query; the first column says which, starting at 0.
pub fn batch_query(digests: &[String]) -> String {
    let numbered = digests.iter().enumerate().map(|(number, digest)| {
        format!("select {number}::pg_catalog.text, digest.* from ({digest}) as digest")
    });
    numbered.collect::<Vec<_>>().join("\nunion all ")
}

/// None if the digests are the same.
pub fn compare_digests(object: &str, source: &Digest, target: &Digest) -> Option<Difference> {
    if source == target {
        return None;
    }
    if source.rows == target.rows {
        let (source, target) = (content(source), content(target));
        return Some(Difference::between(object, "content", source, target));
    }
    let (source, target) = (content(source), content(target));
    Some(Difference::between(object, "row count", source, target))
}

fn content(digest: &Digest) -> String {
    let Digest { rows, sum } = digest;
    let noun = if *rows == 1 { "row" } else { "rows" };
    format!("{rows} {noun} (digest {sum})")
}

fn summary(columns: &[Column], types: &BTreeMap<u32, TypeFacts>, plan: &DigestPlan) -> String {
    let count = "pg_catalog.count(*)::pg_catalog.text as rows";
    // A row without columns has nothing to hash.
    if plan.method == VerifyMethod::Count || columns.is_empty() {
        return format!("{count}, '0'::pg_catalog.text as sum");
    }
    // By name: the order of columns may differ between the sides.
    let mut columns: Vec<&Column> = columns.iter().collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    let values: Vec<String> = columns.iter().map(|column| plan.value(column, types)).collect();
    let number = plan.row_number(&values);
    format!("{count}, coalesce(pg_catalog.sum({number}), 0)::pg_catalog.text as sum")
}
