//! The whole job, shown on throw-away servers that are written to all the time.
//!
//! An application writes to the source from before the plan is compiled until the run closes the source, and
//! goes on at the target once that lets it in. There its writers are held until every table was compared:
//! the source stands still by then and the target too, so that a difference is one. The time for which they
//! are held is the demo's own; `longest_pause_ms` leaves it out, and `write_pause_ms` is the run's own word.
//! Then they write to the target for a moment, and what they were told is looked up there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pgkedge_model::{Server, StepState};
use pgkedge_runtime::JournalReader;
use pgkedge_sandbox::dvd_rental::Size;
use pgkedge_sandbox::{
    Application, Gate, Options, Proof, Replica, Report, Sandbox, THREE_SLOTS, Workload, Writers,
    administrator,
};
use tokio::process::{Child, Command};

use super::sandbox::{fill, sandbox_stop, started};
use crate::args::Global;
use crate::exit::{Exit, Stop, failed};
use crate::output;

mod figures;

use figures::Figures;

/// Show the whole job on throw-away servers: move a database that is written to, be killed, resume, compare
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rows: 1 is some 200,000 in 60 MB.
    #[arg(long, default_value_t)]
    size: Size,
    /// What the writers do follows from it; left out, another one each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Leave the servers running at the end, to look around.
    #[arg(long)]
    keep: bool,
}

/// Parts enough to be killed between two of them. What the writers have prepared when the source is
/// closed is rolled back: they commit none of it later.
const FIELDS: &str = "load: { part_size: 2MiB }
cutover: { prepared_transactions: rollback }
";
/// Transactions that the application writes to the target before it ends.
const WRITTEN_AFTERWARDS: u64 = 500;
/// They are not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any demo takes.
const LIMIT: Duration = Duration::from_mins(30);

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let tell = |text: &str| {
        if !global.quiet {
            output::say(text);
        }
    };
    tell("starting a source, its replica and a target server, and filling the source");
    let sandbox = started(&Options { replica: Replica::Streaming, ..Options::default() })?;
    let shown = Box::pin(show(&sandbox, args, global, &tell)).await;
    if args.keep {
        tell(&format!("kept; end it: pgkedge sandbox down {}", sandbox.folder.display()));
    } else {
        Sandbox::down(&sandbox.folder).map_err(|error| sandbox_stop(&error))?;
    }
    let figures = shown?;
    output::print_json(&figures);
    Ok(figures.exit())
}

async fn show(
    sandbox: &Sandbox,
    args: &Args,
    global: &Global,
    tell: &impl Fn(&str),
) -> Result<Figures, Stop> {
    fill(sandbox, args.size).await?;
    let application = Application::install(sandbox).await?;
    let plan = written_plan(sandbox)?;
    let seed = args.seed.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    let workload = Workload { seed, limit: LIMIT, target: Gate::Held, ..Workload::default() };
    tell(&format!(
        "{} writers write to it, {} transactions a second (--seed {seed})",
        workload.writers, workload.rate
    ));
    let writers = Writers::start(&application, workload).await?;
    let state = sandbox.folder.join("run");
    let resumed = moved(&plan, &state, global, tell).await?;
    tell("\ncomparing every table and every object again, without the run's help");
    let mut figures = Box::pin(Figures::of(sandbox, &state)).await?;
    figures.resumed = resumed;
    tell("the application goes on at the target");
    let report = written_on(writers).await;
    let target = administrator(&sandbox.target).sql("demo").await?;
    figures.count(&report, &Proof::of(&report, &target).await?);
    figures.show(tell);
    Ok(figures)
}

/// Lets the writers go on at the target, and ends them when they have written enough.
async fn written_on(writers: Writers) -> Report {
    writers.admit();
    let enough = async {
        while writers.committed_on(Server::Target) < WRITTEN_AFTERWARDS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Those that do not get that far are counted all the same.
    drop(tokio::time::timeout(PATIENCE, enough).await);
    writers.stopped().await
}

/// The sandbox's plan, with groups and slots.
fn written_plan(sandbox: &Sandbox) -> Result<PathBuf, Stop> {
    let path = sandbox.folder.join("demo.yaml");
    std::fs::read_to_string(sandbox.plan())
        .and_then(|text| std::fs::write(&path, format!("{text}{THREE_SLOTS}{FIELDS}")))
        .map_err(|error| failed("cannot write the demo's plan", &error))?;
    Ok(path)
}

/// Runs the plan to its end. Returns how often it had to be resumed.
async fn moved(
    plan: &Path,
    state: &Path,
    global: &Global,
    tell: &impl Fn(&str),
) -> Result<u32, Stop> {
    tell(&format!("\n$ pgkedge run {}", plan.display()));
    let run = [Path::new("run"), plan, Path::new("--yes"), Path::new("--state"), state];
    let resumed = killed_in_the_load(engine_process(&run, global)?, state).await?;
    if resumed > 0 {
        tell("\nthe engine was killed (SIGKILL) in the middle of the load");
        tell(&format!("\n$ pgkedge resume --state {}", state.display()));
        let resume = [Path::new("resume"), Path::new("--state"), state];
        let mut child = engine_process(&resume, global)?;
        ended_well(child.wait().await)?;
    }
    Ok(resumed)
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
