//! What can go wrong between a call and a running cluster.

use std::io;
use std::path::{Path, PathBuf};

/// Why a sandbox could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("no PostgreSQL server is installed here")]
    NoInstallation,
    #[error("`{folder}` holds no PostgreSQL server")]
    NotAnInstallation { folder: PathBuf },
    #[error("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")]
    NoAccount,
    #[error("the account `{account}` cannot enter `{folder}`")]
    Unreachable { folder: PathBuf, account: String },
    #[error("`{folder}` is not empty")]
    Occupied { folder: PathBuf },
    #[error("`{folder}` is no sandbox of pgkedge")]
    NotASandbox { folder: PathBuf },
    #[error("`{name}` is no name for a database of the sandbox")]
    DatabaseName { name: String },
    #[error("`{program}` failed: {output}")]
    Program { program: String, output: String },
    #[error("cannot {action} `{path}`")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl SandboxError {
    /// What to do next, where one thing helps.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoInstallation => Some("run `make setup`".to_owned()),
            Self::NotAnInstallation { .. } => {
                Some("name the folder that holds `initdb`, `pg_ctl` and `postgres`".to_owned())
            }
            Self::NoAccount => Some("run it as an unprivileged user".to_owned()),
            Self::Unreachable { .. } => {
                Some("take a folder below /tmp, or run it as an unprivileged user".to_owned())
            }
            Self::Occupied { .. } => Some("take a folder that does not exist yet".to_owned()),
            Self::NotASandbox { .. } => {
                Some("name the folder that `pgkedge sandbox up` printed".to_owned())
            }
            Self::DatabaseName { .. } => {
                Some("take small letters, digits and underscores".to_owned())
            }
            Self::Program { .. } | Self::Io { .. } => None,
        }
    }
}

/// Adds what was attempted on which path to an error of the operating system.
pub(crate) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> SandboxError + use<> {
    let path = path.to_owned();
    move |source| SandboxError::Io { action, path, source }
}
