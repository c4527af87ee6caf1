//! Compares materialized views: they were refreshed on the target, so they show the source's rows
//! of now, while the source may show those of its last refresh.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, Table, TypeFacts, quote_literal};
use pgkedge_postgres::{Row, Sql};

use crate::difference::{Comparison, Difference};
use crate::digest::{Digest, compare_digests, digest_query, evaluated_query};
use crate::hashing::DigestPlan;
use crate::sides::{Sides, is_not_there, text};
use crate::tables::first_digest;

/// Compares the content of populated views; whether they are populated is a matter of catalogs.
pub async fn compare_materialized_views(
    sides: Sides<'_>,
    views: &[&Table],
    types: &BTreeMap<u32, TypeFacts>,
    plan: &DigestPlan,
) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    for view in views.iter().filter(|view| view.populated) {
        found.count("materialized views", 1);
        let query = digest_query(view, types, plan);
        let object = view.name.to_string();
        let (source, target) = sides.ask(&query, &query).await;
        let source = first_digest(&source?)?;
        let target = match read(target)? {
            Ok(digest) => digest,
            Err(reason) => {
                let ours = format!("{} rows", source.rows);
                found.differences.push(Difference::between(object, "rows", ours, reason));
                continue;
            }
        };
        if let Some(difference) = compare_digests(&object, &source, &target) {
            let is_explained = is_explained(sides, view, &target, types, plan).await?;
            found.found(difference, is_explained);
        }
    }
    Ok(found)
}

/// The target's digest, or why there is none.
fn read(rows: Result<Vec<Row>, Failure>) -> Result<Result<Digest, String>, Failure> {
    match rows {
        Ok(rows) => first_digest(&rows).map(Ok),
        Err(failure) if is_not_there(&failure) => Ok(Err(format!("cannot be read: {failure}"))),
        Err(failure) => Err(failure),
    }
}

/// Whether the source's own query gives what the target shows, or never the same twice; or whether
/// the target shows what its query gives there. With tables and definitions equal, which others
/// compare, the result then depends on the order of the rows, as a sum of floats does.
async fn is_explained(
    sides: Sides<'_>,
    view: &Table,
    target: &Digest,
    types: &BTreeMap<u32, TypeFacts>,
    plan: &DigestPlan,
) -> Result<bool, Failure> {
    let name = quote_literal(&view.name.to_string());
    let definition = format!("select pg_catalog.pg_get_viewdef({name}::pg_catalog.regclass)");
    let definition = sides.source.rows(&definition).await?;
    let definition = definition.first().map(|row| text(row, 0)).unwrap_or_default();
    let query = evaluated_query(view, &definition, types, plan);
    let evaluated = async |on: &Sql| first_digest(&on.rows(&query).await?);
    let now = evaluated(sides.source).await?;
    if now == *target {
        return Ok(true);
    }
    if now.rows != target.rows {
        return Ok(false);
    }
    // A query with `now()` or `random()` cannot be compared by content.
    Ok(now != evaluated(sides.source).await? || evaluated(sides.target).await? == *target)
}
