//! Secrets by reference: where one is found, and who may look it up.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use secrecy::SecretString;

/// Where a secret is found. Only this enters plans, graphs and journals, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// The value of an environment variable.
    Env(String),
    /// The content of a file that only its owner may read, without the last line break.
    File(PathBuf),
    /// What a command prints, without the last line break. The first element is the program; no shell.
    Command(Vec<String>),
    /// A section of libpq's service file.
    Service(String),
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Command(words) => write!(f, "command {}", words.first().map_or("", |w| w)),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

/// Why a reference gave no secret. Never holds the secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot read the secret from {reference}: {reason}")]
pub struct SecretError {
    pub reference: SecretRef,
    pub reason: String,
}

/// Looks secrets up, anew at every call, so that a rotated one is found. Implemented by
/// `cli`, and by the sandbox for the files that it writes itself.
pub trait Secrets: Send + Sync {
    /// The secret behind `Env`, `File` and `Command`. `Service` is resolved by `postgres`.
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError>;

    /// A variable of the environment, for libpq's own (`PGPASSFILE`, `PGSERVICEFILE`, `HOME` …).
    fn variable(&self, name: &str) -> Option<String>;
}
