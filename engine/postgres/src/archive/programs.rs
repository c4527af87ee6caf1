//! Finds `pg_dump` and `pg_restore` on this machine, and runs them.

use std::path::{Path, PathBuf};
use std::process::Output;

use pgkedge_model::{Failure, FailureClass, ServerVersion};
use tokio::process::Command;

/// Where packages put the programs of one major version: a folder, what its name starts with, and
/// what follows it.
const PLACES: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/local", "pgsql", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
];

/// A pair of programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) dump: PathBuf,
    pub(crate) restore: PathBuf,
    /// For example `15.18`.
    pub(crate) version: String,
    major: u32,
    minor: u32,
}

impl Programs {
    /// The newest pair, which must be at least as new as the server.
    pub(crate) async fn find(server: ServerVersion) -> Result<Self, Failure> {
        let mut found: Vec<Self> = Vec::new();
        for folder in folders().await {
            found.extend(Self::at(&folder).await);
        }
        let newest = found.into_iter().reduce(|best, next| {
            if (next.major, next.minor) > (best.major, best.minor) { next } else { best }
        });
        let needed = server.major();
        let missing = |message: String| {
            Err(Failure::new(FailureClass::Operator, message).help(format!(
                "install postgresql-client-{needed}, or a newer one, on this machine"
            )))
        };
        match newest {
            None => missing("found no pg_dump on this machine".to_owned()),
            Some(newest) if newest.major < needed => missing(format!(
                "pg_dump {} is older than the server ({server}), and refuses to read it",
                newest.version
            )),
            Some(newest) => Ok(newest),
        }
    }

    /// The pair in a folder; an empty one means the search path of programs.
    async fn at(folder: &Path) -> Option<Self> {
        let (dump, restore) = (folder.join("pg_dump"), folder.join("pg_restore"));
        let output = Command::new(&dump).arg("--version").kill_on_drop(true).output().await.ok()?;
        let (version, major, minor) = version(std::str::from_utf8(&output.stdout).ok()?)?;
        Some(Self { dump, restore, version: version.to_owned(), major, minor })
    }
}

/// Folders that may hold the programs, in a fixed order; the search path comes last.
async fn folders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix, below) in PLACES {
        let Ok(mut names) = tokio::fs::read_dir(parent).await else { continue };
        while let Ok(Some(entry)) = names.next_entry().await {
            let folder = entry.path().join(below);
            let fits = entry.file_name().to_string_lossy().starts_with(prefix);
            if fits && folder.join("pg_dump").is_file() {
                found.push(folder);
            }
        }
    }
    found.sort();
    found.push(PathBuf::new());
    found
}

/// `pg_dump (PostgreSQL) 15.18 (Debian …)`; a version in development says `19devel`.
fn version(text: &str) -> Option<(&str, u32, u32)> {
    let version = text.strip_prefix("pg_dump (PostgreSQL) ")?.split_whitespace().next()?;
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((version, digits(major)?, digits(minor).unwrap_or(0)))
}

/// Runs a program to its end; what it says on stderr becomes the details of the failure.
pub(crate) async fn run(mut command: Command, doing: &str) -> Result<Vec<u8>, Failure> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    // Messages in the user's language could not be told apart.
    command.env("LC_ALL", "C").kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = command.output().await.map_err(|error| {
        Failure::new(FailureClass::Operator, format!("cannot start {program}: {error}"))
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failure(&output, doing))
}

fn failure(output: &Output, doing: &str) -> Failure {
    let said = String::from_utf8_lossy(&output.stderr);
    let mut failure = Failure::new(class(&said), doing);
    failure.details =
        said.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    failure.help = help(&said).map(str::to_owned);
    failure
}

fn help(said: &str) -> Option<&'static str> {
    if said.contains("permission denied for ") {
        Some(
            "pg_dump locks every table: grant the role SELECT on all of them (pg_read_all_data), \
             and USAGE on their schemas",
        )
    } else if said.contains("invalid byte sequence for encoding") {
        Some(
            "a definition in this database is no UTF-8, so it cannot be moved exactly: find the \
             object, and create it again without those bytes",
        )
    } else {
        None
    }
}

/// libpq passes no SQLSTATE on, so its words have to do.
fn class(said: &str) -> FailureClass {
    let says = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if says(&["permission denied", "authentication failed", "no password supplied"]) {
        FailureClass::Operator
    } else if says(&[
        "connection to server",
        "server closed the connection",
        "lock timeout",
        "cache lookup failed",
        "could not open relation with OID",
    ]) {
        FailureClass::Transient
    } else {
        FailureClass::Permanent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n");
        assert_eq!(debian, Some(("15.18", 15, 18)));
        assert_eq!(version("pg_dump (PostgreSQL) 19devel\n"), Some(("19devel", 19, 0)));
        assert_eq!(version("pg_dump (PostgreSQL) 18beta1"), Some(("18beta1", 18, 0)));
        assert_eq!(version("something else 15"), None);
    }

    #[tokio::test]
    async fn a_server_newer_than_every_program_is_refused_with_what_to_install() {
        let failure = Programs::find(ServerVersion(990_000)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Operator);
        assert!(failure.help.unwrap().contains("postgresql-client-99"));
    }
}
