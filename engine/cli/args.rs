//! The command line. Doc comments here are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::output::Format;

/// Moves a PostgreSQL database to another server, by a plan that is checked, shown, run, resumed
/// and verified.
#[derive(Debug, Parser)]
#[command(name = "pgkedge", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "A first move:
  pgkedge demo                      the whole job on throw-away servers
  pgkedge validate plan.yaml        check the plan, touch nothing
  pgkedge plan plan.yaml            every statement that would be sent
  pgkedge plan plan.yaml --format markdown --out runbook.md
                                    the same as a runbook, to be read and ticked off
  pgkedge run plan.yaml             do it; Ctrl-C is safe
  pgkedge resume                    go on after any failure

Exit codes: 0 done, 1 a step failed (resumable), 2 wrong usage, 3 invalid plan, 4 blocked by
preflight, 5 the two sides differ, 6 another runner holds the run, 7 objects remain, 8 the plan
was edited in a way that cannot be resumed, 130 and 143 interrupted (resumable).")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// How data is printed; JSON prints one document, or one a line for streams.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// Say only what went wrong.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log what the engine does; twice for more.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Never ask anything.
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Validate(commands::validate::Args),
    Inspect(commands::inspect::Args),
    Preflight(commands::preflight::Args),
    Plan(commands::plan::Args),
    Run(commands::run::Args),
    Resume(commands::resume::Args),
    Redo(commands::redo::Args),
    Status(commands::status::Args),
    Log(commands::log::Args),
    Verify(commands::verify::Args),
    Approve(commands::approve::Args),
    Limits(commands::limits::LimitsArgs),
    Cleanup(commands::cleanup::Args),
    Abort(commands::abort::Args),
    Sandbox(commands::sandbox::Args),
    Demo(commands::demo::Args),
    Schema(commands::schema::Args),
    Completions(commands::completions::Args),
}

/// Which run a command means.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateArgs {
    /// Folder of the run's state. Left out: the only unfinished run of this user.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}
