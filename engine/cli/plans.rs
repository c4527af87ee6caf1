//! From a plan's file to a checked plan, its facts, and its graph.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgkedge_compile::{Compiled, compile};
use pgkedge_model::{Catalog, Facts, Failure, Finding, Secrets, Server, ServerFacts};
use pgkedge_plan::{Plan, PlanSource};
use pgkedge_postgres::{Endpoint, introspect, introspect_server};

use crate::args::Global;
use crate::exit::{Exit, Message, Stop, failed};
use crate::output;
use crate::pipelines::PipelineFiles;
use crate::secrets::ProcessSecrets;

/// What sessions outside of a run call themselves.
const READER: &str = "pgkedge:read";

/// Reads and checks a plan; touches no server.
pub(crate) fn read(path: &Path) -> Result<Plan, Stop> {
    let bytes = fs::read(path).map_err(|error| {
        Stop::usage(format!("cannot read the plan {}: {error}", path.display()))
            .help("write one: see pipelines/examples, or try: pgkedge demo")
    })?;
    let source = PlanSource { path: &path.to_string_lossy(), bytes: &bytes };
    pgkedge_plan::check(source, &PipelineFiles::beside(path), pgkedge_steps::kinds()).map_err(
        |rejection| {
            let located = rejection.located();
            let report = miette::Report::new(rejection);
            Stop { exit: Exit::InvalidPlan, message: Message::Diagnostic { report, located } }
        },
    )
}

/// Shows what is worth knowing about a plan that is valid.
pub(crate) fn show_warnings(plan: &Plan, warnings: &[Finding], global: &Global) {
    if global.quiet || warnings.is_empty() {
        return;
    }
    let report = miette::Report::new(pgkedge_plan::report(&plan.map, warnings));
    output::say(&format!("{report:?}"));
}

/// Compiles a plan against facts; findings point at the plan.
pub(crate) fn compiled(plan: &Plan, facts: &Facts) -> Result<Compiled, Stop> {
    compile(plan, facts, pgkedge_steps::kinds()).map_err(|findings| rejected(plan, &findings))
}

pub(crate) fn rejected(plan: &Plan, findings: &[Finding]) -> Stop {
    let located = pgkedge_plan::located(&plan.map, findings);
    let report = miette::Report::new(pgkedge_plan::report(&plan.map, findings));
    Stop { exit: Exit::InvalidPlan, message: Message::Diagnostic { report, located } }
}

/// How each database of a plan is reached. Relative paths start at the plan's folder.
pub(crate) fn endpoints(
    databases: &BTreeMap<Server, pgkedge_model::DatabaseRef>,
    plan_path: &Path,
) -> BTreeMap<Server, Endpoint> {
    let secrets: Arc<dyn Secrets> = Arc::new(ProcessSecrets::beside(plan_path));
    databases
        .iter()
        .map(|(server, database)| {
            (*server, Endpoint::new(*server, database.clone(), Arc::clone(&secrets)))
        })
        .collect()
}

/// Reads the catalogs of a plan's databases, all at the same time.
pub(crate) async fn introspected(endpoints: &BTreeMap<Server, Endpoint>) -> Result<Facts, Stop> {
    let source = catalog(endpoints, Server::Source);
    let target = catalog(endpoints, Server::Target);
    // All are waited for, so that the first of two errors is always the same.
    let (source, target, replica) = tokio::join!(source, target, replica(endpoints));
    Ok(Facts { source: source?, target: Some(target?), replica: replica? })
}

/// Reads the facts of the replica's server, where the plan has one.
pub(crate) async fn replica(
    endpoints: &BTreeMap<Server, Endpoint>,
) -> Result<Option<ServerFacts>, Failure> {
    match endpoints.get(&Server::Replica) {
        Some(endpoint) => introspect_server(endpoint, READER).await.map(Some),
        None => Ok(None),
    }
}

/// Reads one catalog.
pub(crate) async fn catalog(
    endpoints: &BTreeMap<Server, Endpoint>,
    server: Server,
) -> Result<Catalog, Failure> {
    let endpoint = endpoints
        .get(&server)
        .ok_or_else(|| Failure::permanent(format!("the plan names no {server}")))?;
    introspect(endpoint, READER).await
}

/// A catalog that `pgkedge inspect` wrote.
pub(crate) fn catalog_from_file(path: &Path) -> Result<Catalog, Stop> {
    let unreadable =
        |error: &dyn std::error::Error| failed(&format!("cannot read {}", path.display()), error);
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error).exit(Exit::Usage))?;
    let catalog: Catalog = serde_json::from_str(&text).map_err(|error| {
        unreadable(&error).exit(Exit::Usage).help("write it anew: pgkedge inspect")
    })?;
    if catalog.format != Catalog::FORMAT {
        return Err(Stop::usage(format!(
            "{} has catalog format {}, this engine reads {}",
            path.display(),
            catalog.format,
            Catalog::FORMAT
        ))
        .help("write it anew: pgkedge inspect"));
    }
    Ok(catalog)
}

/// The plan's path as it is kept in the journal, so that `resume` finds relative files from anywhere.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path).map_err(|error| failed("cannot find the current folder", &error))
}
