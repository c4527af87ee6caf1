//! Compares where sequences stand.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, QualifiedName};
use pgkedge_postgres::Row;

use crate::difference::{Comparison, Difference};
use crate::sides::{Sides, is_not_there};

/// Sequences in one query.
const BATCH: usize = 100;

/// Asks for three columns per sequence: its number in the list, `last_value` and `is_called`.
pub fn sequence_query(sequences: &[&QualifiedName]) -> String {
    let lines = sequences.iter().enumerate().map(|(number, sequence)| {
        format!(
            "select {number}::pg_catalog.text, last_value::pg_catalog.text, \
             is_called::pg_catalog.text from {sequence}"
        )
    });
    lines.collect::<Vec<_>>().join("\nunion all ")
}

/// Compares the values of sequences. Both must stand at the same value.
pub async fn compare_sequences(
    sides: Sides<'_>,
    sequences: &[&QualifiedName],
) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    for batch in sequences.chunks(BATCH) {
        compare_batch(sides, batch, &mut found).await?;
    }
    Ok(found)
}

async fn compare_batch(
    sides: Sides<'_>,
    batch: &[&QualifiedName],
    found: &mut Comparison,
) -> Result<(), Failure> {
    let query = sequence_query(batch);
    let (source, target) = sides.ask(&query, &query).await;
    let missing = match (&source, &target) {
        (Err(failure), _) | (_, Err(failure)) => is_not_there(failure),
        (Ok(_), Ok(_)) => false,
    };
    if missing && batch.len() > 1 {
        for sequence in batch {
            Box::pin(compare_batch(sides, &[*sequence], found)).await?;
        }
        return Ok(());
    }
    let (ours, theirs) = (values(source)?, values(target)?);
    for (number, sequence) in batch.iter().enumerate() {
        found.count("sequences", 1);
        let (ours, theirs) = (ours.get(&number), theirs.get(&number));
        if ours != theirs {
            let (ours, theirs) = (ours.cloned(), theirs.cloned());
            found.differences.push(Difference::new(sequence, "value", ours, theirs));
        }
    }
    Ok(())
}

fn values(rows: Result<Vec<Row>, Failure>) -> Result<BTreeMap<usize, String>, Failure> {
    let rows = match rows {
        Err(failure) if is_not_there(&failure) => return Ok(BTreeMap::new()),
        rows => rows?,
    };
    Ok(rows.iter().filter_map(value).collect())
}

fn value(row: &Row) -> Option<(usize, String)> {
    let called = if row.get(2)? == "true" { "" } else { ", not called yet" };
    Some((row.get(0)?.parse().ok()?, format!("{}{called}", row.get(1)?)))
}
