use pgkedge_model::LimitChange;
use pgkedge_runtime::{JournalReader, Request};

use crate::args::{Global, StateArgs};
use crate::clock::SystemClock;
use crate::engine::journal_stop;
use crate::exit::{Exit, Stop};
use crate::{output, runs};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// Steps that run at the same time, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Connections of steps to the source, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    source_connections: Option<u16>,
    /// Connections of steps to the target, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    target_connections: Option<u16>,
}

/// Change what a run may take, while it goes on
#[derive(Debug, clap::Args)]
#[command(after_help = "Give a busy source some rest:
  pgkedge limits --workers 2 --source-connections 3")]
pub(crate) struct LimitsArgs {
    #[command(flatten)]
    limits: Args,
    #[command(flatten)]
    state: StateArgs,
}

pub(crate) fn run(args: &LimitsArgs, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    let stop = |error| journal_stop(&folder, &error);
    let reader = JournalReader::open(&folder).map_err(stop)?;
    let limits = LimitChange {
        workers: args.limits.workers,
        source_connections: args.limits.source_connections,
        target_connections: args.limits.target_connections,
    };
    reader.request(&Request::SetLimits { limits }, &SystemClock).map_err(stop)?;
    if !global.quiet {
        output::say("asked; the runner takes it up within a second, or at the next resume");
    }
    Ok(Exit::Done)
}
