use std::fs;
use std::path::PathBuf;

use pgkedge_compile::dry_run::{self, Subject};
use pgkedge_model::{Facts, Server};

use crate::args::Global;
use crate::engine;
use crate::exit::{Exit, Stop, failed};
use crate::output::{self, Format};
use crate::plans;

/// Show what a run would do: phases, steps, what they wait for, every statement
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan's YAML file.
    plan: PathBuf,
    /// Use a catalog that `inspect` wrote instead of asking the server: source=FILE or target=FILE.
    #[arg(long, value_name = "DATABASE=FILE", value_parser = catalog_file)]
    catalog: Vec<(Server, PathBuf)>,
    /// How the dry-run is printed.
    #[arg(long, value_enum)]
    format: Option<Shown>,
    /// Show the first statements of each step only.
    #[arg(long)]
    brief: bool,
    /// Write to a file instead of the terminal.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How a dry-run can be shown.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shown {
    Text,
    Json,
    /// The graph, for Graphviz.
    Dot,
    /// The graph, for Markdown.
    Mermaid,
}

impl From<Format> for Shown {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

fn catalog_file(text: &str) -> Result<(Server, PathBuf), String> {
    match text.split_once('=') {
        Some(("source", path)) => Ok((Server::Source, path.into())),
        Some(("target", path)) => Ok((Server::Target, path.into())),
        _ => Err("write source=FILE or target=FILE".to_owned()),
    }
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(&args.plan)?;
    let facts = facts(args, &plan).await?;
    let compiled = plans::compiled(&plan, &facts)?;
    let warnings: Vec<_> = plan.warnings.iter().chain(&compiled.warnings).cloned().collect();
    plans::show_warnings(&plan, &warnings, global);
    let subject = Subject::of(&plan, &compiled, &facts);
    let options = engine::dry_run_options(args.brief);
    let text = match args.format.unwrap_or(global.output.into()) {
        Shown::Text => dry_run::text(subject, &options)
            .map_err(|error| failed("cannot show the dry-run", &error))?,
        Shown::Json => dry_run::json(subject, &options).to_string(),
        Shown::Dot => pgkedge_compile::dot(&compiled.graph),
        Shown::Mermaid => pgkedge_compile::mermaid(&compiled.graph),
    };
    match &args.out {
        None => output::print(&text),
        Some(path) => fs::write(path, text + "\n").map_err(|error| {
            failed(&format!("cannot write {}", path.display()), &error).exit(Exit::Usage)
        })?,
    }
    Ok(Exit::Done)
}

/// Catalogs from files where they are given; a target that is not given is not asked when the
/// source comes from a file, so that planning works offline.
async fn facts(args: &Args, plan: &pgkedge_plan::Plan) -> Result<Facts, Stop> {
    let endpoints = &plans::endpoints(&plan.databases, &plans::absolute(&args.plan)?);
    let file = |server| args.catalog.iter().find(|(s, _)| *s == server).map(|(_, path)| path);
    let read = |server| async move { plans::catalog(endpoints, server).await.map_err(Stop::from) };
    let source = async {
        match file(Server::Source) {
            Some(path) => plans::catalog_from_file(path),
            None => read(Server::Source).await,
        }
    };
    let target = async {
        match (file(Server::Target), file(Server::Source)) {
            (Some(path), _) => plans::catalog_from_file(path).map(Some),
            (None, Some(_)) => Ok(None),
            (None, None) => read(Server::Target).await.map(Some),
        }
    };
    // What is compiled does not hang on the replica's server, so planning offline does without it.
    let replica = async {
        match file(Server::Source) {
            Some(_) => Ok(None),
            None => plans::replica(endpoints).await.map_err(Stop::from),
        }
    };
    let (source, target, replica) = tokio::join!(source, target, replica);
    Ok(Facts { source: source?, target: target?, replica: replica? })
}
