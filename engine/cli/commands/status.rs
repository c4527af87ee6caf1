use std::path::Path;
use std::time::Duration;

use pgkedge_model::{Clock as _, CloseStatus, Timestamp};
use pgkedge_runtime::JournalReader;
use serde_json::json;

use crate::args::{Global, StateArgs};
use crate::clock::SystemClock;
use crate::engine::journal_stop;
use crate::exit::{Exit, Shown, Stop};
use crate::output::{self, Format};
use crate::report::Report;
use crate::{numbers, runs};

/// Show what a run is doing, has done, and waits for
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Show it again every two seconds until the run has ended.
    #[arg(long)]
    watch: bool,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    loop {
        let held = show(&folder, global)?;
        if !args.watch || !held {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Prints the status once; says whether a runner is at work.
fn show(folder: &Path, global: &Global) -> Result<bool, Stop> {
    let stop = |error| journal_stop(folder, &error);
    let reader = JournalReader::open(folder).map_err(stop)?;
    let held = reader.is_held().map_err(stop)?;
    let header = reader.header().map_err(stop)?;
    let records = reader.records(0).map_err(stop)?;
    let now = if held { SystemClock.now() } else { last_moment(&records) };
    let report = Report::new(&header, &records, now);
    match global.output {
        Format::Json => output::print_json(&json!({
            "state": folder,
            "runner": held,
            "report": report,
        })),
        Format::Text => output::print(&text(&report, now, folder, held)),
    }
    Ok(held)
}

fn last_moment(records: &[pgkedge_model::StampedRecord]) -> Timestamp {
    records.last().map_or_else(|| SystemClock.now(), |record| record.at)
}

fn text(report: &Report, now: Timestamp, folder: &Path, held: bool) -> String {
    let stands = match (report.closed, held) {
        (_, true) => "running",
        (None, false) => "its runner is gone",
        (Some(CloseStatus::Succeeded), _) => "succeeded",
        (Some(CloseStatus::Failed), _) => "failed",
        (Some(CloseStatus::Interrupted), _) => "interrupted",
        (Some(CloseStatus::CleanedUp), _) => "cleaned up",
        (Some(CloseStatus::Aborted), _) => "aborted",
    };
    let mut lines = vec![
        format!("{}  {stands}  {} of {} steps", report.plan, report.done(), report.steps()),
        format!("run {}, {}", report.run_id, numbers::counted(report.runners as u64, "runner")),
        report.table(),
    ];
    lines.extend(report.streams.iter().map(|stream| stream.line(now)));
    for step in &report.running {
        let what = if step.holds { "holds" } else { "at work" };
        lines.push(format!("{what}: {} (attempt {})", step.step, step.attempt));
        if step.kind == "approval" {
            let folder = folder.display();
            lines.push(format!("  approve it: pgkedge approve {} --state {folder}", step.step));
        }
    }
    for step in &report.failed {
        let then = if step.retried { ", trying again" } else { "" };
        let failure = Shown(&step.failure);
        lines.push(format!("failed: {} (attempt {}{then}): {failure}", step.step, step.attempt));
    }
    if !held && !report.closed.is_some_and(CloseStatus::is_final) {
        lines.push(format!("go on: pgkedge resume --state {}", folder.display()));
    }
    lines.join("\n")
}
