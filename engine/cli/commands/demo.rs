use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pgkedge_model::{Server, StepState};
use pgkedge_postgres::Endpoint;
use pgkedge_runtime::JournalReader;
use pgkedge_sandbox::dvd_rental::Size;
use pgkedge_sandbox::{Options, Sandbox};
use serde::Serialize;
use tokio::process::{Child, Command};

use super::sandbox::{fill, sandbox_stop, started};
use crate::args::Global;
use crate::compare::{self, What};
use crate::engine::{self, journal_stop};
use crate::exit::{Exit, Stop, failed};
use crate::output;
use crate::report::Report;
use crate::{numbers, plans};

/// Show the whole job on throw-away servers: move, be killed, resume, compare
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rows: 1 is some 200,000 in 60 MB.
    #[arg(long, default_value_t)]
    size: Size,
    /// Leave the servers running at the end, to look around.
    #[arg(long)]
    keep: bool,
}

/// The last line of a demo.
#[derive(Debug, Serialize)]
struct Figures {
    tables: u64,
    rows: u64,
    differences: usize,
    leftovers: usize,
    resumed: u32,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let tell = |text: &str| {
        if !global.quiet {
            output::say(text);
        }
    };
    tell("starting a source and a target server, and filling the source");
    let sandbox = started(&Options::default())?;
    let shown = Box::pin(show(&sandbox, args.size, global, &tell)).await;
    if args.keep {
        tell(&format!("kept; end it: pgkedge sandbox down {}", sandbox.folder.display()));
    } else {
        Sandbox::down(&sandbox.folder).map_err(|error| sandbox_stop(&error))?;
    }
    let figures = shown?;
    output::print_json(&figures);
    Ok(match figures {
        Figures { differences: 1.., .. } => Exit::Differences,
        Figures { leftovers: 1.., .. } => Exit::Leftovers,
        Figures { .. } => Exit::Done,
    })
}

async fn show(
    sandbox: &Sandbox,
    size: Size,
    global: &Global,
    tell: &impl Fn(&str),
) -> Result<Figures, Stop> {
    fill(sandbox, size).await?;
    let (plan, state) = (sandbox.plan(), sandbox.folder.join("run"));
    tell(&format!("\n$ pgkedge run {}", plan.display()));
    let run = [Path::new("run"), &plan, Path::new("--yes"), Path::new("--state"), &state];
    let resumed = killed_in_the_load(engine_process(&run, global)?, &state).await?;
    if resumed > 0 {
        tell("\nthe engine was killed (SIGKILL) in the middle of the load");
        tell(&format!("\n$ pgkedge resume --state {}", state.display()));
        let resume = [Path::new("resume"), Path::new("--state"), &state];
        let mut child = engine_process(&resume, global)?;
        ended_well(child.wait().await)?;
    }
    tell("\ncomparing every table and every object again, without the run's help");
    Box::pin(figures(sandbox, &state, resumed, tell)).await
}

/// Starts this program again, its words on stderr, its data nowhere.
fn engine_process(arguments: &[&Path], global: &Global) -> Result<Child, Stop> {
    let program = std::env::current_exe().map_err(|error| failed("cannot find myself", &error))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    if global.quiet {
        command.arg("--quiet");
    }
    command.spawn().map_err(|error| failed("cannot start the engine", &error))
}

/// Kills the engine once a first part is in and another is on its way. Returns how often (0 or 1):
/// a load that was over too soon was not killed, and the figures say so.
async fn killed_in_the_load(mut child: Child, state: &Path) -> Result<u32, Stop> {
    loop {
        tokio::select! {
            status = child.wait() => {
                ended_well(status)?;
                return Ok(0);
            }
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
        if in_the_load(state) {
            child.kill().await.map_err(|error| failed("cannot kill the engine", &error))?;
            return Ok(1);
        }
    }
}

fn in_the_load(state: &Path) -> bool {
    let Ok(reader) = JournalReader::open(state) else { return false };
    let Ok(checkpoint) = reader.checkpoint() else { return false };
    let copies = |wanted: fn(&StepState) -> bool| {
        let mut copies = checkpoint.steps.iter().filter(|(id, _)| id.0.starts_with("load/copy/"));
        copies.any(|(_, state)| wanted(state))
    };
    copies(|state| matches!(state, StepState::Succeeded { .. }))
        && copies(|state| matches!(state, StepState::Running { .. }))
}

fn ended_well(status: std::io::Result<std::process::ExitStatus>) -> Result<(), Stop> {
    let status = status.map_err(|error| failed("cannot wait for the engine", &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Stop::usage(format!("the engine ended with {status}")).exit(Exit::Failed))
}

async fn figures(
    sandbox: &Sandbox,
    state: &Path,
    resumed: u32,
    tell: &impl Fn(&str),
) -> Result<Figures, Stop> {
    let reader = JournalReader::open(state).map_err(|error| journal_stop(state, &error))?;
    let header = reader.header().map_err(|error| journal_stop(state, &error))?;
    let report: Report = engine::read_report(state, &header)?;
    let endpoints = plans::endpoints(&header.databases, &sandbox.plan());
    let facts = plans::introspected(&endpoints).await?;
    let compared = compare::now(&endpoints, &facts, What::default()).await?;
    for difference in &compared.found.differences {
        output::say(&format!("difference: {difference}"));
    }
    let leftovers = leftovers(&endpoints).await?;
    let figures = Figures {
        tables: compared.tables,
        rows: compared.rows,
        differences: compared.found.differences.len(),
        leftovers: leftovers.len(),
        resumed,
    };
    tell(&format!(
        "\n{}\n\n{}, {} compared: {}; {}; resumed {}",
        report.table(),
        numbers::counted(figures.tables, "table"),
        numbers::counted(figures.rows, "row"),
        numbers::counted(figures.differences as u64, "difference"),
        numbers::counted(figures.leftovers as u64, "leftover"),
        if resumed == 1 {
            "once"
        } else {
            "never: the load was over too soon; try a larger --size"
        },
    ));
    for leftover in leftovers {
        output::say(&format!("leftover: {leftover}"));
    }
    Ok(figures)
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
