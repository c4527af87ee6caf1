//! Progress bars on a terminal: one for the whole run, one line for each step at work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pgkedge_model::{Event, EventSink, Progress, Record, RunHeader, StepId};

use super::lines::Lines;
use crate::numbers;

/// A step counts at least this much in the bar of the run, so that small ones move it too.
const LEAST: u64 = 1 << 16;

pub(crate) struct Bars {
    lines: Lines,
    all: MultiProgress,
    run: ProgressBar,
    costs: BTreeMap<StepId, u64>,
    running: Mutex<BTreeMap<StepId, Running>>,
}

struct Running {
    bar: ProgressBar,
    /// How much of the run's bar this step has moved.
    counted: u64,
}

impl Bars {
    pub(crate) fn new(header: &RunHeader) -> Self {
        let costs: BTreeMap<_, _> = header
            .graph
            .steps()
            .map(|node| (node.id.clone(), node.resources.cost.max(LEAST)))
            .collect();
        let all = MultiProgress::new();
        let run = all.add(ProgressBar::new(costs.values().sum()));
        run.set_style(style("{bar:30} {percent:>3} %  {elapsed}, {eta} left  {msg}"));
        run.set_message(header.plan_name.clone());
        run.enable_steady_tick(Duration::from_millis(250));
        Self { lines: Lines::new(header), all, run, costs, running: Mutex::default() }
    }

    fn started(&self, step: &StepId) {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style("  {spinner} {elapsed:>4}  {msg}"));
        bar.set_message(step.0.clone());
        bar.enable_steady_tick(Duration::from_millis(250));
        let before = self.running().insert(step.clone(), Running { bar, counted: 0 });
        if let Some(before) = before {
            before.bar.finish_and_clear();
        }
    }

    fn ended(&self, step: &StepId, counts: bool) {
        let Some(running) = self.running().remove(step) else { return };
        running.bar.finish_and_clear();
        if counts {
            let cost = self.costs.get(step).copied().unwrap_or(0);
            self.run.inc(cost.saturating_sub(running.counted));
        } else {
            self.run.dec(running.counted);
        }
    }

    fn progressed(&self, progress: &Progress) {
        let Some(step) = &progress.step else { return };
        let mut all = self.running();
        let Some(running) = all.get_mut(step) else { return };
        let cost = self.costs.get(step).copied().unwrap_or(0);
        let counted = progress.bytes.min(cost);
        self.run.inc(counted.saturating_sub(running.counted));
        running.counted = running.counted.max(counted);
        let rows = numbers::counted(progress.rows, "row");
        running.bar.set_message(format!("{step}  {rows}  {}", numbers::bytes(progress.bytes)));
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<StepId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Bars {
    fn publish(&self, event: &Event) {
        match event {
            Event::Progress(progress) => return self.progressed(progress),
            Event::Waiting { step, reason } => {
                if let Some(running) = self.running().get(step) {
                    running.bar.set_message(format!("{step}  {reason}"));
                }
            }
            Event::Lifecycle(stamped) => self.lifecycle(&stamped.record),
        }
        if let Some(line) = self.lines.line(event) {
            // A terminal that has gone away shows nothing, and stops nothing.
            drop(self.all.println(line));
        }
    }
}

impl Bars {
    fn lifecycle(&self, record: &Record) {
        match record {
            Record::StepStarted { step, .. } => self.started(step),
            Record::StepSucceeded { step, .. } => self.ended(step, true),
            Record::ServiceReady { step, .. } | Record::StepFailed { step, .. } => {
                self.ended(step, false);
            }
            Record::RunClosed { .. } => {
                for (_, running) in std::mem::take(&mut *self.running()) {
                    running.bar.finish_and_clear();
                }
                self.run.finish_and_clear();
            }
            Record::RunOpened { .. }
            | Record::Noted { .. }
            | Record::StepUndone { .. }
            | Record::ServiceStopped { .. }
            | Record::GroupVoided { .. }
            | Record::PlanEdited { .. }
            | Record::LimitsChanged { .. } => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("templates of our own are valid")
        .progress_chars("━╸ ")
}
