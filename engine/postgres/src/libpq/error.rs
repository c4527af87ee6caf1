//! Why connection parameters lead nowhere. Never holds a value that could be a secret.

use std::path::PathBuf;

use pgkedge_model::SecretError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LibpqError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the connection string {0}")]
    Syntax(&'static str),
    #[error("the connection string has the unknown parameter `{0}`")]
    UnknownParameter(String),
    #[error("connection parameter `{parameter}` must be {expected}")]
    Unfit { parameter: &'static str, expected: &'static str },
    #[error("the connection string names {names} hosts, but {others} of `{parameter}`")]
    HostCount { parameter: &'static str, names: usize, others: usize },
    #[error("no service file has a section [{0}]")]
    NoService(String),
    #[error("line {line} of the service file {} {reason}", path.display())]
    ServiceLine { path: PathBuf, line: usize, reason: &'static str },
    #[error("cannot read {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("no user name is known: the connection string has none, and neither has PGUSER")]
    NoUser,
}
