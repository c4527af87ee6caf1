//! The command `pgkedge`: the only crate that prints, exits, or reads the environment.

mod args;
mod clock;
mod commands;
mod compare;
mod engine;
mod exit;
mod numbers;
mod output;
mod pipelines;
mod plans;
mod report;
mod runs;
mod secrets;
mod signals;
mod sinks;
mod streams;

use std::process::ExitCode;

use args::{Cli, Command, Global};
use clap::Parser as _;
use exit::{Exit, Stop};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli.global);
    #[cfg(debug_assertions)]
    arm_failpoint();
    let format = cli.global.output;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(Box::pin(dispatch(cli)));
            // A cancelled step may still wait for a server: resume is safe, so leave.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(exit::failed("cannot start", &error)),
    };
    outcome
        .unwrap_or_else(|stop| {
            output::say_stop(&stop, format);
            stop.exit
        })
        .into()
}

async fn dispatch(cli: Cli) -> Result<Exit, Stop> {
    let global = &cli.global;
    match cli.command {
        Command::Validate(args) => commands::validate::run(&args, global),
        Command::Inspect(args) => commands::inspect::run(&args, global).await,
        Command::Preflight(args) => Box::pin(commands::preflight::run(&args, global)).await,
        Command::Plan(args) => commands::plan::run(&args, global).await,
        Command::Run(args) => Box::pin(commands::run::run(&args, global)).await,
        Command::Resume(args) => commands::resume::run(&args, global).await,
        Command::Redo(args) => commands::redo::run(&args, global).await,
        Command::Status(args) => commands::status::run(&args, global).await,
        Command::Verify(args) => Box::pin(commands::verify::run(&args, global)).await,
        Command::Log(args) => commands::log::run(&args, global).await,
        Command::Approve(args) => commands::approve::run(&args, global),
        Command::Limits(args) => commands::limits::run(&args, global),
        Command::Cleanup(args) => commands::cleanup::run(&args, global).await,
        Command::Abort(args) => commands::abort::run(&args, global).await,
        Command::Sandbox(args) => commands::sandbox::run(&args, global).await,
        Command::Demo(args) => Box::pin(commands::demo::run(&args, global)).await,
        Command::Schema(args) => Ok(commands::schema::run(&args)),
        Command::Completions(args) => Ok(commands::completions::run(&args)),
    }
}

/// Tests of debug builds name the place where this process dies.
#[cfg(debug_assertions)]
fn arm_failpoint() {
    if let Ok(failpoint) = std::env::var("PGKEDGE_FAILPOINT") {
        pgkedge_runtime::arm_failpoint(&failpoint);
    }
}

/// Logs go to stderr; `PGKEDGE_LOG` takes a filter as tracing writes it.
fn log_to_stderr(global: &Global) {
    let default = match global.verbose {
        0 => "error",
        1 => "pgkedge=info,warn",
        _ => "pgkedge=debug,info",
    };
    let filter = EnvFilter::try_from_env("PGKEDGE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
