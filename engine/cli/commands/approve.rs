use pgkedge_model::{StepId, StepState};
use pgkedge_runtime::{JournalReader, Request};

use crate::args::{Global, StateArgs};
use crate::clock::SystemClock;
use crate::exit::{Exit, Stop, failed};
use crate::{output, runs};

/// Let a run go on that waits for an approval
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The waiting step, as `status` names it, for example go/ask.
    step: String,
    /// Who approves; left out, the user who types.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    state: StateArgs,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    let reader = JournalReader::open(&folder).map_err(|e| failed("cannot open the run", &e))?;
    let header = reader.header().map_err(|e| failed("cannot read the run", &e))?;
    let step = StepId(args.step.clone());
    let approvals: Vec<_> =
        header.graph.steps().filter(|node| node.kind == "approval").map(|node| &node.id).collect();
    if !approvals.contains(&&step) {
        let known: Vec<_> = approvals.iter().map(|id| id.0.as_str()).collect();
        return Err(Stop::usage(format!("`{step}` waits for no approval in this run")).help(
            if known.is_empty() {
                "the plan has no approval step".to_owned()
            } else {
                format!("steps that do: {}", known.join(", "))
            },
        ));
    }
    let checkpoint = reader.checkpoint().map_err(|e| failed("cannot read the run", &e))?;
    if let StepState::Succeeded { .. } = checkpoint.state(&step) {
        output::say(&format!("{step} was approved already"));
        return Ok(Exit::Done);
    }
    let by = args.by.clone().or_else(|| std::env::var("USER").ok()).unwrap_or("unknown".to_owned());
    reader
        .request(&Request::Approve { step: step.clone(), by }, &SystemClock)
        .map_err(|error| failed("cannot write the approval", &error))?;
    if !global.quiet {
        let held = reader.is_held().map_err(|e| failed("cannot read the run", &e))?;
        output::say(&if held {
            format!("{step} approved; the run goes on")
        } else {
            format!(
                "{step} approved; no runner is at work: pgkedge resume --state {}",
                folder.display()
            )
        });
    }
    Ok(Exit::Done)
}
