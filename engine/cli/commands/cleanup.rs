use std::path::{Path, PathBuf};

use pgkedge_runtime::UndoScope;
use pgkedge_steps::LiveSessions;
use serde_json::json;

use crate::args::{Global, StateArgs};
use crate::exit::{Exit, Stop};
use crate::output::{self, Format};
use crate::{engine, plans, runs};

/// Remove what a run created for itself; what it moved stays
#[derive(Debug, clap::Args)]
#[command(after_help = "Look for what runs have left behind, whose state is lost:
  pgkedge cleanup --scan plan.yaml --dry-run
Exit code 7: something is left that could not be removed.")]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// The run with this id, or with these last eight digits of it.
    #[arg(long, value_name = "ID", conflicts_with = "state")]
    run: Option<String>,
    /// Without any state: look for leftovers of all runs in the databases of this plan.
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["state", "run"])]
    scan: Option<PathBuf>,
    /// With --scan: only say what is there.
    #[arg(long, requires = "scan")]
    dry_run: bool,
    /// With --scan: end the sessions of those runs first; make sure that no runner is at work.
    #[arg(long, requires = "scan")]
    end_sessions: bool,
}

impl Args {
    fn live(&self) -> LiveSessions {
        if self.end_sessions { LiveSessions::End } else { LiveSessions::Refuse }
    }
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    if let Some(plan) = &args.scan {
        return scan_databases(plan, args, global).await;
    }
    let folder = match &args.run {
        Some(id) => runs::find_by_id(id)?,
        None => runs::find(args.state.state.as_deref())?,
    };
    engine::take_back(&folder, UndoScope::Scaffold, global).await
}

async fn scan_databases(path: &Path, args: &Args, global: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(path)?;
    let endpoints = plans::endpoints(&plan.databases, &plans::absolute(path)?);
    let mut shown = Vec::new();
    let mut left = 0;
    for endpoint in endpoints.values() {
        for leftover in pgkedge_steps::scan(endpoint).await? {
            let mut line = leftover.to_string();
            if args.dry_run {
                left += 1;
            } else if let Err(failure) =
                pgkedge_steps::remove(endpoint, &leftover, args.live()).await
            {
                left += 1;
                line = format!("{line}: {}", crate::exit::Shown(&failure));
            } else {
                line = format!("{line}: removed");
            }
            shown.push(line);
        }
    }
    match global.output {
        Format::Json => output::print_json(&json!({ "found": shown, "left": left })),
        Format::Text if shown.is_empty() => output::say("no leftovers of any run"),
        Format::Text => output::print(&shown.join("\n")),
    }
    Ok(if left > 0 { Exit::Leftovers } else { Exit::Done })
}
