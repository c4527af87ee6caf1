use pgkedge_runtime::UndoScope;

use crate::args::{Global, StateArgs};
use crate::exit::{Exit, Stop};
use crate::{engine, output, runs};

/// Undo everything that an unfinished run did, in reverse order
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    state: StateArgs,
    /// Start without asking.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let folder = runs::find(args.state.state.as_deref())?;
    if !args.yes && output::is_interactive() {
        if global.no_input {
            return Err(Stop::usage("--no-input, and nobody said yes").help("add --yes"));
        }
        if !output::ask("Drop everything that this run created on the target?") {
            return Err(Stop::usage("not aborted; nothing was changed"));
        }
    }
    engine::take_back(&folder, UndoScope::Everything, global).await
}
