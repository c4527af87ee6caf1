//! The schema of a database as `pg_dump` writes it: entries with their statements and dependencies.
//!
//! `pg_dump` only ever runs for reading, and nothing of what it writes reaches psql. Knows the
//! format of its text, and nothing of what the entries mean.

mod header;
mod programs;
mod script;
mod secrets;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use pgkedge_model::{Entry, Failure, FailureClass, Section, Server, ServerVersion};
use tokio::process::Command;

pub(crate) use self::header::KnownNames;
use self::programs::{Programs, run};
pub use self::secrets::WITHHELD_OPTIONS;
use crate::{DumpEnvironment, pins};

/// Schemas of pgkedge's own ledgers, as `pg_dump` writes patterns.
const OWN_SCHEMAS: &str =
    "pgkedge_[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]";

/// How long `pg_dump` waits for each table that another session holds exclusively.
const LOCK_PATIENCE: &str = "60s";

/// What was read, and by which version of `pg_dump`.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) pg_dump: String,
    pub(crate) entries: Vec<Entry>,
}

/// What an archive is read from.
pub(crate) struct Request<'a> {
    pub(crate) environment: &'a DumpEnvironment,
    pub(crate) server: Server,
    pub(crate) version: ServerVersion,
    /// An exported snapshot, so that the archive shows what the catalog's queries see.
    pub(crate) snapshot: &'a str,
    /// By which the fields of its comments are told apart.
    pub(crate) known: &'a KnownNames,
}

/// Reads the archive of a database.
pub(crate) async fn read(request: &Request<'_>) -> Result<Archive, Failure> {
    let programs = Programs::find(request.version).await?;
    // Only its owner can look into it.
    let folder =
        tempfile::Builder::new().prefix("pgkedge-archive-").tempdir().map_err(|error| {
            Failure::new(
                FailureClass::Operator,
                format!("cannot create a temporary folder: {error}"),
            )
            .help("check the space and the permissions of the folder that TMPDIR names")
        })?;
    let file = folder.path().join("archive");
    dump(&programs, request, &file).await?;
    let (mut entries, post_data) = tokio::try_join!(
        section(&programs, &file, Section::PreData, request.known),
        section(&programs, &file, Section::PostData, request.known),
    )?;
    entries.extend(post_data);
    keep_known_dependencies(&mut entries);
    Ok(Archive { pg_dump: programs.version, entries })
}

async fn dump(programs: &Programs, request: &Request<'_>, file: &Path) -> Result<(), Failure> {
    let mut command = Command::new(&programs.dump);
    request.environment.apply(command.as_std_mut());
    command
        .env("PGOPTIONS", options(request))
        .args(["--format=custom", "--schema-only", "--no-subscriptions", "--encoding=UTF8"])
        .args(["--no-password", "--compress=0"])
        .arg(format!("--lock-wait-timeout={LOCK_PATIENCE}"))
        .arg(format!("--exclude-schema={OWN_SCHEMAS}"))
        .arg(format!("--snapshot={}", request.snapshot))
        .args([OsStr::new("--file"), file.as_os_str()]);
    run(command, "pg_dump cannot read the schema").await.map(drop)
}

/// Pins what `pg_dump` does not: constants of money and of times are written as these settings say,
/// and read back under ours.
fn options(request: &Request<'_>) -> String {
    let given = request.environment.variables().find(|(name, _)| *name == "PGOPTIONS");
    pins::startup_options(request.server, given.and_then(|(_, options)| options.to_str()))
}

/// The entries of one section: what the archive itself does not say of comments and privileges.
async fn section(
    programs: &Programs,
    file: &PathBuf,
    section: Section,
    known: &KnownNames,
) -> Result<Vec<Entry>, Failure> {
    let name = match section {
        Section::PreData => "pre-data",
        Section::PostData => "post-data",
    };
    let mut command = Command::new(&programs.restore);
    command.args(["--file=-", "--verbose"]).arg(format!("--section={name}")).arg(file);
    let script = run(command, "pg_restore cannot read the archive of pg_dump").await?;
    let script = String::from_utf8(script).map_err(|error| {
        Failure::permanent("the schema holds text that is no UTF-8")
            .detail(context(error.as_bytes(), error.utf8_error().valid_up_to()))
            .help("find the object, and create it again with text in the database's encoding")
    })?;
    script::entries(&script, section, known)
}

/// What stands just before a byte, for people.
fn context(bytes: &[u8], at: usize) -> String {
    String::from_utf8_lossy(&bytes[at.saturating_sub(80)..at]).into_owned()
}

/// An archive may name dependencies that it does not hold, and one several times.
fn keep_known_dependencies(entries: &mut [Entry]) {
    let known: BTreeSet<u32> = entries.iter().map(|entry| entry.number).collect();
    for entry in entries {
        entry.depends.retain(|number| known.contains(number));
        entry.depends.sort_unstable();
        entry.depends.dedup();
    }
}
