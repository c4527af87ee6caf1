use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgkedge_compile::Compiled;
use pgkedge_model::{Facts, PhaseName, RunHeader, RunId, Server};
use pgkedge_plan::Plan;
use pgkedge_runtime::Journal;
use pgkedge_steps::Claim;

use crate::args::Global;
use crate::clock::SystemClock;
use crate::exit::{Exit, Stop};
use crate::{engine, numbers, output, plans, runs};

/// Execute a plan from its beginning; Ctrl-C is safe
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan's YAML file.
    plan: PathBuf,
    /// Folder for the run's state; it must not hold an unfinished run.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Stop when this phase is done; `resume` goes on from there.
    #[arg(long, value_name = "PHASE")]
    until: Option<String>,
    /// Start without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(&args.plan)?;
    let run_id = RunId(uuid::Uuid::now_v7().simple().to_string());
    let folder = runs::folder_for(args.state.as_deref(), &plan.name, &run_id)?;
    let plan_path = plans::absolute(&args.plan)?;
    let facts = plans::introspected(&plans::endpoints(&plan.databases, &plan_path)).await?;
    let compiled = plans::compiled(&plan, &facts)?;
    let until = until(args.until.as_deref(), &compiled)?;
    let warnings: Vec<_> = plan.warnings.iter().chain(&compiled.warnings).cloned().collect();
    plans::show_warnings(&plan, &warnings, global);
    if !args.yes && output::is_interactive() {
        confirm(&plan, &facts, &compiled, global)?;
    }
    let header = header(&plan, &plan_path, run_id, facts, compiled);
    let journal = Journal::create(&folder, header, Arc::new(SystemClock))
        .map_err(|error| engine::journal_stop(&folder, &error))?;
    drop(plan);
    engine::perform(journal, &folder, Claim::IfFree, until, global).await
}

/// The phase of `--until`, if the graph has it.
pub(crate) fn until(name: Option<&str>, compiled: &Compiled) -> Result<Option<PhaseName>, Stop> {
    phase_named(name, compiled.graph.phases())
}

pub(crate) fn phase_named(
    name: Option<&str>,
    phases: &[PhaseName],
) -> Result<Option<PhaseName>, Stop> {
    let Some(name) = name else { return Ok(None) };
    phases.iter().find(|phase| phase.0 == name).cloned().map(Some).ok_or_else(|| {
        let known: Vec<_> = phases.iter().map(|phase| phase.0.as_str()).collect();
        Stop::usage(format!("there is no phase `{name}`"))
            .help(format!("phases of this plan: {}", known.join(", ")))
    })
}

fn header(
    plan: &Plan,
    plan_path: &Path,
    run_id: RunId,
    facts: Facts,
    compiled: Compiled,
) -> RunHeader {
    RunHeader {
        run_id,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        plan_name: plan.name.clone(),
        plan_path: plan_path.to_string_lossy().into_owned(),
        databases: plan.databases.clone(),
        settings: plan.settings.clone(),
        facts,
        capture: compiled.capture,
        graph: compiled.graph,
    }
}

/// Shows what is about to happen, and asks.
fn confirm(plan: &Plan, facts: &Facts, compiled: &Compiled, global: &Global) -> Result<(), Stop> {
    let tables: usize = compiled.selection.groups.iter().map(|group| group.tables.len()).sum();
    let bytes: u64 = facts.source.tables.iter().map(|table| table.bytes).sum();
    let names: BTreeMap<Server, &str> = [Server::Source, Server::Target]
        .into_iter()
        .filter_map(|server| Some((server, facts.catalog(server)?.database.name.as_str())))
        .collect();
    output::say(&format!(
        "{}: {}, {} from database {} to database {}, {} in {} phases",
        plan.name,
        numbers::counted(tables as u64, "table"),
        numbers::bytes(bytes),
        names.get(&Server::Source).unwrap_or(&"?"),
        names.get(&Server::Target).unwrap_or(&"?"),
        numbers::counted(compiled.graph.steps().count() as u64, "step"),
        compiled.graph.phases().len(),
    ));
    let own: Vec<_> = compiled
        .graph
        .steps()
        .filter(|node| matches!(node.kind.as_str(), "sql" | "command"))
        .collect();
    for node in own {
        output::say(&format!("  runs your own {}: {} {}", node.kind, node.id, node.params));
    }
    if global.no_input {
        return Err(Stop::usage("--no-input, and nobody said yes").help("add --yes"));
    }
    if output::ask("Start?") {
        Ok(())
    } else {
        Err(Stop::usage("not started; nothing was changed"))
    }
}
