use std::path::{Path, PathBuf};

use pgkedge_model::{DatabaseRef, SecretRef, Server};
use pgkedge_sandbox::dvd_rental::{self, Size};
use pgkedge_sandbox::{Options, Sandbox, SandboxError};
use serde_json::json;

use crate::args::Global;
use crate::exit::{Exit, Stop, failed};
use crate::output::{self, Format};
use crate::plans;

/// Throw-away servers to try things on
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Start a source with a DVD-rental database, an empty target, and write a plan for them
    Up {
        /// An empty folder to put them in; left out, a new one for temporary files.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
        /// Rows: 1 is some 200,000 in 60 MB.
        #[arg(long, default_value_t)]
        size: Size,
        /// Folder with the server programs of another version; left out, the installed ones.
        #[arg(long, value_name = "DIR")]
        bin: Option<PathBuf>,
        /// The same for the target alone, to rehearse an upgrade.
        #[arg(long, value_name = "DIR")]
        target_bin: Option<PathBuf>,
    },
    /// Stop them and remove their folder
    Down {
        /// The folder that `up` printed.
        folder: PathBuf,
    },
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    match &args.what {
        What::Up { folder, size, bin, target_bin } => {
            let (folder, bin, target_bin) = (folder.clone(), bin.clone(), target_bin.clone());
            up(&Options { folder, bin, target_bin, ..Options::default() }, *size, global).await
        }
        What::Down { folder } => down(folder, global),
    }
}

async fn up(options: &Options, size: Size, global: &Global) -> Result<Exit, Stop> {
    let sandbox = started(options)?;
    if let Err(stop) = fill(&sandbox, size).await {
        Sandbox::down(&sandbox.folder).map_err(|error| sandbox_stop(&error))?;
        return Err(stop);
    }
    let plan = sandbox.plan();
    match global.output {
        Format::Json => output::print_json(&json!({
            "folder": sandbox.folder,
            "plan": plan,
            "pgpass": sandbox.pgpass(),
            "source": { "port": sandbox.source.port, "database": sandbox.source.database },
            "target": { "port": sandbox.target.port, "database": sandbox.target.database },
        })),
        Format::Text => output::print(&format!(
            "{}\n  source  127.0.0.1:{}\n  target  127.0.0.1:{}\n\
             show what a move would do:  pgkedge plan {}\n\
             move it:                    pgkedge run {}\n\
             look inside:                PGPASSFILE={} psql -h 127.0.0.1 -p {} -U {} {}\n\
             end it:                     pgkedge sandbox down {}",
            sandbox.folder.display(),
            sandbox.source.port,
            sandbox.target.port,
            plan.display(),
            plan.display(),
            sandbox.pgpass().display(),
            sandbox.source.port,
            sandbox.source.user,
            sandbox.source.database,
            sandbox.folder.display(),
        )),
    }
    Ok(Exit::Done)
}

fn down(folder: &Path, global: &Global) -> Result<Exit, Stop> {
    Sandbox::down(folder).map_err(|error| sandbox_stop(&error))?;
    if !global.quiet {
        output::say("stopped and removed");
    }
    Ok(Exit::Done)
}

/// Starts the servers.
pub(crate) fn started(options: &Options) -> Result<Sandbox, Stop> {
    Sandbox::up(options).map_err(|error| sandbox_stop(&error))
}

/// Loads the DVD-rental database into the source.
pub(crate) async fn fill(sandbox: &Sandbox, size: Size) -> Result<(), Stop> {
    let url = SecretRef::File(sandbox.source.url.clone());
    let source = DatabaseRef::new(url);
    let endpoints = plans::endpoints(&[(Server::Source, source)].into(), &sandbox.plan());
    let source = endpoints[&Server::Source].sql("pgkedge:sandbox").await?;
    for statement in dvd_rental::statements(size) {
        source.execute(&statement).await?;
    }
    Ok(())
}

pub(crate) fn sandbox_stop(error: &SandboxError) -> Stop {
    let stop = failed("sandbox", error);
    match error.help() {
        Some(help) => stop.help(help),
        None => stop,
    }
}
