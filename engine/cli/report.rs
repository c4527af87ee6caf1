//! What a run has done, as the fold of its records: phases with times, rows and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use pgkedge_model::{
    Checkpoint, CloseStatus, FailureFact, Record, RunHeader, StampedRecord, StepId, StepNode,
    StepState, Timestamp,
};
use serde::Serialize;

use crate::numbers;
use crate::streams::StreamReport;

/// A run at a point, for `status`, and for the last words of `run`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    pub(crate) plan: String,
    /// How the last runner let go; none while one runs, or after it died.
    pub(crate) closed: Option<CloseStatus>,
    /// Times that a runner took the run.
    pub(crate) runners: usize,
    pub(crate) phases: Vec<PhaseReport>,
    pub(crate) running: Vec<RunningStep>,
    /// Steps that stand failed, and those whose failure had a phase taken back.
    pub(crate) failed: Vec<FailedStep>,
    /// How long nobody could write, by the source's clock; none before the target was opened.
    pub(crate) write_pause_ms: Option<u64>,
    /// Streams of changes, as the run's watch last noted them.
    pub(crate) streams: Vec<StreamReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PhaseReport {
    pub(crate) phase: String,
    pub(crate) steps: usize,
    pub(crate) done: usize,
    /// From the first start to the last end; idle time between two runners is left out.
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunningStep {
    pub(crate) step: StepId,
    pub(crate) kind: String,
    pub(crate) attempt: u32,
    pub(crate) since: Option<Timestamp>,
    /// A service that holds, rather than work that ends.
    pub(crate) holds: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FailedStep {
    pub(crate) step: StepId,
    pub(crate) attempt: u32,
    pub(crate) failure: FailureFact,
    pub(crate) retried: bool,
}

impl Report {
    pub(crate) fn new(header: &RunHeader, records: &[StampedRecord], now: Timestamp) -> Self {
        let mut checkpoint = Checkpoint::default();
        for record in records {
            // The reader has checked the journal; a record that does not fit was refused there.
            if checkpoint.apply(&record.record).is_err() {
                break;
            }
        }
        let opened = |record: &&StampedRecord| matches!(record.record, Record::RunOpened { .. });
        let started = starts(records);
        Self {
            run_id: header.run_id.0.clone(),
            plan: header.plan_name.clone(),
            closed: checkpoint.closed,
            runners: records.iter().filter(opened).count(),
            phases: phases(header, &checkpoint, records, now),
            running: running(header, &checkpoint, &started),
            failed: failed(header, &checkpoint, records),
            write_pause_ms: write_pause(header, &checkpoint),
            streams: StreamReport::all(&header.graph, records),
        }
    }

    pub(crate) fn steps(&self) -> usize {
        self.phases.iter().map(|phase| phase.steps).sum()
    }

    pub(crate) fn done(&self) -> usize {
        self.phases.iter().map(|phase| phase.done).sum()
    }

    /// A table of the phases, for people.
    pub(crate) fn table(&self) -> String {
        let width = self.phases.iter().map(|phase| phase.phase.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for phase in &self.phases {
            let steps = format!("{}/{}", phase.done, phase.steps);
            let time = numbers::duration(Duration::from_secs_f64(phase.seconds));
            let mut line = format!("  {:width$}  {steps:>9} steps  {time:>10}", phase.phase);
            if phase.rows > 0 || phase.bytes > 0 {
                let rows = numbers::counted(phase.rows, "row");
                write!(line, "  {rows:>16}  {:>10}", numbers::bytes(phase.bytes))
                    .expect("a String takes every text");
            }
            lines.push(line);
        }
        if let Some(pause) = self.write_pause_ms {
            let pause = numbers::duration(Duration::from_millis(pause));
            lines.push(format!("  write pause: {pause}"));
        }
        lines.join("\n")
    }
}

/// What the step that opened the target has measured.
fn write_pause(header: &RunHeader, checkpoint: &Checkpoint) -> Option<u64> {
    let outputs = header.graph.steps().filter_map(|node| checkpoint.state(&node.id).output());
    outputs.filter_map(|output| output.get("write_pause_ms")?.as_u64()).max()
}

/// A number in a step's output, summed over its members by the step itself.
pub(crate) fn figure(output: &serde_json::Value, field: &str) -> u64 {
    output.get(field).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn starts(records: &[StampedRecord]) -> BTreeMap<StepId, Timestamp> {
    let mut starts = BTreeMap::new();
    for record in records {
        if let Record::StepStarted { step, .. } = &record.record {
            starts.insert(step.clone(), record.at);
        }
    }
    starts
}

fn phases(
    header: &RunHeader,
    checkpoint: &Checkpoint,
    records: &[StampedRecord],
    now: Timestamp,
) -> Vec<PhaseReport> {
    let seconds = busy_seconds(header, records, now);
    let mut reports: Vec<PhaseReport> = Vec::new();
    for phase in header.graph.phases() {
        let nodes: Vec<_> = header.graph.steps().filter(|node| &node.phase == phase).collect();
        // Verification reads rows again; only what was moved counts as rows and bytes.
        let moved = |field| -> u64 {
            nodes
                .iter()
                .filter(|node| moves_rows(node))
                .filter_map(|node| checkpoint.state(&node.id).output())
                .map(|output| figure(output, field))
                .sum()
        };
        reports.push(PhaseReport {
            phase: phase.0.clone(),
            steps: nodes.len(),
            done: nodes.iter().filter(|node| checkpoint.state(&node.id).is_succeeded()).count(),
            seconds: seconds.get(phase.0.as_str()).copied().unwrap_or(0.0),
            rows: moved("rows"),
            bytes: moved("bytes"),
        });
    }
    reports
}

fn moves_rows(node: &StepNode) -> bool {
    matches!(node.kind.as_str(), "copy_part" | "copy_large_objects")
}

/// Seconds in which at least one step of a phase was at work, by phase.
fn busy_seconds<'a>(
    header: &'a RunHeader,
    records: &[StampedRecord],
    now: Timestamp,
) -> BTreeMap<&'a str, f64> {
    let phase_of: BTreeMap<&StepId, &str> =
        header.graph.steps().map(|node| (&node.id, node.phase.0.as_str())).collect();
    let mut open: BTreeMap<&str, BTreeSet<StepId>> = BTreeMap::new();
    let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
    let mut last = None;
    for stamped in records {
        match &stamped.record {
            Record::RunOpened { .. } => {
                // The runner before may have died: its steps were busy until its last record.
                close_all(&mut open, &mut since, &mut seconds, last.unwrap_or(stamped.at));
            }
            Record::StepStarted { step, .. } => {
                let Some(phase) = phase_of.get(step) else { continue };
                let steps = open.entry(phase).or_default();
                if steps.is_empty() {
                    since.insert(phase, stamped.at);
                }
                steps.insert(step.clone());
            }
            Record::StepSucceeded { step, .. }
            | Record::StepFailed { step, .. }
            | Record::ServiceReady { step, .. } => {
                let Some(phase) = phase_of.get(step) else { continue };
                let steps = open.entry(phase).or_default();
                if steps.remove(step) && steps.is_empty() {
                    add(&mut seconds, phase, since[phase], stamped.at);
                }
            }
            Record::Noted { .. }
            | Record::StepUndone { .. }
            | Record::ServiceStopped { .. }
            | Record::GroupVoided { .. }
            | Record::PlanEdited { .. }
            | Record::LimitsChanged { .. }
            | Record::RunClosed { .. } => {}
        }
        last = Some(stamped.at);
    }
    close_all(&mut open, &mut since, &mut seconds, now);
    seconds
}

fn close_all<'a>(
    open: &mut BTreeMap<&'a str, BTreeSet<StepId>>,
    since: &mut BTreeMap<&'a str, Timestamp>,
    seconds: &mut BTreeMap<&'a str, f64>,
    until: Timestamp,
) {
    for (phase, steps) in std::mem::take(open) {
        if !steps.is_empty() {
            add(seconds, phase, since[phase], until);
        }
    }
}

fn add<'a>(
    seconds: &mut BTreeMap<&'a str, f64>,
    phase: &'a str,
    from: Timestamp,
    until: Timestamp,
) {
    *seconds.entry(phase).or_default() += until.duration_since(from).as_secs_f64().max(0.0);
}

fn running(
    header: &RunHeader,
    checkpoint: &Checkpoint,
    started: &BTreeMap<StepId, Timestamp>,
) -> Vec<RunningStep> {
    let running = |node: &StepNode, attempt: u32, holds: bool| RunningStep {
        step: node.id.clone(),
        kind: node.kind.clone(),
        attempt,
        since: started.get(&node.id).copied(),
        holds,
    };
    header
        .graph
        .steps()
        .filter_map(|node| match checkpoint.state(&node.id) {
            StepState::Running { attempt } => Some(running(node, *attempt, false)),
            StepState::Ready { attempt, .. } => Some(running(node, *attempt, true)),
            StepState::Pending
            | StepState::Succeeded { .. }
            | StepState::Failed { .. }
            | StepState::Undone => None,
        })
        .collect()
}

fn failed(
    header: &RunHeader,
    checkpoint: &Checkpoint,
    records: &[StampedRecord],
) -> Vec<FailedStep> {
    let taken_back = taken_back(records);
    header
        .graph
        .steps()
        .filter_map(|node| match checkpoint.state(&node.id) {
            StepState::Failed { attempt, failure, retried } => Some(FailedStep {
                step: node.id.clone(),
                attempt: *attempt,
                failure: failure.clone(),
                retried: *retried,
            }),
            StepState::Undone => taken_back.get(&node.id).cloned(),
            StepState::Pending
            | StepState::Running { .. }
            | StepState::Ready { .. }
            | StepState::Succeeded { .. } => None,
        })
        .collect()
}

/// Steps that failed for good under the last runner, and were undone by it because of that.
fn taken_back(records: &[StampedRecord]) -> BTreeMap<StepId, FailedStep> {
    let mut failed = BTreeMap::new();
    for stamped in records {
        if let Record::RunOpened { .. } = &stamped.record {
            failed.clear();
        }
        if let Record::StepFailed { step, attempt, failure, retried: false } = &stamped.record {
            let (step, attempt, failure) = (step.clone(), *attempt, failure.clone());
            failed.insert(step.clone(), FailedStep { step, attempt, failure, retried: false });
        }
    }
    failed
}
