use std::fs;
use std::path::PathBuf;

use pgkedge_compile::dry_run::{self, Subject};
use pgkedge_model::{Facts, Server};

use crate::args::Global;
use crate::engine;
use crate::exit::{Exit, Stop, failed};
use crate::output::{self, Format};
use crate::plans;

/// Show what a run would do: as text, SQL, a runbook, a picture, or JSON
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The plan's YAML file.
    plan: PathBuf,
    /// Use a catalog that `inspect` wrote instead of asking the server: source=FILE or target=FILE.
    #[arg(long, value_name = "DATABASE=FILE", value_parser = catalog_file)]
    catalog: Vec<(Server, PathBuf)>,
    /// What is printed. Left out: text, or JSON with `--output json`.
    #[arg(long, value_enum)]
    format: Option<Shown>,
    /// With text: show the first statements of each step only.
    #[arg(long)]
    brief: bool,
    /// With sql: show what would take everything back, last step first.
    #[arg(long)]
    undo: bool,
    /// Write to this file instead of the terminal.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "Nothing is sent but reads of the catalogs; no server is changed.

  pgkedge plan plan.yaml | less                            phases, steps, statements, locks
  pgkedge plan plan.yaml --format sql --out review.sql     every statement, to be reviewed
  pgkedge plan plan.yaml --format sql --undo               what would take it all back
  pgkedge plan plan.yaml --format markdown --out move.md   a runbook with boxes to tick
  pgkedge plan plan.yaml --format dot | dot -Tsvg > plan.svg";

/// How a dry-run can be shown.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shown {
    /// Phases, steps, what they wait for, every statement.
    Text,
    /// The same for programs, with digests, costs and undo.
    Json,
    /// Every statement as annotated SQL, to be reviewed.
    Sql,
    /// A runbook that a person could follow by hand.
    Markdown,
    /// The graph as a picture, for Graphviz.
    Dot,
    /// The graph as a picture, for Markdown.
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
    let format = args.format.unwrap_or(global.output.into());
    if args.undo && !matches!(format, Shown::Sql) {
        return Err(Stop::usage("--undo is for SQL alone").help("add: --format sql"));
    }
    let plan = plans::read(&args.plan)?;
    let facts = facts(args, &plan).await?;
    let compiled = plans::compiled(&plan, &facts)?;
    let warnings: Vec<_> = plan.warnings.iter().chain(&compiled.warnings).cloned().collect();
    plans::show_warnings(&plan, &warnings, global);
    let subject = Subject::of(&plan, &compiled, &facts);
    let options = engine::dry_run_options(args.brief);
    let text = match format {
        Shown::Text => dry_run::text(subject, &options),
        Shown::Json => Ok(dry_run::json(subject, &options).to_string()),
        Shown::Sql if args.undo => dry_run::undo_sql(subject, &options),
        Shown::Sql => dry_run::sql(subject, &options),
        Shown::Markdown => dry_run::markdown(subject, &options),
        Shown::Dot => Ok(pgkedge_compile::dot(&compiled.graph)),
        Shown::Mermaid => Ok(pgkedge_compile::mermaid(&compiled.graph)),
    };
    let text = text.map_err(|error| failed("cannot show the dry-run", &error))?;
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
