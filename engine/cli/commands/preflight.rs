use std::path::PathBuf;

use pgkedge_model::{Finding, Server};
use pgkedge_steps::{Question, Sessions};
use serde_json::json;

use crate::args::Global;
use crate::exit::{self, Exit, Stop};
use crate::output::{self, Format};
use crate::plans;

/// Check all servers, read-only: what would stop the move, why, and what mends it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan's YAML file.
    plan: PathBuf,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(&args.plan)?;
    let endpoints = plans::endpoints(&plan.databases, &plans::absolute(&args.plan)?);
    let facts = plans::introspected(&endpoints).await?;
    let compiled = plans::compiled(&plan, &facts)?;
    let (capture, target_holds) = pgkedge_steps::captured(&compiled.graph);
    let question = Question {
        facts: &facts,
        settings: &plan.settings,
        excluded: &compiled.selection.excluded,
        capture: &capture,
        target_holds,
        run: None,
    };
    let source = endpoints[&Server::Source].sql("pgkedge:read").await?;
    let target = endpoints[&Server::Target].sql("pgkedge:read").await?;
    let replica = match endpoints.get(&Server::Replica) {
        Some(endpoint) => Some(endpoint.sql("pgkedge:read").await?),
        None => None,
    };
    let sessions = Sessions { source: &source, target: &target, replica: replica.as_ref() };
    let findings = pgkedge_steps::preflight(&question, sessions).await?;
    let blocked = findings.iter().any(Finding::is_error);
    match global.output {
        Format::Json => output::print_json(&json!({ "blocked": blocked, "findings": findings })),
        Format::Text => {
            output::print(&exit::finding_lines(&findings));
            output::say(if blocked {
                "blocked: mend the errors above, then run preflight again"
            } else {
                "nothing stands in the way"
            });
        }
    }
    Ok(if blocked { Exit::Blocked } else { Exit::Done })
}
