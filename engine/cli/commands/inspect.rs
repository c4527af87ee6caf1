use std::path::PathBuf;

use pgkedge_model::Server;

use crate::args::Global;
use crate::exit::{Exit, Stop};
use crate::output;
use crate::plans;

/// Print a database's catalog as JSON, so that planning works offline
#[derive(Debug, clap::Args)]
#[command(after_help = "Plan where the servers cannot be reached:
  pgkedge inspect plan.yaml --database source > source.json
  pgkedge inspect plan.yaml --database target > target.json
  pgkedge plan plan.yaml --catalog source=source.json --catalog target=target.json")]
pub(crate) struct Args {
    /// The plan that says how the database is reached.
    plan: PathBuf,
    /// Which database of the plan.
    #[arg(long, value_enum, default_value = "source")]
    database: Which,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Which {
    Source,
    Target,
}

pub(crate) async fn run(args: &Args, _: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(&args.plan)?;
    let endpoints = plans::endpoints(&plan.databases, &plans::absolute(&args.plan)?);
    let server = match args.database {
        Which::Source => Server::Source,
        Which::Target => Server::Target,
    };
    let catalog = plans::catalog(&endpoints, server).await?;
    output::print_json(&catalog);
    Ok(Exit::Done)
}
