//! Compares where sequences stand.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, QualifiedName, quote_literal};
use pgkedge_postgres::Row;

use crate::difference::{Comparison, Difference};
use crate::sides::{Sides, is_not_there};

/// Sequences in one query.
const BATCH: usize = 100;

/// Asks for three columns per sequence: its number in the list, `last_value` and `is_called`.
fn sequence_query(sequences: &[&QualifiedName]) -> String {
    let lines = sequences.iter().enumerate().map(|(number, sequence)| {
        format!(
            "select {number}::pg_catalog.text, last_value::pg_catalog.text, \
             is_called::pg_catalog.text from {sequence}"
        )
    });
    lines.collect::<Vec<_>>().join("\nunion all ")
}

/// Where the target's sequences must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Where the source's do.
    Equal,
    /// There or beyond, in the direction of each.
    Reached,
}

/// Compares the values of sequences.
pub async fn compare_sequences(
    sides: Sides<'_>,
    sequences: &[&QualifiedName],
    stand: Stand,
) -> Result<Comparison, Failure> {
    let mut found = Comparison::default();
    for batch in sequences.chunks(BATCH) {
        compare_batch(sides, batch, stand, &mut found).await?;
    }
    Ok(found)
}

async fn compare_batch(
    sides: Sides<'_>,
    batch: &[&QualifiedName],
    stand: Stand,
    found: &mut Comparison,
) -> Result<(), Failure> {
    let query = sequence_query(batch);
    let (source, target) = sides.ask(&directed(&query, batch), &query).await;
    let missing = match (&source, &target) {
        (Err(failure), _) | (_, Err(failure)) => is_not_there(failure),
        (Ok(_), Ok(_)) => false,
    };
    if missing && batch.len() > 1 {
        for sequence in batch {
            Box::pin(compare_batch(sides, &[*sequence], stand, found)).await?;
        }
        return Ok(());
    }
    let (ours, theirs) = (values(source)?, values(target)?);
    for (number, sequence) in batch.iter().enumerate() {
        found.count("sequences", 1);
        let (ours, theirs) = (ours.get(&number), theirs.get(&number));
        let fits = match (stand, ours, theirs) {
            (Stand::Reached, Some(ours), Some(theirs)) => ours.is_reached_by(theirs),
            _ => ours.map(Value::shown) == theirs.map(Value::shown),
        };
        if !fits {
            let (ours, theirs) = (ours.map(Value::shown), theirs.map(Value::shown));
            found.differences.push(Difference::new(sequence, "value", ours, theirs));
        }
    }
    Ok(())
}

/// The query with columns that say whether a sequence counts upwards, and whether it cycles.
fn directed(query: &str, sequences: &[&QualifiedName]) -> String {
    let names: Vec<String> = sequences
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let name = quote_literal(&name.to_string());
            format!("('{number}', {name}::pg_catalog.regclass)")
        })
        .collect();
    format!(
        "select stand.*, s.seqincrement > 0, s.seqcycle from ({query}) as stand (number, value, called) \
         join (values {}) as named (number, sequence) on named.number = stand.number \
         join pg_catalog.pg_sequence s on s.seqrelid = named.sequence",
        names.join(", ")
    )
}

/// Where one sequence stands.
struct Value {
    last: String,
    is_called: bool,
    /// Only asked of the source.
    rises: bool,
    /// It starts over at its bound. Only asked of the source.
    cycles: bool,
}

impl Value {
    fn of(row: &Row) -> Option<(usize, Self)> {
        let is_called = row.get(2)? == "true";
        let (rises, cycles) = (row.get(3) != Some("f"), row.get(4) == Some("t"));
        let value = Self { last: row.get(1)?.to_owned(), is_called, rises, cycles };
        Some((row.get(0)?.parse().ok()?, value))
    }

    fn shown(&self) -> String {
        let called = if self.is_called { "" } else { ", not called yet" };
        format!("{}{called}", self.last)
    }

    /// Whether another sequence gives no value that this one has given. One that cycles gives all of
    /// them again: every value is before and behind it.
    fn is_reached_by(&self, other: &Self) -> bool {
        if self.cycles {
            return true;
        }
        let (Ok(ours), Ok(theirs)) = (self.last.parse::<i128>(), other.last.parse::<i128>()) else {
            return false;
        };
        let (ours, theirs) = if self.rises { (ours, theirs) } else { (-ours, -theirs) };
        theirs > ours || (theirs == ours && (other.is_called || !self.is_called))
    }
}

fn values(rows: Result<Vec<Row>, Failure>) -> Result<BTreeMap<usize, Value>, Failure> {
    let rows = match rows {
        Err(failure) if is_not_there(&failure) => return Ok(BTreeMap::new()),
        rows => rows?,
    };
    Ok(rows.iter().filter_map(Value::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(last: &str, is_called: bool, rises: bool) -> Value {
        Value { last: last.to_owned(), is_called, rises, cycles: false }
    }

    #[test]
    fn a_sequence_is_reached_where_it_stands_or_beyond_in_its_direction() {
        let rising = value("77", true, true);
        assert!(rising.is_reached_by(&value("77", true, true)));
        assert!(rising.is_reached_by(&value("1077", true, true)));
        assert!(!rising.is_reached_by(&value("77", false, true)));
        assert!(!rising.is_reached_by(&value("76", true, true)));
        let falling = value("-5", true, false);
        assert!(falling.is_reached_by(&value("-1005", true, true)));
        assert!(!falling.is_reached_by(&value("-4", true, true)));
        assert!(value("1", false, true).is_reached_by(&value("1", false, true)));
        let cycling = Value { cycles: true, ..value("12", true, true) };
        assert!(cycling.is_reached_by(&value("3", true, true)));
    }
}
