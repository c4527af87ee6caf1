//! Plain lines on stderr, for pipes and logs: what ended, how long it took, what failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pgkedge_model::{Event, EventSink, Record, RunHeader, StampedRecord, StepId, Timestamp};

use serde_json::Value;

use crate::exit::Shown;
use crate::numbers;
use crate::output::say;
use crate::report::figure;

pub(crate) struct Lines {
    steps: BTreeMap<StepId, String>,
    failures_only: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    started: BTreeMap<StepId, Timestamp>,
    waiting: BTreeMap<StepId, String>,
}

impl Lines {
    pub(crate) fn new(header: &RunHeader) -> Self {
        let steps = header
            .graph
            .steps()
            .map(|node| {
                let what = match node.members.as_slice() {
                    [_] => node.id.0.clone(),
                    members => format!("{} ({} at once)", node.id, members.len()),
                };
                (node.id.clone(), what)
            })
            .collect();
        Self { steps, failures_only: false, seen: Mutex::default() }
    }

    pub(crate) fn failures_only(header: &RunHeader) -> Self {
        Self { failures_only: true, ..Self::new(header) }
    }

    /// The line for an event, if it is worth one.
    pub(crate) fn line(&self, event: &Event) -> Option<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Lifecycle(record) => self.record(record, &mut seen),
            Event::Waiting { step, reason } => {
                let before = seen.waiting.insert(step.clone(), reason.clone());
                let news = before.as_ref() != Some(reason) && !self.failures_only;
                news.then(|| format!("…  {}  {reason}", self.named(step)))
            }
            Event::Progress(_) => None,
        }
    }

    fn record(&self, stamped: &StampedRecord, seen: &mut Seen) -> Option<String> {
        let took = |step: &StepId, seen: &Seen| {
            let started = seen.started.get(step).copied().unwrap_or(stamped.at);
            let took = Duration::try_from(stamped.at.duration_since(started)).unwrap_or_default();
            numbers::duration(took)
        };
        match &stamped.record {
            Record::StepStarted { step, .. } => {
                seen.started.insert(step.clone(), stamped.at);
                None
            }
            Record::StepFailed { step, attempt, failure, retried } => {
                let then = if *retried { ", trying again" } else { "" };
                let step = self.named(step);
                Some(format!("failed  {step}  attempt {attempt}{then}: {}", Shown(failure)))
            }
            _ if self.failures_only => None,
            Record::RunOpened { run_id, epoch, .. } => Some(if epoch.0 > 1 {
                format!("run {run_id}, resumed (runner {epoch})")
            } else {
                format!("run {run_id}")
            }),
            Record::StepSucceeded { step, output, adopted, .. } => {
                let how = if *adopted { "found done" } else { "done" };
                let (rows, bytes) = (figure(output, "rows"), figure(output, "bytes"));
                let rows = (rows > 0).then(|| numbers::counted(rows, "row"));
                let bytes = (bytes > 0).then(|| numbers::bytes(bytes));
                let line = [how.to_owned(), self.named(step), took(step, seen)];
                let line: Vec<_> = line.into_iter().chain(rows).chain(bytes).collect();
                Some(
                    [line.join("  ")]
                        .into_iter()
                        .chain(worth_reading(output))
                        .collect::<Vec<_>>()
                        .join("\n"),
                )
            }
            Record::ServiceReady { step, .. } => Some(format!("holds  {}", self.named(step))),
            Record::ServiceStopped { step } => Some(format!("let go  {}", self.named(step))),
            Record::StepUndone { step } => Some(format!("undone  {}", self.named(step))),
            Record::GroupVoided { group, generation } => {
                Some(format!("group {group} starts over (generation {generation})"))
            }
            Record::PlanEdited { changes } => Some(format!("plan edited: {}", changes.join("; "))),
            Record::LimitsChanged { .. } => Some("limits changed".to_owned()),
            Record::Noted { .. } | Record::RunClosed { .. } => None,
        }
    }

    fn named(&self, step: &StepId) -> String {
        self.steps.get(step).cloned().unwrap_or_else(|| step.0.clone())
    }
}

/// Warnings of a preflight and notes of a comparison, which did not stop the step.
fn worth_reading(output: &Value) -> Vec<String> {
    let list = |field: &str| output.get(field).and_then(Value::as_array).into_iter().flatten();
    let warnings = list("findings").filter(|finding| finding["severity"] == "warning");
    let warnings = warnings.filter_map(|finding| finding["message"].as_str());
    let notes = list("notes").filter_map(Value::as_str);
    warnings
        .map(|text| format!("  warning: {text}"))
        .chain(notes.map(|text| format!("  note: {text}")))
        .collect()
}

impl EventSink for Lines {
    fn publish(&self, event: &Event) {
        if let Some(line) = self.line(event) {
            say(&line);
        }
    }
}
