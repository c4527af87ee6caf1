//! Compares the rows of tables, many tables per query.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, Table, TypeFacts};
use pgkedge_postgres::{Row, Sql};

use crate::canary::{Canary, canary_query, canary_types};
use crate::difference::{Comparison, Difference};
use crate::digest::{Digest, batch_query, compare_digests, digest_query};
use crate::hashing::DigestPlan;
use crate::sides::{Sides, is_not_there, text};

/// Tables in one query: fewer round trips, and an error does not repeat too much.
const BATCH: usize = 25;

/// Hashes the canary on both servers and leaves the fast way where they disagree.
pub async fn settle<'a>(
    sides: Sides<'_>,
    tables: impl IntoIterator<Item = &'a Table>,
    types: &BTreeMap<u32, TypeFacts>,
    plan: DigestPlan,
) -> Result<DigestPlan, Failure> {
    let wanted = canary_types(tables, types);
    let Some(query) = canary_query(&wanted, types, &plan) else { return Ok(plan) };
    let canaries = match sides.ask(&query, &query).await {
        (Ok(source), Ok(target)) => [canary(&source), canary(&target)],
        (source, target) => {
            // One type without a hash fails the whole query: ask type by type.
            source.or_else(only_missing)?;
            target.or_else(only_missing)?;
            let lines: Vec<&str> = query.split("\nunion all ").collect();
            [line_by_line(sides.source, &lines).await?, line_by_line(sides.target, &lines).await?]
        }
    };
    Ok(plan.heeding(&canaries[0], &canaries[1], &wanted))
}

/// Compares tables by the definitions of the source. Goes on over all of them, whatever differs.
pub async fn compare_tables(
    sides: Sides<'_>,
    tables: &[&Table],
    types: &BTreeMap<u32, TypeFacts>,
    plan: &DigestPlan,
) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    for batch in tables.chunks(BATCH) {
        let queries: Vec<String> =
            batch.iter().map(|table| digest_query(table, types, plan)).collect();
        let query = batch_query(&queries);
        let (source, target) = sides.ask(&query, &query).await;
        if let (Ok(source), Ok(target)) = (&source, &target) {
            compare_batch(batch, &digests(source)?, &digests(target)?, &mut found);
            continue;
        }
        source.or_else(only_missing)?;
        target.or_else(only_missing)?;
        for (table, query) in batch.iter().zip(&queries) {
            compare_alone(sides, table, query, &mut found).await?;
        }
    }
    Ok(found)
}

fn compare_batch(
    tables: &[&Table],
    source: &BTreeMap<usize, Digest>,
    target: &BTreeMap<usize, Digest>,
    found: &mut Comparison,
) {
    for (number, table) in tables.iter().enumerate() {
        let object = table.name.to_string();
        match (source.get(&number), target.get(&number)) {
            (Some(ours), Some(theirs)) => {
                count(found, ours);
                found.differences.extend(compare_digests(&object, ours, theirs));
            }
            (ours, theirs) => {
                let said = |digest: Option<&Digest>| digest.map(|digest| digest.rows.to_string());
                let difference = Difference::new(object, "rows", said(ours), said(theirs));
                found.differences.push(difference);
            }
        }
    }
}

/// One table of a batch that could not be read as a whole.
async fn compare_alone(
    sides: Sides<'_>,
    table: &Table,
    query: &str,
    found: &mut Comparison,
) -> Result<(), Failure> {
    let (source, target) = sides.ask(query, query).await;
    let read = |rows: Result<Vec<Row>, Failure>| match rows {
        Ok(rows) => first_digest(&rows).map(Ok),
        Err(failure) if is_not_there(&failure) => Ok(Err(failure)),
        Err(failure) => Err(failure),
    };
    let object = table.name.to_string();
    match (read(source)?, read(target)?) {
        (Ok(ours), Ok(theirs)) => {
            count(found, &ours);
            found.differences.extend(compare_digests(&object, &ours, &theirs));
        }
        (ours, theirs) => {
            let said = |side: Result<Digest, Failure>| match side {
                Ok(digest) => format!("{} rows", digest.rows),
                Err(failure) => format!("cannot be read: {failure}"),
            };
            found.differences.push(Difference::between(object, "rows", said(ours), said(theirs)));
        }
    }
    Ok(())
}

fn count(found: &mut Comparison, digest: &Digest) {
    found.count("tables", 1);
    *found.compared.entry("rows".to_owned()).or_default() += digest.rows;
}

/// The digest of a query for one table.
pub(crate) fn first_digest(rows: &[Row]) -> Result<Digest, Failure> {
    let row = rows.first().ok_or_else(|| Failure::permanent("a digest query returned no row"))?;
    digest(row, 0)
}

fn digests(rows: &[Row]) -> Result<BTreeMap<usize, Digest>, Failure> {
    rows.iter().map(|row| Ok((number(&text(row, 0))?, digest(row, 1)?))).collect()
}

fn digest(row: &Row, column: usize) -> Result<Digest, Failure> {
    Ok(Digest { rows: number(&text(row, column))?, sum: text(row, column + 1) })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::permanent(format!("`{text}` is no count")))
}

fn canary(rows: &[Row]) -> Canary {
    rows.iter().filter_map(|row| Some((text(row, 0).parse().ok()?, text(row, 1)))).collect()
}

async fn line_by_line(session: &Sql, lines: &[&str]) -> Result<Canary, Failure> {
    let mut all = Canary::new();
    for line in lines {
        let rows = session.rows(line).await.or_else(only_missing)?;
        all.extend(canary(&rows));
    }
    Ok(all)
}

fn only_missing(failure: Failure) -> Result<Vec<Row>, Failure> {
    if is_not_there(&failure) { Ok(Vec::new()) } else { Err(failure) }
}
