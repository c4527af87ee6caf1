use std::path::PathBuf;

use serde_json::json;

use crate::args::Global;
use crate::exit::{Exit, Stop};
use crate::output::{self, Format};
use crate::plans;

/// Check a plan; touches no server
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan's YAML file.
    plan: PathBuf,
    /// Print the plan with everything written out that it leaves to defaults.
    #[arg(long)]
    expand: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(&args.plan)?;
    if args.expand {
        output::print(&pgkedge_plan::expanded_yaml(&plan));
        return Ok(Exit::Done);
    }
    match global.output {
        Format::Json => output::print_json(&json!({
            "plan": plan.name,
            "valid": true,
            "findings": pgkedge_plan::located(&plan.map, &plan.warnings),
        })),
        Format::Text => {
            plans::show_warnings(&plan, &plan.warnings, global);
            let steps: usize = plan.phases.iter().map(|phase| phase.steps.len()).sum();
            output::print(&format!(
                "{}: valid; pipeline {}, {} phases, {steps} steps declared",
                args.plan.display(),
                plan.pipeline,
                plan.phases.len(),
            ));
        }
    }
    Ok(Exit::Done)
}
