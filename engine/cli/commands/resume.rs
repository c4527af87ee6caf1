use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgkedge_model::{RunHeader, Server};
use pgkedge_postgres::Endpoint;
use pgkedge_runtime::Journal;
use pgkedge_steps::Claim;

use crate::args::{Global, StateArgs};
use crate::commands::run::phase_named;
use crate::exit::{Exit, Stop, failed};
use crate::{engine, output, plans, runs};

/// Go on with a run from its last checkpoint, after any failure or kill
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An edited plan: steps that did not start yet may differ. Left out: as it was compiled.
    plan: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Stop when this phase is done.
    #[arg(long, value_name = "PHASE")]
    until: Option<String>,
    /// Take the run from a runner that hangs: its sessions are ended, and it changes nothing more.
    #[arg(long)]
    take_over: bool,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    let claim = if args.take_over { Claim::TakeOver } else { Claim::IfFree };
    let mut journal = engine::open_journal(&folder, claim)?;
    if journal.checkpoint().closed.is_some_and(pgkedge_model::CloseStatus::is_final) {
        output::say("this run is over; there is nothing to resume");
        return Ok(Exit::Done);
    }
    if let Some(plan) = &args.plan {
        edit(&mut journal, plan, global).await?;
    }
    let until = phase_named(args.until.as_deref(), journal.header().graph.phases())?;
    engine::perform(journal, &folder, claim, until, global).await
}

/// Replaces the steps that did not start yet by those of an edited plan, and its options.
async fn edit(journal: &mut Journal, path: &Path, global: &Global) -> Result<(), Stop> {
    let plan = plans::read(path)?;
    let plan_path = plans::absolute(path)?;
    let old = journal.header();
    refuse_other_databases(&plans::endpoints(&plan.databases, &plan_path), old).await?;
    let compiled = plans::compiled(&plan, &old.facts)?;
    let new = RunHeader {
        plan_name: plan.name.clone(),
        plan_path: plan_path.to_string_lossy().into_owned(),
        databases: plan.databases.clone(),
        settings: plan.settings.clone(),
        capture: compiled.capture,
        graph: compiled.graph,
        ..old.clone()
    };
    let changes = pgkedge_compile::edit(old, journal.checkpoint(), &new)
        .map_err(|findings| plans::rejected(&plan, &findings).exit(Exit::Edited))?;
    if changes.is_empty() && (&new.plan_name, &new.plan_path) == (&old.plan_name, &old.plan_path) {
        return Ok(());
    }
    if !global.quiet {
        for change in &changes {
            output::say(&format!("edited: {change}"));
        }
    }
    journal.edit(new, changes).map_err(|error| failed("cannot record the edited plan", &error))
}

/// A plan may reach its databases in another way, but they must be the same ones.
async fn refuse_other_databases(
    endpoints: &BTreeMap<Server, Endpoint>,
    run: &RunHeader,
) -> Result<(), Stop> {
    for (server, endpoint) in endpoints {
        if let Some(catalog) = run.facts.catalog(*server) {
            pgkedge_steps::same_database(endpoint, catalog)
                .await
                .map_err(|failure| Stop::from(failure).exit(Exit::Edited))?;
        }
    }
    Ok(())
}
