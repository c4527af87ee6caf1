use clap::CommandFactory as _;

use crate::args::Cli;
use crate::exit::Exit;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pgkedge", &mut script);
    crate::output::print(&String::from_utf8_lossy(&script));
    Exit::Done
}
