//! Whether a server holds what the application was told.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::Failure;
use pgkedge_postgres::{Row, Sql};

use super::Report;
use super::tally::Number;

/// What a server holds of the writers' transactions, against what they know. Right if all lists are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Acknowledged, and not there.
    pub lost: BTreeSet<Number>,
    /// There more than once.
    pub doubled: BTreeSet<Number>,
    /// Refused, taken back or never sent, and there nevertheless.
    pub unasked: BTreeSet<Number>,
    /// There in one table and missing in another that the same transaction wrote to.
    pub torn: BTreeSet<Number>,
    /// Writers whose counter does not say how many of their transactions there are.
    pub miscounted: BTreeSet<u32>,
}

impl Proof {
    pub fn is_right(&self) -> bool {
        self == &Self::default()
    }

    /// Reads what a server holds, of transactions from the report's first ones on.
    pub async fn of(report: &Report, session: &Sql) -> Result<Self, Failure> {
        let log = session.rows("select writer, number, 1 from writers.log").await?;
        let trace = "select writer, number, count(*) from writers.trace group by 1, 2";
        let trace = session.rows(trace).await?;
        let counted = session.rows("select writer, 0, transactions from writers.counter").await?;
        let (log, trace) = (numbers(&log), numbers(&trace));
        let counted = numbers(&counted).into_iter().map(|((writer, _), amount)| (writer, amount));
        Ok(Self::found(report, &log, &trace, &counted.collect()))
    }

    fn found(
        report: &Report,
        log: &BTreeMap<Number, u64>,
        trace: &BTreeMap<Number, u64>,
        counted: &BTreeMap<u32, u64>,
    ) -> Self {
        let all: BTreeSet<Number> = log.keys().chain(trace.keys()).copied().collect();
        let is_known =
            |number: &Number| report.committed.contains(number) || report.in_doubt.contains(number);
        let is_earlier = |(_, number): &Number| *number < report.first;
        let mut per_writer: BTreeMap<u32, u64> = BTreeMap::new();
        for (writer, _) in log.keys() {
            *per_writer.entry(*writer).or_default() += 1;
        }
        let writers = per_writer.keys().chain(counted.keys()).copied();
        Self {
            lost: report.committed.iter().filter(|number| !all.contains(number)).copied().collect(),
            doubled: trace.iter().filter(|(_, amount)| **amount > 1).map(|(n, _)| *n).collect(),
            unasked: all.iter().filter(|n| !is_known(n) && !is_earlier(n)).copied().collect(),
            torn: all
                .iter()
                .filter(|number| log.contains_key(number) != trace.contains_key(number))
                .copied()
                .collect(),
            miscounted: writers.filter(|w| per_writer.get(w) != counted.get(w)).collect(),
        }
    }
}

fn numbers(rows: &[Row]) -> BTreeMap<Number, u64> {
    let number = |row: &Row| {
        let at = |column: usize| row.get(column)?.parse::<u64>().ok();
        Some(((u32::try_from(at(0)?).ok()?, at(1)?), at(2)?))
    };
    rows.iter().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(committed: &[Number], in_doubt: &[Number]) -> Report {
        Report {
            committed: committed.iter().copied().collect(),
            in_doubt: in_doubt.iter().copied().collect(),
            ..Report::default()
        }
    }

    fn once(numbers: &[Number]) -> BTreeMap<Number, u64> {
        numbers.iter().map(|number| (*number, 1)).collect()
    }

    #[test]
    fn a_transaction_in_doubt_may_be_there_or_not() {
        let report = report(&[(0, 1)], &[(0, 2)]);
        for there in [&[(0, 1)][..], &[(0, 1), (0, 2)]] {
            let counted = [(0, there.len() as u64)].into();
            assert!(Proof::found(&report, &once(there), &once(there), &counted).is_right());
        }
    }

    #[test]
    fn each_kind_of_error_is_found() {
        let report = report(&[(0, 1), (0, 2)], &[]);
        let all = once(&[(0, 1), (0, 2)]);
        let counted = [(0, 2)].into();
        let one = once(&[(0, 1)]);
        let lost = Proof::found(&report, &one, &one, &[(0, 1)].into());
        assert_eq!((lost.lost, lost.miscounted.len()), ([(0, 2)].into(), 0));
        let mut doubled = all.clone();
        doubled.insert((0, 2), 2);
        let found = Proof::found(&report, &all, &doubled, &counted);
        assert_eq!(found, Proof { doubled: [(0, 2)].into(), ..Proof::default() });
        let found = Proof::found(&report, &all, &one, &counted);
        assert_eq!(found, Proof { torn: [(0, 2)].into(), ..Proof::default() });
        let more = once(&[(0, 1), (0, 2), (0, 3)]);
        let found = Proof::found(&report, &more, &more, &[(0, 3)].into());
        assert_eq!(found, Proof { unasked: [(0, 3)].into(), ..Proof::default() });
        let found = Proof::found(&report, &all, &all, &[(0, 1)].into());
        assert_eq!(found, Proof { miscounted: [0].into(), ..Proof::default() });
    }
}
