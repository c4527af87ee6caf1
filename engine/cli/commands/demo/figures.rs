//! What a demo ends with: the servers compared, and the application's word on what it wrote.

use std::collections::BTreeMap;
use std::path::Path;

use pgkedge_model::{RunHeader, Server};
use pgkedge_postgres::Endpoint;
use pgkedge_runtime::JournalReader;
use pgkedge_sandbox::{Proof, Report, Sandbox};
use pgkedge_verify::Difference;
use serde::Serialize;

use crate::compare::{self, What};
use crate::engine::journal_stop;
use crate::exit::{Exit, Stop};
use crate::{numbers, output, plans};

/// The last line of a demo.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    tables: u64,
    rows: u64,
    differences: usize,
    leftovers: usize,
    pub(super) resumed: u32,
    /// From the closing of the source to the opening of the target, as the run measured it.
    write_pause_ms: u64,
    writers: Counted,
}

/// What the application wrote, and what became of it.
#[derive(Debug, Default, Serialize)]
struct Counted {
    /// Transactions that a server acknowledged.
    committed: u64,
    /// Of them, those that are not on the target.
    lost: usize,
    /// Transactions that are there more than once, or that were refused and are there.
    doubled: usize,
    /// Of those whose connection was lost before the server's word came.
    in_doubt: usize,
    longest_pause_ms: u64,
    seed: u64,
}

impl Figures {
    /// Compares the servers while nobody writes to either.
    pub(super) async fn of(sandbox: &Sandbox, state: &Path) -> Result<Self, Stop> {
        let header = header(state)?;
        let endpoints = plans::endpoints(&header.databases, &sandbox.plan());
        let mut facts = plans::introspected(&endpoints).await?;
        // The source is closed, which is the cutover's doing: it is compared as it was before.
        facts.source.database = header.facts.source.database.clone();
        let compared = compare::now(&endpoints, &facts, What::default()).await?;
        let differences = compared.found.differences.iter().filter(|found| !is_ahead(found));
        let differences: Vec<String> = differences.map(ToString::to_string).collect();
        let leftovers = leftovers(&endpoints).await?;
        for difference in &differences {
            output::say(&format!("difference: {difference}"));
        }
        for leftover in &leftovers {
            output::say(&format!("leftover: {leftover}"));
        }
        Ok(Self {
            tables: compared.tables,
            rows: compared.rows,
            differences: differences.len(),
            leftovers: leftovers.len(),
            write_pause_ms: write_pause(state, &header)?,
            ..Self::default()
        })
    }

    /// Adds what the application was told, against what the target holds.
    pub(super) fn count(&mut self, report: &Report, proof: &Proof) {
        if !proof.is_right() {
            output::say(&format!("the application's transactions: {proof:?}"));
        }
        self.writers = Counted {
            committed: report.committed.len() as u64,
            lost: proof.lost.len(),
            doubled: proof.doubled.len() + proof.unasked.len(),
            in_doubt: report.in_doubt.len(),
            longest_pause_ms: u64::try_from(report.longest_pause.as_millis()).unwrap_or(u64::MAX),
            seed: report.seed,
        };
        self.differences += proof.torn.len() + proof.miscounted.len();
    }

    pub(super) fn show(&self, tell: &impl Fn(&str)) {
        tell(&format!(
            "\n{}, {} compared: {}; {}; resumed {}\n\
             {} of the application, {} lost, {} doubled; no writes for {} ms",
            numbers::counted(self.tables, "table"),
            numbers::counted(self.rows, "row"),
            numbers::counted(self.differences as u64, "difference"),
            numbers::counted(self.leftovers as u64, "leftover"),
            if self.resumed == 1 {
                "once"
            } else {
                "never: the load was over too soon; try a larger --size"
            },
            numbers::counted(self.writers.committed, "transaction"),
            self.writers.lost,
            self.writers.doubled,
            numbers::grouped(self.writers.longest_pause_ms),
        ));
    }

    pub(super) fn exit(&self) -> Exit {
        let wrong = self.differences + self.writers.lost + self.writers.doubled;
        match (wrong, self.leftovers) {
            (1.., _) => Exit::Differences,
            (0, 1..) => Exit::Leftovers,
            (0, 0) => Exit::Done,
        }
    }
}

fn header(state: &Path) -> Result<RunHeader, Stop> {
    JournalReader::open(state)
        .and_then(|reader| reader.header())
        .map_err(|error| journal_stop(state, &error))
}

/// What the step that opened the target measured.
fn write_pause(state: &Path, header: &RunHeader) -> Result<u64, Stop> {
    let checkpoint = JournalReader::open(state)
        .and_then(|reader| reader.checkpoint())
        .map_err(|error| journal_stop(state, &error))?;
    let opening = header.graph.steps().find(|node| node.kind == "open_target");
    let output = opening.and_then(|node| checkpoint.steps.get(&node.id)?.output());
    output
        .and_then(|output| output["write_pause_ms"].as_u64())
        .ok_or_else(|| Stop::usage("the run does not say that it opened the target"))
}

/// Sequences leave a gap at the cutover: the target's may stand further on.
fn is_ahead(difference: &Difference) -> bool {
    let number =
        |side: &Option<String>| -> Option<i64> { side.as_deref()?.split(',').next()?.parse().ok() };
    let (source, target) = (number(&difference.source), number(&difference.target));
    difference.what == "value" && source.zip(target).is_some_and(|(ours, theirs)| ours < theirs)
}

/// Everything of pgkedge's own that is still on a server.
async fn leftovers(endpoints: &BTreeMap<Server, Endpoint>) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for endpoint in endpoints.values() {
        let leftovers = pgkedge_steps::scan(endpoint).await?;
        found.extend(leftovers.iter().map(ToString::to_string));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sequence_that_stands_further_on_is_no_difference() {
        let value = |ours: &str, theirs: &str| Difference::between("s", "value", ours, theirs);
        assert!(is_ahead(&value("7", "1007")));
        assert!(is_ahead(&value("1, not called yet", "1001")));
        assert!(!is_ahead(&value("7", "6")));
        assert!(!is_ahead(&Difference::between("t", "rows", "7", "8")));
        assert!(!is_ahead(&Difference::new("s", "value", Some("7".to_owned()), None)));
    }
}
