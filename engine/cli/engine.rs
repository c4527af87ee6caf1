//! Puts the engine together: a journal, a performer, a fence and displays.

use std::path::Path;
use std::sync::Arc;

use pgkedge_compile::dry_run;
use pgkedge_model::{
    Checkpoint, Clock as _, CloseStatus, Failure, FenceError, Leaves, PhaseName, RunHeader, Server,
    StepNode, StepState,
};
use pgkedge_postgres::ledger::Ledger;
use pgkedge_runtime::{
    Journal, JournalError, JournalReader, RunError, RunOptions, RunReport, StopSignal, TakenBack,
};
use pgkedge_steps::{Claim, ServerFence, SharedEpoch, StepPerformer};

use crate::args::Global;
use crate::clock::SystemClock;
use crate::exit::{Exit, Message, Stop, failed};
use crate::output::{self, Format};
use crate::report::Report;
use crate::signals::Signals;
use crate::{numbers, plans, sinks};

/// What only `postgres` knows of a dry-run: the settings of sessions and the guard of transactions.
pub(crate) fn dry_run_options(brief: bool) -> dry_run::Options {
    let ledger = Ledger::placeholder();
    let effect = ledger.effect_sql("‹step›", 0, 1, &[("‹member›", None)]);
    let effect = effect.replace(", 0, 1, ", ", 0, ‹attempt›, ").replace(", null)", ", ‹rows›)");
    dry_run::Options {
        session: pgkedge_postgres::shown_pins(),
        guard: dry_run::Guard {
            open: vec!["begin".to_owned(), ledger.open_sql()],
            close: vec![effect, "commit".to_owned()],
            forget: ledger.forget_sql("‹step›"),
        },
        kinds: pgkedge_steps::kinds(),
        brief,
    }
}

/// Opens a run's journal, as its only runner.
pub(crate) fn open_journal(folder: &Path, claim: Claim) -> Result<Journal, Stop> {
    match claim {
        Claim::IfFree => Journal::open(folder, Arc::new(SystemClock)),
        Claim::TakeOver => Journal::take_over(folder, Arc::new(SystemClock)),
    }
    .map_err(|error| journal_stop(folder, &error))
}

pub(crate) fn journal_stop(folder: &Path, error: &JournalError) -> Stop {
    let stop = failed(&format!("cannot use the run in {}", folder.display()), error);
    let stop = match error.help() {
        Some(help) => stop.help(help),
        None => stop,
    };
    let is_held = matches!(error, JournalError::Held { .. } | JournalError::TakenOver);
    if is_held { stop.exit(Exit::Held) } else { stop }
}

/// Performs a journal's graph from where it stands, and says how it went.
pub(crate) async fn perform(
    journal: Journal,
    folder: &Path,
    claim: Claim,
    until: Option<PhaseName>,
    global: &Global,
) -> Result<Exit, Stop> {
    let header = journal.shared_header();
    let (performer, fence) = performer(&header, claim);
    let stop = StopSignal::default();
    let signals =
        Signals::listen(&stop).map_err(|error| failed("cannot listen for signals", &error))?;
    let options = RunOptions { until, ..RunOptions::default() };
    let sinks = sinks::for_run(&header, global);
    let report = pgkedge_runtime::run(journal, performer, fence, sinks, options, stop).await;
    if let Some(cause) = &report.cause {
        return Err(broken(cause, folder));
    }
    show_end(&header, folder, &report, global)?;
    Ok(exit_of(&report, &signals))
}

/// Why a runner could not go on, with the exit code and the next thing to type.
pub(crate) fn broken(cause: &RunError, folder: &Path) -> Stop {
    let resume = format!("go on: pgkedge resume --state {}", folder.display());
    match cause {
        RunError::Fence(FenceError::Failed(failure)) => Stop::from(failure.clone()),
        RunError::Fence(FenceError::Held { .. } | FenceError::Stale) | RunError::Fenced(_) => {
            let help = format!(
                "only one runner may hold a run; see what it does: pgkedge status --state {}",
                folder.display()
            );
            failed("stopped", cause).exit(Exit::Held).help(help)
        }
        RunError::Journal(error) => journal_stop(folder, error),
        RunError::Over(_) | RunError::UnknownPhase(_) => Stop::usage(cause.to_string()),
        RunError::CutWindow { phases, .. } => {
            let stop = Stop::usage(cause.to_string());
            match phases.last() {
                Some(last) => {
                    stop.help(format!("stop before them, or after the last: --until {last}"))
                }
                None => stop,
            }
        }
        RunError::Begun(_) => Stop::usage(cause.to_string()).help(format!(
            "{resume}\nor take back what it did, and all the rest: pgkedge abort --state {}",
            folder.display()
        )),
        RunError::InUse(_) => Stop::usage(cause.to_string()).help(format!(
            "{resume}\nor remove only what helped the move: pgkedge cleanup --state {}",
            folder.display()
        )),
        RunError::Internal(_) => failed("stopped", cause).help(resume),
    }
}

/// What acts on the servers for a run.
pub(crate) fn performer(
    header: &Arc<RunHeader>,
    claim: Claim,
) -> (Arc<StepPerformer>, Arc<ServerFence>) {
    let endpoints = plans::endpoints(&header.databases, Path::new(&header.plan_path));
    let epoch = SharedEpoch::default();
    let fence = Arc::new(ServerFence::new(endpoints.clone(), epoch.clone(), claim));
    let performer = Arc::new(StepPerformer::new(endpoints, Arc::clone(header), epoch));
    (performer, fence)
}

fn exit_of(report: &RunReport, signals: &Signals) -> Exit {
    match report.status {
        CloseStatus::Succeeded | CloseStatus::CleanedUp | CloseStatus::Aborted => Exit::Done,
        CloseStatus::Interrupted if report.stopped_at.is_some() => Exit::Done,
        CloseStatus::Interrupted => signals.exit().unwrap_or(Exit::Interrupted),
        // What failed was taken back: a run that can be resumed, whatever it was.
        CloseStatus::Failed if report.taken_back.is_some() => Exit::Failed,
        CloseStatus::Failed => match signals.exit() {
            Some(exit) if report.failed.is_empty() => exit,
            _ => report.failed.first().map_or(Exit::Failed, |(_, failure)| Exit::of(failure.class)),
        },
    }
}

/// The last words of a run: what it did, what failed, what to type next.
fn show_end(
    header: &RunHeader,
    folder: &Path,
    ended: &RunReport,
    global: &Global,
) -> Result<(), Stop> {
    let report = read_report(folder, header)?;
    if global.output == Format::Json {
        let taken_back = ended.taken_back.as_ref().map(taken_back_json);
        output::print_json(&serde_json::json!({
            "event": "ended",
            "report": report,
            "taken_back": taken_back,
        }));
        return Ok(());
    }
    if !global.quiet {
        output::say(&report.table());
    }
    for (step, failure) in &ended.failed {
        output::say(&format!("\nfailed: {step}: {}", crate::exit::Shown(failure)));
    }
    if !ended.abandoned.is_empty() {
        let count = numbers::counted(ended.abandoned.len() as u64, "step");
        output::say(&format!("abandoned because of that: {count}"));
    }
    if let Some(taken) = &ended.taken_back {
        output::say(&taken_back_text(taken));
    }
    let folder = folder.display();
    match ended.status {
        CloseStatus::Succeeded if global.quiet => {}
        CloseStatus::Succeeded => output::say(&format!("\ndone; the journal stays in {folder}")),
        CloseStatus::Interrupted if ended.stopped_at.is_some() => output::say(&format!(
            "\nstopped where --until says; go on: pgkedge resume --state {folder}"
        )),
        CloseStatus::Failed | CloseStatus::Interrupted => output::say(&format!(
            "\ngo on:         pgkedge resume --state {folder}\n\
             take it back:  pgkedge abort --state {folder}"
        )),
        CloseStatus::CleanedUp | CloseStatus::Aborted => {}
    }
    Ok(())
}

/// What became of phases that are taken back when they fail.
fn taken_back_text(taken: &TakenBack) -> String {
    let names: Vec<_> = taken.phases.iter().map(|phase| phase.0.as_str()).collect();
    let names = names.join(", ");
    if taken.left.is_empty() {
        return format!("\nthe cutover was taken back ({names}): the source is in service");
    }
    let mut lines = vec![format!("\nthe cutover could not be taken back as a whole ({names}):")];
    for (step, failure) in &taken.left {
        lines.push(format!("still there: {step}: {}", crate::exit::Shown(failure)));
    }
    lines.push("the source may still be closed; `resume` takes this back first".to_owned());
    lines.join("\n")
}

fn taken_back_json(taken: &TakenBack) -> serde_json::Value {
    let left: Vec<_> = taken
        .left
        .iter()
        .map(|(step, failure)| serde_json::json!({ "step": step, "failure": failure }))
        .collect();
    serde_json::json!({ "phases": taken.phases, "undone": taken.undone, "left": left })
}

/// The report of a run as its journal stands now.
pub(crate) fn read_report(folder: &Path, header: &RunHeader) -> Result<Report, Stop> {
    let reader = JournalReader::open(folder).map_err(|error| journal_stop(folder, &error))?;
    let records = reader.records(0).map_err(|error| journal_stop(folder, &error))?;
    Ok(Report::new(header, &records, SystemClock.now()))
}

/// Undoes what a run left, within a scope, and says what is still there.
pub(crate) async fn take_back(
    folder: &Path,
    scope: pgkedge_runtime::UndoScope,
    global: &Global,
) -> Result<Exit, Stop> {
    let journal = open_journal(folder, Claim::IfFree)?;
    let header = journal.shared_header();
    if let Some(status) = journal.checkpoint().closed.filter(|status| status.is_final()) {
        let undoable =
            status == CloseStatus::Succeeded && scope == pgkedge_runtime::UndoScope::Everything;
        let message = match (status, undoable) {
            (_, true) => {
                return Err(Stop::usage("this run succeeded; its result is not taken back").help(
                    "the target is in use by now; drop its objects yourself if that is meant",
                ));
            }
            (CloseStatus::Aborted, _) => "this run was aborted already; nothing is left of it",
            _ => "this run cleaned up after itself already",
        };
        output::say(message);
        return Ok(Exit::Done);
    }
    if scope == pgkedge_runtime::UndoScope::Everything {
        refuse_old_copy(&header, journal.checkpoint()).await?;
    }
    let (performer, fence) = performer(&header, Claim::IfFree);
    let stop = StopSignal::default();
    let signals =
        Signals::listen(&stop).map_err(|error| failed("cannot listen for signals", &error))?;
    let sinks = sinks::for_run(&header, global);
    let report = pgkedge_runtime::undo(journal, performer, fence, sinks, scope, stop).await;
    if report.left.is_empty() && report.cause.is_none() && report.status.is_some() {
        if !global.quiet {
            let undone = numbers::counted(report.undone.len() as u64, "step");
            output::say(&format!("{undone} undone; nothing is left"));
        }
        return Ok(Exit::Done);
    }
    if let Some(exit) = signals.exit() {
        return Ok(exit);
    }
    match &report.cause {
        Some(cause) => Err(broken(cause, folder)),
        None => Err(leftovers(&report.left)),
    }
}

/// A copy of a run's state from before its end knows nothing of that end: what it would take back is
/// in use by now. The ledger tells, which goes last of all.
async fn refuse_old_copy(header: &RunHeader, checkpoint: &Checkpoint) -> Result<(), Stop> {
    let started = |node: &StepNode| {
        !matches!(checkpoint.state(&node.id), StepState::Pending | StepState::Undone)
    };
    let is_started =
        |kind: &str| header.graph.steps().any(|node| node.kind == kind && started(node));
    let is_done = |kind: &str| {
        let mut nodes = header.graph.steps().filter(|node| node.kind == kind);
        nodes.any(|node| checkpoint.state(&node.id).is_succeeded())
    };
    let has_result =
        header.graph.steps().any(|node| node.leaves == Leaves::Result && started(node));
    if !has_result || !is_done("create_ledger") || is_started("drop_ledger") {
        return Ok(());
    }
    let endpoints = plans::endpoints(&header.databases, Path::new(&header.plan_path));
    let Some(target) = endpoints.get(&Server::Target) else { return Ok(()) };
    let tag = header.run_id.tag();
    let found = pgkedge_steps::scan(target).await?;
    if found.iter().any(|left| left.tag == tag && left.ledger.is_some()) {
        return Ok(());
    }
    Err(Stop::usage("the ledger of this run is gone, so nothing was taken back")
        .help(
            "this state is an old copy of a run that has ended elsewhere, or the target was made \
             anew: if nothing of the target is in use, drop its objects yourself",
        )
        .exit(Exit::Held))
}

pub(crate) fn leftovers(left: &[(pgkedge_model::StepId, Failure)]) -> Stop {
    let mut failure = Failure::permanent(format!(
        "{} could not be undone",
        numbers::counted(left.len() as u64, "step")
    ));
    for (step, cause) in left {
        failure = failure.detail(format!("{step}: {}", crate::exit::Shown(cause)));
    }
    let failure = failure.help("mend the cause, then type the same command again");
    Stop { exit: Exit::Leftovers, message: Message::Plain(failure) }
}
