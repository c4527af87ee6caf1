//! The unprivileged account that servers run as, because PostgreSQL refuses root.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{SandboxError, io_error};

/// Accounts to step down to, the usual one first.
const UNPRIVILEGED: &[&str] = &["postgres", "nobody"];

/// libpq's and the server's variables would bend what is started here; the locale settles the log's language.
const DROPPED_VARIABLES: &[&str] = &[
    "PGDATA",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSERVICE",
    "PGOPTIONS",
    "PGTZ",
    "PGDATESTYLE",
    "PGCLIENTENCODING",
    "LC_ALL",
    "LANG",
    "LANGUAGE",
    "LC_MESSAGES",
];

/// Who runs a server: the caller itself, or the account that root steps down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    Caller,
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// The caller's own, unless the caller is root.
    pub(crate) fn unprivileged() -> Result<Self, SandboxError> {
        if id(&["-u"]) != Some(0) {
            return Ok(Self::Caller);
        }
        let known = |name: &&str| {
            let (uid, gid) = (id(&["-u", name])?, id(&["-g", name])?);
            Some(Self::Other { name: (*name).to_owned(), uid, gid })
        };
        UNPRIVILEGED.iter().find_map(known).ok_or(SandboxError::NoAccount)
    }

    /// A command of this account, in a folder that it may enter, with nothing on its standard input.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C");
        for variable in DROPPED_VARIABLES.iter().filter(|name| **name != "LC_ALL") {
            command.env_remove(variable);
        }
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid).env("HOME", folder);
        }
        command
    }

    /// Hands a path over to the account.
    pub(crate) fn give(&self, path: &Path) -> Result<(), SandboxError> {
        match self {
            Self::Caller => Ok(()),
            Self::Other { uid, gid, .. } => std::os::unix::fs::chown(path, Some(*uid), Some(*gid))
                .map_err(io_error("change the owner of", path)),
        }
    }

    /// Proves that the account can reach a folder, because `initdb` would only say "permission denied".
    pub(crate) fn enters(&self, folder: &Path) -> Result<(), SandboxError> {
        let Self::Other { name, .. } = self else { return Ok(()) };
        let reached = self.command("true", folder).status().is_ok_and(|status| status.success());
        if reached {
            return Ok(());
        }
        Err(SandboxError::Unreachable { folder: folder.to_owned(), account: name.clone() })
    }
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Runs a command to its end; what it printed becomes the error's text.
pub(crate) fn finish(mut command: Command) -> Result<(), SandboxError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(io_error("start", Path::new(&program)))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stderr, output.stdout].concat();
    Err(SandboxError::Program { program, output: String::from_utf8_lossy(&text).trim().to_owned() })
}
