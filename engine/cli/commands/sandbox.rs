use std::path::{Path, PathBuf};

use pgkedge_model::{DatabaseRef, SecretRef, Server};
use pgkedge_sandbox::dvd_rental::{self, Size};
use pgkedge_sandbox::{Cluster, Options, Replica, Sandbox, SandboxError};
use serde_json::{Value, json};

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
        /// Give the source a physical replica, and write a plan that loads from it.
        #[arg(long)]
        replica: bool,
    },
    /// Stop them and remove their folder
    Down {
        /// The folder that `up` printed.
        folder: PathBuf,
    },
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    match &args.what {
        What::Up { folder, size, bin, target_bin, replica } => {
            let (folder, bin, target_bin) = (folder.clone(), bin.clone(), target_bin.clone());
            let replica = if *replica { Replica::Streaming } else { Replica::Absent };
            let options = Options { folder, bin, target_bin, replica, ..Options::default() };
            up(&options, *size, global).await
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
    match global.output {
        Format::Json => output::print_json(&described(&sandbox)),
        Format::Text => output::print(&directions(&sandbox)),
    }
    Ok(Exit::Done)
}

fn described(sandbox: &Sandbox) -> Value {
    let servers = servers(sandbox).map(|cluster| {
        let place = json!({ "port": cluster.port, "database": cluster.database });
        (cluster.server.to_string(), place)
    });
    let own = [
        ("folder".to_owned(), json!(sandbox.folder)),
        ("plan".to_owned(), json!(sandbox.plan())),
        ("pgpass".to_owned(), json!(sandbox.pgpass())),
    ];
    own.into_iter().chain(servers).collect()
}

fn servers(sandbox: &Sandbox) -> impl Iterator<Item = &Cluster> {
    let Sandbox { source, replica, target, .. } = sandbox;
    [Some(source), replica.as_ref(), Some(target)].into_iter().flatten()
}

/// What to type next.
fn directions(sandbox: &Sandbox) -> String {
    let places = servers(sandbox)
        .map(|cluster| format!("  {:7} 127.0.0.1:{}\n", cluster.server.to_string(), cluster.port));
    format!(
        "{}\n{}\
             show what a move would do:  pgkedge plan {}\n\
             move it:                    pgkedge run {}\n\
             look inside:                PGPASSFILE={} psql -h 127.0.0.1 -p {} -U {} {}\n\
             end it:                     pgkedge sandbox down {}",
        sandbox.folder.display(),
        places.collect::<String>(),
        sandbox.plan().display(),
        sandbox.plan().display(),
        sandbox.pgpass().display(),
        sandbox.source.port,
        sandbox.source.user,
        sandbox.source.database,
        sandbox.folder.display(),
    )
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
